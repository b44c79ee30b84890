"""A real predictor that needs no weights: its features are a photo's mean colours, and it names the strongest."""

import torch
from torch import nn

from core.inference.predictor import ModelCard, Predictor
from core.inference.unknown import Detector, Reference
from core.models import registry
from core.models.build import Network
from core.models.head import Head, HeadSpec
from core.models.registry import Preprocessing

# Names as hostile as a folder's can be: they end up in JSON, in a page and in its script.
CLASSES = ("red</script><script>alert(1)</script>", 'green "\u2028<!--', "blue & {share} 💙")
BICUBIC = Preprocessing(40, 32, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "bicubic")
BILINEAR = Preprocessing(32, 32, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "bilinear")


class CornerMeans(nn.Module):
    """(n, 3, h, w) → (n, 12): the mean colour of each quarter, so that a turned or shifted photo is another one."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.adaptive_avg_pool2d(x, 2).flatten(1)


def colour_network(scale: float = 3.0) -> Network:
    """``scale`` is how decided it is."""
    head = Head(HeadSpec(), 12, 3)
    random = torch.Generator().manual_seed(3)
    weight = torch.eye(3).repeat_interleave(4, dim=1) + 0.2 * torch.randn(3, 12, generator=random)
    head.load_state_dict(
        {**head.state_dict(), "layers.output.weight": scale * weight, "layers.output.bias": torch.zeros(3)}
    )
    return Network(registry.backbone("efficientnet_lite0"), (CornerMeans(),), head).eval()


def detector(limit: float) -> Detector:
    """Knows reds, greens and blues; what is far from all three is strange."""
    references = nn.functional.normalize(torch.eye(3).repeat_interleave(4, dim=1), dim=1)
    samples = [Reference(f"{name}.png", name) for name in CLASSES]
    return Detector(references, samples, limit=limit, neighbours=1)


def colour_predictor(preprocessing: Preprocessing = BICUBIC, limit: float | None = 0.6) -> Predictor:
    card = ModelCard("efficientnet_lite0", CLASSES, preprocessing, None, HeadSpec())
    known = None if limit is None else detector(limit)
    return Predictor(colour_network(), card, torch.device("cpu"), known)
