"""From a backbone's name to a network that can be trained: the pretrained body in stages, and a new head."""

from collections.abc import Mapping, Sequence
from itertools import chain

import torch
from torch import Tensor, nn

from core.models import registry
from core.models.architecture import empty, original
from core.models.load import fill, load_state
from core.models.registry import Backbone
from core.models.stages import split
from core.models.weights import WeightsFile


class Network(nn.Module):
    """Stages, counted from the photo, and a head. (n, 3, h, w) float32, normalised → (n, classes) logits."""

    def __init__(self, backbone: Backbone, stages: Sequence[nn.Module], head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.stages = nn.ModuleList(stages)
        self.head = head
        self.frozen_stages = 0  # set by ``core.models.freeze.freeze``

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))

    def features(self, x: Tensor) -> Tensor:
        """What the whole body makes of photos: (n, feature_width)."""
        return self.run_stages(x)

    def run_stages(self, x: Tensor, first: int = 0, last: int | None = None) -> Tensor:
        """Stages ``first`` up to, not including, ``last``; ``x`` is what leaves the stage before ``first``."""
        for stage in list(self.stages)[first:last]:
            x = stage(x)
        return x

    def train(self, mode: bool = True) -> "Network":
        """As usual, but frozen stages stay in ``eval()``."""
        super().train(mode)
        for stage in list(self.stages)[: self.frozen_stages]:
            stage.eval()
        return self


def build(
    name: str,
    classes: int,
    *,
    weights: WeightsFile | None,
    seed: int = 0,
    dropout: float = 0.0,
    device: torch.device | str = "cpu",
) -> Network:
    """A network with a new head for ``classes`` classes; nothing is frozen yet.

    ``weights=None`` starts from scratch: that is a choice, and never what happens for want of a file.

    Raises:
        ModelError: there is no such backbone, or the file doesn't fit it.
    """
    backbone = registry.backbone(name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = _head(backbone, classes, dropout)  # drawn first, so that it is the same with and without a file
        if weights is None:
            model = original(name)
        else:
            model = empty(name)
            fill(model, backbone, load_state(weights.path, backbone), weights.path.name)
    return Network(backbone, list(split(model, backbone.family).values()), head).to(device)


def restore(name: str, classes: int, state: Mapping[str, Tensor], *, device: torch.device | str = "cpu") -> Network:
    """A network with the weights of an earlier one's ``state_dict()``; draws nothing, so it is quicker than ``build``.

    Raises:
        ModelError: there is no such backbone.
        RuntimeError: ``state`` is not of such a network.
    """
    backbone = registry.backbone(name)
    body = split(empty(name), backbone.family)
    with torch.device("meta"):
        head = _head(backbone, classes, 0.0)
    network = Network(backbone, list(body.values()), head)
    network.load_state_dict(dict(state), strict=True, assign=True)
    if any(tensor.is_meta for tensor in chain(network.parameters(), network.buffers())):
        raise RuntimeError(f"{name} has tensors that its state does not hold")
    return network.to(device)


def _head(backbone: Backbone, classes: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.Dropout(dropout), nn.Linear(backbone.feature_width, classes))
