"""From a backbone's name to a network that can be trained: the pretrained body in stages, and a new head."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from core.config import Normalization
from core.errors import ModelError
from core.models import registry
from core.models.architecture import empty, original
from core.models.head import Head, HeadSpec
from core.models.load import fill, load_state
from core.models.registry import Backbone, Preprocessing
from core.models.stages import split
from core.models.weights import WeightsFile


class Network(nn.Module):
    """Stages, counted from the photo, and a head. (n, 3, h, w) float32, normalised → (n, classes) logits."""

    def __init__(self, backbone: Backbone, stages: Sequence[nn.Module], head: Head) -> None:
        super().__init__()
        self.backbone = backbone
        self.stages = nn.ModuleList(stages)
        self.head = head
        self.frozen_stages = 0  # set by ``core.models.freeze.freeze``
        self.copied_stages = 0  # the first ones, which do not start from noise; set by ``build``

    @property
    def classes(self) -> int:
        return self.head.classes

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
    head: HeadSpec | None = None,
    copied_stages: int | None = None,
    normalization: Normalization = "pretrained",
    device: torch.device | str = "cpu",
) -> Network:
    """A network with a new head for ``classes`` classes; nothing is frozen yet.

    ``weights=None`` starts from scratch: that is a choice, and never what happens for want of a file. Stages from
    ``copied_stages`` on start from scratch as well. ``weights`` may be an earlier model of Graft's (``of_a_run``).

    Raises:
        ModelError: there is no such backbone, or the file doesn't fit it.
    """
    backbone = registry.backbone(name)
    copied = len(backbone.stages) if copied_stages is None else copied_stages
    copied = 0 if weights is None else copied
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        new_head = Head(head or HeadSpec(), backbone.feature_width, classes)  # first: the same with and without a file
        fresh = original(name) if copied < len(backbone.stages) else None
    stages = list(split(fresh, backbone.family).values()) if fresh is not None else []
    if weights is not None and copied:
        stages = [*_pretrained(backbone, weights)[:copied], *stages[copied:]]
    network = Network(with_normalization(backbone, normalization, weights), stages, new_head)
    network.copied_stages = copied
    return network.to(device)


def _pretrained(backbone: Backbone, weights: WeightsFile) -> list[nn.Module]:
    model = empty(backbone.name)
    if weights.of_a_run:
        stages = nn.ModuleList(split(model, backbone.family).values())
        prefix = "stages."
        try:
            state = {k.removeprefix(prefix): t for k, t in load_file(weights.path).items() if k.startswith(prefix)}
            stages.load_state_dict(state, strict=True, assign=True)
        except (RuntimeError, SafetensorError):
            raise ModelError("models.not_this_backbone", file=weights.path.name, title=backbone.title) from None
        return list(stages)
    fill(model, backbone, load_state(weights.path, backbone), weights.path.name)
    return list(split(model, backbone.family).values())


def with_normalization(
    backbone: Backbone, normalization: Normalization, weights: WeightsFile | None = None
) -> Backbone:
    """The backbone wanting its pixels otherwise than it was trained: 0 to 1, or −1 to 1.

    ``pretrained`` follows the weights: an earlier model's stages get the numbers that they learnt from.
    """
    preprocessing = backbone.preprocessing
    if normalization == "pretrained":
        if weights is None or not weights.of_a_run:
            return backbone
        card = json.loads(weights.path.with_suffix(".json").read_text("utf-8"))
        earlier = Preprocessing.from_json(card["preprocessing"])
        mean, std = earlier.mean, earlier.std
    else:
        mean, std = ((0.0,) * 3, (1.0,) * 3) if normalization == "unit" else ((0.5,) * 3, (0.5,) * 3)
    return replace(backbone, preprocessing=replace(preprocessing, mean=mean, std=std))  # type: ignore[arg-type]


def restore(
    name: str,
    classes: int,
    state: Mapping[str, Tensor],
    *,
    head: HeadSpec | None = None,
    device: torch.device | str = "cpu",
) -> Network:
    """A network with the weights of an earlier one's ``state_dict()``; draws nothing, so it is quicker than ``build``.

    Raises:
        ModelError: there is no such backbone.
        RuntimeError: ``state`` is not of such a network.
    """
    backbone = registry.backbone(name)
    body = split(empty(name), backbone.family)
    with torch.device("meta"):
        new_head = Head(head or HeadSpec(), backbone.feature_width, classes)
    network = Network(backbone, list(body.values()), new_head)
    network.load_state_dict(_of_today(state), strict=True, assign=True)
    if any(tensor.is_meta for tensor in chain(network.parameters(), network.buffers())):
        raise RuntimeError(f"{name} has tensors that its state does not hold")
    return network.to(device)


def _of_today(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Models written before heads had kinds: one linear layer on features as they come."""
    if "head.1.weight" not in state:
        return dict(state)
    weight = state["head.1.weight"]
    renamed = {key.replace("head.1.", "head.layers.output."): value for key, value in state.items()}
    return renamed | {"head.mean": torch.zeros(weight.shape[1]), "head.scale": torch.ones(())}
