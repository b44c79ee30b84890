"""Rows that are not kept, for want of disk space: computed anew each time they are asked for."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.data.image import UnusablePhoto
from core.data.pixels import Pixels, squares
from core.data.report import Sample
from core.errors import DataError
from core.models.registry import Preprocessing
from core.training.frozen import FrozenPart

BATCH = 32


class Fresh:
    """Activations of photos in a chosen order, as ``core.training.rows.Rows`` gives them, in constant disk and memory.

    Photos are decoded by threads and the frozen stages run on all that are asked for at once: ask for whole batches.
    """

    def __init__(self, part: FrozenPart, samples: Sequence[Sample], root: Path, view: int) -> None:
        self._part, self._samples, self._root, self._view = part, samples, root, view

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, which: NDArray[np.int64] | slice) -> NDArray[np.generic]:
        """The chosen rows, computed now, (n, *shape). DataError when a photo can't be read any more."""
        chosen = [self._samples[i] for i in np.arange(len(self._samples))[which]]
        shape, dtype = self._part.row("activations")
        rows = np.empty((len(chosen), *shape), dtype)
        pixels = decoded(chosen, self._root, self._part.preprocessing)
        for start in range(0, len(chosen), BATCH):
            some = chosen[start : start + BATCH]
            batch = np.stack([next(pixels) for _ in some])
            hashes = [sample.sha256 for sample in some]
            rows[start : start + BATCH] = self._part.make(batch, hashes, self._view, ("activations",))["activations"]
        return rows


def decoded(samples: Iterable[Sample], root: Path, preprocessing: Preprocessing) -> Iterator[Pixels]:
    """The square of each photo in order, (side, side, 3) uint8, some decoded ahead.

    Raises:
        DataError: a photo can't be read any more.
    """
    paths: list[str] = []  # of photos that are on their way

    def asked() -> Iterator[Path]:
        for sample in samples:
            paths.append(sample.path)
            yield root / sample.path

    for square in squares(asked(), preprocessing.resize, preprocessing.interpolation):
        path = paths.pop(0)
        if isinstance(square, UnusablePhoto):
            raise DataError("training.photo_lost", path=path, reason=square.message)
        yield square
