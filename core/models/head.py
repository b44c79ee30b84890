"""The task-specific part: what turns a photo's features into one number a class. Made anew for every task."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.config import Head as Kind
from core.config import TrainConfig

COSINE_SCALE = 10.0  # what a cosine is multiplied by at first. Source: Gidaris and Komodakis 2018, section 3.1


@dataclass(frozen=True)
class HeadSpec:
    """What must be known to build a head; stored beside a model."""

    kind: Kind = "linear"
    hidden_layers: int = 1  # of a "hidden" head
    hidden_units: int = 256
    dropout: float = 0.0

    @classmethod
    def of(cls, config: TrainConfig) -> "HeadSpec":
        return cls(config.head, config.hidden_layers, config.hidden_units, config.dropout)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "HeadSpec":
        return cls(**data)

    def to_json(self) -> dict[str, object]:
        return asdict(self)


class Head(nn.Module):
    """(n, width) features → (n, classes) logits.

    ``mean`` (width,) and ``scale`` (a scalar) are measured on the training photos, not learnt: features of one scale
    around zero let one learning rate suit every backbone. Left at 0 and 1 they change nothing.
    """

    def __init__(self, spec: HeadSpec, width: int, classes: int) -> None:
        super().__init__()
        self.spec, self.classes = spec, classes
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(()))
        self.mean: Tensor
        self.scale: Tensor
        self.layers = nn.Sequential(OrderedDict(_layers(spec, width, classes)))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers((x - self.mean) / self.scale)


class Cosine(nn.Module):
    """s · cos(features, class weight): how long a feature vector is has no say. Source: Gidaris and Komodakis 2018."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(nn.init.kaiming_uniform_(torch.empty(classes, width), nonlinearity="linear"))
        self.scale = nn.Parameter(torch.tensor(COSINE_SCALE))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * F.linear(F.normalize(x, dim=1), F.normalize(self.weight, dim=1))


def _layers(spec: HeadSpec, width: int, classes: int) -> list[tuple[str, nn.Module]]:
    if spec.kind == "cosine":
        return [("dropout", nn.Dropout(spec.dropout)), ("output", Cosine(width, classes))]
    if spec.kind == "linear":
        return [("dropout", nn.Dropout(spec.dropout)), ("output", _zero(nn.Linear(width, classes)))]
    layers: list[tuple[str, nn.Module]] = []
    for place in range(1, spec.hidden_layers + 1):
        layers += [
            (f"hidden{place}", nn.Linear(width, spec.hidden_units)),
            (f"relu{place}", nn.ReLU()),
            (f"dropout{place}", nn.Dropout(spec.dropout)),
        ]
        width = spec.hidden_units
    return [*layers, ("output", _zero(nn.Linear(width, classes)))]


def _zero(layer: nn.Linear) -> nn.Linear:
    """All zeros: every class starts equally likely, and nothing random is sent back into pretrained stages."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def head_parameters(spec: HeadSpec, width: int, classes: int) -> int:
    """How many weights such a head learns."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in Head(spec, width, classes).parameters())
