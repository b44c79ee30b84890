"""Mixing two photos of a batch and their labels: mixup blends them, CutMix puts a patch of one into the other.

Where the first stages are frozen, what is mixed is what leaves them, as in manifold mixup (Verma et al. 2019).
Source: mixup, Zhang et al. 2018; CutMix, Yun et al. 2019, section 3.1.
"""

import math

import numpy as np
import torch
from torch import Tensor

from core.config import TrainConfig


class Mixer:
    """Mixes as the settings say; with both, each batch gets one of the two by the toss of a coin."""

    def __init__(self, config: TrainConfig) -> None:
        self.mixup, self.cutmix, self.seed = config.mixup, config.cutmix, config.seed
        self.acts = self.mixup > 0 or self.cutmix > 0

    def __call__(self, x: Tensor, wanted: Tensor, epoch: int, step: int) -> tuple[Tensor, Tensor]:
        """(n, …) and (n, classes) → the same shapes; drawn from the seed, the epoch and the step alone."""
        draw = np.random.default_rng([self.seed, epoch, step])
        other = torch.from_numpy(draw.permutation(len(x))).to(x.device)
        cuts = self.cutmix > 0 and x.dim() == 4 and (self.mixup == 0 or draw.random() < 0.5)
        if cuts:
            share = float(draw.beta(self.cutmix, self.cutmix))
            # Swin's maps are (rows, columns, channels), all others' (channels, rows, columns).
            swapped = x.shape[1] == x.shape[2] != x.shape[3]
            maps, share = _cut(x.permute(0, 3, 1, 2) if swapped else x, other, share, draw)
            x = maps.permute(0, 2, 3, 1) if swapped else maps
        else:
            # A list of numbers or of tokens has no patches: it is blended instead.
            alpha = self.mixup or self.cutmix
            share = float(draw.beta(alpha, alpha))
            x = share * x + (1 - share) * x[other]
        return x, share * wanted + (1 - share) * wanted[other]


def _cut(x: Tensor, other: Tensor, share: float, draw: np.random.Generator) -> tuple[Tensor, float]:
    """(n, channels, h, w) with a patch of (1 - share) of the area from another photo; returns what share is left."""
    height, width = x.shape[-2:]
    side = math.sqrt(1 - share)
    middle_y, middle_x = draw.integers(height), draw.integers(width)
    half_y, half_x = height * side / 2, width * side / 2
    top, bottom = max(0, round(middle_y - half_y)), min(height, round(middle_y + half_y))
    left, right = max(0, round(middle_x - half_x)), min(width, round(middle_x + half_x))
    mixed = x.clone()
    mixed[..., top:bottom, left:right] = x[other][..., top:bottom, left:right]
    return mixed, 1 - (bottom - top) * (right - left) / (height * width)
