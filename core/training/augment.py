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
from torch.nn import functional as F

SMALLEST_AREA = 0.5
ASPECT = (3 / 4, 4 / 3)
COLOUR_SHIFT = 0.2


def centre(squares: Tensor, crop: int) -> Tensor:
    """(n, 3, side, side) → (n, 3, crop, crop), the middle."""
    offset = (squares.shape[-1] - crop) // 2
    return squares[..., offset : offset + crop, offset : offset + crop]


def augmented(squares: Tensor, crop: int, kind: str, draws: list[random.Random]) -> Tensor:
    """(n, 3, side, side) uint8 → (n, 3, crop, crop) uint8; photo ``i`` is changed by what ``draws[i]`` says.

    The whole batch at once and on the device it is on: photo by photo, a GPU would wait for Python.
    """
    if kind == "none":
        return centre(squares, crop)
    if kind == "flip":
        return _mirror_some(centre(squares, crop), [draw.random() < 0.5 for draw in draws])
    return _standard(squares, crop, draws)


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


def _mirror_some(pixels: Tensor, which: list[bool]) -> Tensor:
    chosen = torch.tensor(which, device=pixels.device).view(-1, 1, 1, 1)
    return torch.where(chosen, mirrored(pixels), pixels)


def _standard(squares: Tensor, crop: int, draws: list[random.Random]) -> Tensor:
    side = squares.shape[-1]
    maps: list[list[list[float]]] = []
    colours: list[list[float]] = []
    for draw in draws:
        top, left, height, width = _random_box(side, draw)
        across = width / side * (-1 if draw.random() < 0.5 else 1)  # negative: mirrored
        # From places in the result to places in the square, both counted from -1 to 1.
        maps.append([[across, 0.0, (2 * left + width) / side - 1], [0.0, height / side, (2 * top + height) / side - 1]])
        colours.append([draw.uniform(1 - COLOUR_SHIFT, 1 + COLOUR_SHIFT) for _ in range(3)])
    places = F.affine_grid(torch.tensor(maps, device=squares.device), [len(maps), 3, crop, crop], align_corners=False)
    cut = F.grid_sample(squares.float(), places, padding_mode="border", align_corners=False)
    return _shifted(cut, torch.tensor(colours, device=squares.device)).round().to(torch.uint8)


def _shifted(pixels: Tensor, factors: Tensor) -> Tensor:
    """(n, 3, h, w) in [0, 255] with brightness, contrast and saturation multiplied by the columns of (n, 3) factors.

    Grey is ITU-R 601's luma; contrast spreads from the photo's mean grey. The same steps as torchvision's adjust_*.
    """
    brightness, contrast, saturation = (factors[:, i].view(-1, 1, 1, 1) for i in range(3))
    bright = (pixels * brightness).clamp(0, 255)
    middle = _grey(bright).mean(dim=(1, 2, 3), keepdim=True)
    spread = (contrast * bright + (1 - contrast) * middle).clamp(0, 255)
    return (saturation * spread + (1 - saturation) * _grey(spread)).clamp(0, 255)


def _grey(pixels: Tensor) -> Tensor:
    weights = torch.tensor([0.2989, 0.587, 0.114], device=pixels.device).view(1, 3, 1, 1)
    return (pixels * weights).sum(dim=1, keepdim=True)


def _random_box(side: int, draw: random.Random) -> tuple[int, int, int, int]:
    """top, left, height, width of a part of a ``side × side`` square."""
    area = side * side * draw.uniform(SMALLEST_AREA, 1.0)
    aspect = math.exp(draw.uniform(math.log(ASPECT[0]), math.log(ASPECT[1])))
    width = min(side, round(math.sqrt(area * aspect)))
    height = min(side, round(math.sqrt(area / aspect)))
    return draw.randint(0, side - height), draw.randint(0, side - width), height, width
