"""Changed copies of the training photos, so that the network learns what doesn't matter. Never for validation or test.

``flip`` mirrors left and right. ``standard`` cuts a random part (half to all of the area, sides 3:4 to 4:3), mirrors,
and shifts brightness, contrast and saturation by up to a fifth.
Source: random resized crops, Szegedy et al. 2015 (Going Deeper with Convolutions, section 6), with the smallest area
raised from 8 % to 50 %: with few photos a leaf cut down to its stem teaches the wrong thing.
"""

import math
import random

import torch
from torch import Tensor

SMALLEST_AREA = 0.5
ASPECT = (3 / 4, 4 / 3)
COLOUR_SHIFT = 0.2


def centre(squares: Tensor, crop: int) -> Tensor:
    """(n, 3, side, side) → (n, 3, crop, crop), the middle."""
    offset = (squares.shape[-1] - crop) // 2
    return squares[..., offset : offset + crop, offset : offset + crop]


def augmented(squares: Tensor, crop: int, kind: str, draws: list[random.Random]) -> Tensor:
    """(n, 3, side, side) uint8 → (n, 3, crop, crop) uint8; photo ``i`` is changed by what ``draws[i]`` says."""
    if kind == "none":
        return centre(squares, crop)
    change = _flip if kind == "flip" else _standard
    return torch.stack([change(photo, crop, draw) for photo, draw in zip(squares, draws, strict=True)])


def kept_view(squares: Tensor, crop: int, kind: str, hashes: list[str], view: int) -> Tensor:
    """View 0 is the plain centre; view 1 of ``flip`` is its mirror image; others are drawn once per photo and view."""
    if view == 0 or kind == "none":
        return centre(squares, crop)
    if kind == "flip":
        return mirrored(centre(squares, crop))
    return augmented(squares, crop, kind, [random.Random(f"{key} {view}") for key in hashes])


def mirrored(pixels: Tensor) -> Tensor:
    """Left and right exchanged: (…, h, w)."""
    return pixels.flip(-1)


def distinct_views(kind: str, views: int) -> int:
    """How many of ``views`` differ from each other: nothing changed has one, mirrored has two."""
    return {"none": 1, "flip": min(views, 2)}.get(kind, views)


def _flip(photo: Tensor, crop: int, draw: random.Random) -> Tensor:
    middle = centre(photo, crop)
    return mirrored(middle) if draw.random() < 0.5 else middle


def _standard(photo: Tensor, crop: int, draw: random.Random) -> Tensor:
    # 1.5 s to import, which runs without it needn't wait for
    from torchvision.transforms.v2 import functional as transform

    side = photo.shape[-1]
    top, left, height, width = _random_box(side, draw)
    cut = transform.resized_crop(photo, top, left, height, width, [crop, crop], antialias=True)
    if draw.random() < 0.5:
        cut = mirrored(cut)
    low, high = 1 - COLOUR_SHIFT, 1 + COLOUR_SHIFT
    cut = transform.adjust_brightness(cut, draw.uniform(low, high))
    cut = transform.adjust_contrast(cut, draw.uniform(low, high))
    return transform.adjust_saturation(cut, draw.uniform(low, high))


def _random_box(side: int, draw: random.Random) -> tuple[int, int, int, int]:
    """top, left, height, width of a part of a ``side × side`` square."""
    area = side * side * draw.uniform(SMALLEST_AREA, 1.0)
    aspect = math.exp(draw.uniform(math.log(ASPECT[0]), math.log(ASPECT[1])))
    width = min(side, round(math.sqrt(area * aspect)))
    height = min(side, round(math.sqrt(area / aspect)))
    return draw.randint(0, side - height), draw.randint(0, side - width), height, width
