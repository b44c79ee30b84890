"""What is kept of photos, and under which key: all that a row's value depends on. Torch-free: a page can find rows.

The key of a store must never change for the same values: rows that are kept already would be lost.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core.models.registry import Backbone
from core.training.rows import RowStore

FORMAT = 2  # of the rows: a higher one makes all of them anew
What = Literal["features", "activations"]
DEVICES = ("cpu", "cuda", "mps")  # on which rows are made: each rounds differently


@dataclass(frozen=True)
class Recipe:
    """What is kept, and how: everything that changes a row's value is in its store's key."""

    weights_sha256: str
    frozen_stages: int  # the boundary; 0 keeps the decoded squares
    augment: str
    views: int
    features: bool  # what the head learns on; useless where the body starts from noise
    activations: bool  # what fine-tuning starts from
    exact: bool = False  # in 32 bits throughout, as the predictor computes


def plain_features(backbone: Backbone, weights_sha256: str, *, exact: bool = False) -> Recipe:
    """The features of each photo as it is: what the Fast preset, work done ahead and the doctor share."""
    return Recipe(weights_sha256, len(backbone.stages), "none", 1, features=True, activations=False, exact=exact)


def store(cache: Path, backbone: Backbone, recipe: Recipe, device: str, what: What, view: int) -> RowStore:
    """The store of one view of features or activations; ``device`` is "cpu", "cuda" or "mps"."""
    shape, dtype = row(backbone, recipe, what)
    return RowStore(cache / key(backbone, recipe, device, what, view), shape, dtype)


def row(backbone: Backbone, recipe: Recipe, what: What) -> tuple[tuple[int, ...], str]:
    """Shape and dtype of what one photo gives."""
    if what == "features":
        return (backbone.feature_width,), "float32"
    if recipe.frozen_stages == 0:
        return (backbone.preprocessing.resize, backbone.preprocessing.resize, 3), "uint8"
    # Half precision halves the disk: 11 bits of mantissa, more than the 8 that bf16 features have anyway.
    return tuple(backbone.stages[recipe.frozen_stages - 1].output_shape), "float16"


def key(
    backbone: Backbone, recipe: Recipe, device: str, what: Literal["features", "activations", "mix"], view: int
) -> str:
    """A name that says what is inside, and a hash of all that its values depend on."""
    look = backbone.preprocessing
    if what == "activations" and recipe.frozen_stages == 0:
        return f"squares-{_digest(FORMAT, look.resize, look.interpolation)}"
    boundary = recipe.frozen_stages if what == "activations" else "-"
    augment = "-" if view == 0 else recipe.augment
    digest = _digest(
        FORMAT, backbone.name, recipe.weights_sha256, what, boundary, augment, view, device,
        recipe.exact, sorted(look.to_json().items()),
    )  # fmt: skip
    return f"{backbone.name}-{what}-{digest}"


def _digest(*depends: object) -> str:
    return hashlib.sha256(repr(depends).encode()).hexdigest()[:12]
