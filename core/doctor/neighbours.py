"""The nearest photos of each photo in feature space; copies of a photo are no neighbours of it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.doctor.space import Floats

Places = NDArray[np.int64]
BLOCK_BYTES = 16_000_000  # of likenesses held at once; sorting takes four times as much beside it


@dataclass(frozen=True)
class Neighbours:
    """``places`` (n, k) of the nearest ones, the nearest first, and their ``likeness`` (n, k): nearly cosines.

    Where there are fewer than k photos besides the copies, the rest has a likeness of -inf.
    """

    places: Places
    likeness: Floats

    def first(self, count: int) -> "Neighbours":
        return Neighbours(self.places[:, :count], self.likeness[:, :count])


def nearest(points: Floats, count: int, groups: Places | None = None, among: Floats | None = None) -> Neighbours:
    """The ``count`` nearest of each of ``points`` (n, dimensions): among themselves, or ``among`` other points.

    Points with the same number in ``groups`` are no neighbours of each other; without groups no point is its own.
    All pairs are compared, in blocks, so that memory grows with the points alone.
    """
    own = among is None
    targets = points if among is None else among
    count = min(count, max(len(targets) - (1 if own else 0), 1))
    places = np.zeros((len(points), count), np.int64)
    likeness = np.full((len(points), count), -np.inf, np.float32)
    block = max(1, BLOCK_BYTES // (4 * max(len(targets), 1)))
    numbers = np.arange(len(points)) if groups is None else groups
    for start in range(0, len(points), block):
        near = points[start : start + block] @ targets.T
        if own:
            near[numbers[start : start + block, None] == numbers[None, :]] = -np.inf
        found = np.argpartition(-near, count - 1, axis=1)[:, :count]
        values = np.take_along_axis(near, found, axis=1)
        order = np.lexsort((found, -values), axis=1)  # equal ones by place, so that the order is always the same
        places[start : start + block] = np.take_along_axis(found, order, axis=1)
        likeness[start : start + block] = np.take_along_axis(values, order, axis=1)
    return Neighbours(places, likeness)
