"""A store of equally shaped arrays, one a photo, kept on disk by the photo's hash. Append-only, safe to kill.

Two files grow side by side: ``data`` (the arrays, one after the other) and ``keys`` (32 bytes of SHA-256 each). A row
counts once its key is whole, and keys are written after data: a torn end is cut off at the next opening. So a feature
phase that was killed goes on where it was, and another run on the same photos finds its rows.
"""

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

KEY_BYTES = 32


class RowStore:
    """Rows of one shape and dtype below ``folder``. Hold it as a context: one process writes at a time."""

    def __init__(self, folder: Path, shape: tuple[int, ...], dtype: str) -> None:
        self.folder = folder
        self.shape = shape
        self.dtype = np.dtype(dtype)
        self.row_bytes = int(np.prod(shape)) * self.dtype.itemsize
        self._lock = FileLock(folder / "lock")
        self._places: dict[str, int] = {}

    def __enter__(self) -> "RowStore":
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock.acquire()
        self._trim()
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def _keys(self) -> Path:
        return self.folder / "keys"

    def missing(self, hashes: Sequence[str]) -> list[int]:
        """The places in ``hashes`` whose rows are not here yet; of equal hashes only the first."""
        seen: set[str] = set()
        return [i for i, key in enumerate(hashes) if key not in self._places and not (key in seen or seen.add(key))]

    def append(self, hashes: Sequence[str], rows: NDArray[np.generic]) -> None:
        """Keep ``rows`` (n, *shape) under their hashes."""
        block = np.ascontiguousarray(rows, dtype=self.dtype)
        if block.shape != (len(hashes), *self.shape):
            raise ValueError(f"rows of shape {block.shape} for {len(hashes)} keys of {self.shape}")
        with self._data.open("ab") as data, self._keys.open("ab") as keys:
            data.write(block.tobytes())
            data.flush()
            keys.write(b"".join(bytes.fromhex(key) for key in hashes))
        for key in hashes:
            self._places[key] = len(self._places)

    def rows(self, hashes: Sequence[str]) -> "Rows":
        """The rows of ``hashes`` in that order; KeyError where one is missing."""
        places = np.array([self._places[key] for key in hashes], dtype=np.int64)
        count = len(self._places)
        if not count:
            return Rows(np.empty((0, *self.shape), self.dtype), places)
        return Rows(np.memmap(self._data, self.dtype, "r", shape=(count, *self.shape)), places)

    def _trim(self) -> None:
        """Forget a torn end and read which rows are whole."""
        sizes = [path.stat().st_size if path.exists() else 0 for path in (self._data, self._keys)]
        count = min(sizes[0] // self.row_bytes, sizes[1] // KEY_BYTES)
        for path, width in ((self._data, self.row_bytes), (self._keys, KEY_BYTES)):
            if path.exists() and path.stat().st_size != count * width:
                os.truncate(path, count * width)
        raw = self._keys.read_bytes() if count else b""
        self._places = {raw[i * KEY_BYTES : (i + 1) * KEY_BYTES].hex(): i for i in range(count)}

    def remove(self) -> None:
        """Give the disk space back; call it outside the context."""
        for path in (self._data, self._keys, self.folder / "lock"):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()


class Rows:
    """Rows in a chosen order, read from disk when they are asked for."""

    def __init__(self, data: NDArray[np.generic], places: NDArray[np.int64]) -> None:
        self._data = data
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, which: NDArray[np.int64] | slice) -> NDArray[np.generic]:
        """A copy of the chosen rows, (n, *shape)."""
        return np.asarray(self._data[self._places[which]])
