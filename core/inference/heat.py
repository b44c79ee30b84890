"""Where a network looked, laid on the photo so that people can see it, whatever colours they see. Torch-free.

The photo turns grey, so that colour means heat alone; the colours grow lighter all the way, so that they can be told
apart by lightness as well.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.data.pixels import Pixels
from core.models.registry import Preprocessing

if TYPE_CHECKING:  # it brings torch along
    from core.inference.unknown import Near

Box = tuple[float, float, float, float]  # left, top, right, bottom in pixels
# From none to all. Source: matplotlib's "inferno" by Smith and van der Walt, at 0.25, 0.4, 0.55, 0.7, 0.85 and 1.0.
COLOURS = ("#56106E", "#932667", "#CD4247", "#F1731D", "#FBB61A", "#FCFFA4")
UNSEEN = 0.35  # how bright the rim stays that the network never saw


@dataclass(frozen=True)
class Heat:
    """What spoke for ``target`` in a photo, place by place, and what was answered.

    ``values`` run from 0 to 1, the strongest place for ``target`` or for the answered class, whichever is stronger: so
    a class for which little speaks looks faint. They are the network's own coarse grid; ``on_photo`` spreads it.
    """

    values: NDArray[np.float32]  # (rows, columns)
    square: Pixels  # what the network saw, (crop, crop, 3)
    target: str
    preprocessing: Preprocessing
    top: tuple[tuple[str, float], ...]  # every class with its probability, the likeliest first
    unknown: bool = False  # whether the photo is beyond the run's limit
    near: "tuple[Near, ...]" = ()  # the training photos most like it, where that was asked for

    @property
    def answered(self) -> str:
        return self.top[0][0]

    @property
    def empty(self) -> bool:
        """Whether no place spoke for the class."""
        return not self.values.any()


def seen(width: int, height: int, preprocessing: Preprocessing) -> Box:
    """The square of a photo of this size that the network saw: what ``core.data.pixels`` cuts out of it."""
    side = min(width, height) * preprocessing.crop / preprocessing.resize
    left, top = (width - side) / 2, (height - side) / 2
    return left, top, left + side, top + side


def spread(values: NDArray[np.float32], width: int, height: int) -> NDArray[np.float32]:
    """The grid on (height, width) pixels, each cell's value at its middle and straight lines between them."""
    return np.asarray(Image.fromarray(values.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR))


def on_photo(photo: Image.Image, values: NDArray[np.float32], box: Box, opacity: float) -> Image.Image:
    """The whole photo with the heat inside ``box``; what lies outside the box is dimmed."""
    left, top, right, bottom = (round(edge) for edge in box)
    everything = np.asarray(photo.convert("L").convert("RGB"), dtype=np.float32) * UNSEEN
    inside = photo.convert("RGB").crop((left, top, right, bottom))
    everything[top:bottom, left:right] = painted(np.asarray(inside), values, opacity)
    return Image.fromarray(everything.round().astype(np.uint8))


def painted(pixels: Pixels, values: NDArray[np.float32], opacity: float) -> Pixels:
    """The photo in grey, below the heat's colours; ``opacity`` from 0 to 1 is how much the hottest place covers."""
    height, width = pixels.shape[:2]
    heat = spread(values, width, height)
    grey = np.asarray(Image.fromarray(pixels).convert("L"), dtype=np.float32)[..., None]
    covered = (opacity * heat)[..., None]
    return (grey * (1 - covered) + _coloured(heat) * covered).round().astype(np.uint8)


def scale(width: int, height: int) -> Image.Image:
    """The colours from none to all, from left to right."""
    row = np.linspace(0, 1, width, dtype=np.float32)
    return Image.fromarray(np.tile(_coloured(row).round().astype(np.uint8), (height, 1, 1)))


def _coloured(heat: NDArray[np.float32]) -> NDArray[np.float32]:
    stops = np.array([[int(colour[at : at + 2], 16) for at in (1, 3, 5)] for colour in COLOURS], np.float32)
    places = np.linspace(0, 1, len(COLOURS))
    return np.stack([np.interp(heat, places, stops[:, channel]) for channel in range(3)], axis=-1).astype(np.float32)
