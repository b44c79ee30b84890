"""A store of equally shaped arrays, one a photo, kept on disk by the photo's hash. Append-only, safe to kill.

Two files grow side by side: ``data`` (the arrays, one after the other) and ``keys`` (32 bytes of SHA-256 each). A row
counts once its key and its data are whole, and keys are written after data. So a feature phase that was killed goes on
where it was, and another run on the same photos finds its rows.

Any number of processes may use one store at once. Reading takes no lock: it looks how far the files have grown. Only
``append`` takes the store's lock, for the milliseconds of one batch. Two processes that compute the same photos at the
same moment waste work, but no photo is kept twice.
"""

import contextlib
import errno
import os
import threading
import weakref
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from core.errors import DataError

KEY_BYTES = 32
DISK_IS_FULL = {errno.ENOSPC, errno.EDQUOT}
Places = NDArray[np.int64]
Array = NDArray[np.generic]


class Readable(Protocol):
    """Rows in a chosen order, wherever they come from: ``Rows`` of a store, or ``Fresh`` ones."""

    def __len__(self) -> int: ...

    def __getitem__(self, which: Places | slice) -> Array:
        """A copy of the chosen rows, (n, *shape)."""
        ...


def gathered(sets: Sequence[Readable], which: NDArray[np.integer | np.bool_], places: Places) -> Array:
    """Row ``places[i]`` of ``sets[which[i]]`` for each i, (n, *shape); each set is asked once."""
    found = {int(number): sets[int(number)][places[which == number]] for number in np.unique(which)}
    some = next(iter(found.values()), None)
    if some is None:
        return sets[0][places]
    rows = np.empty((len(places), *some.shape[1:]), some.dtype)
    for number, chosen in found.items():
        rows[which == number] = chosen
    return rows


class RowStore:
    """Rows of one shape and dtype below ``folder``, which is made with the first row."""

    def __init__(self, folder: Path, shape: tuple[int, ...], dtype: str) -> None:
        self.folder = folder
        self.shape = shape
        self.dtype = np.dtype(dtype)
        self.row_bytes = int(np.prod(shape)) * self.dtype.itemsize
        self._data, self._keys = folder / "data", folder / "keys"
        self._places: dict[bytes, int] = {}
        self._last = b""  # the key read last

    def __len__(self) -> int:
        self._catch_up()
        return len(self._places)

    def missing(self, hashes: Sequence[str]) -> list[int]:
        """The places in ``hashes`` whose rows are not here yet; of equal hashes only the first."""
        self._catch_up()
        return self._not_here([bytes.fromhex(key) for key in hashes])

    def append(self, hashes: Sequence[str], rows: Array) -> None:
        """Keep those of ``rows`` (n, *shape) that are not here yet under their hashes.

        Raises:
            DataError: the disk is full.
        """
        block = np.ascontiguousarray(rows, dtype=self.dtype)
        if block.shape != (len(hashes), *self.shape):
            raise ValueError(f"rows of shape {block.shape} for {len(hashes)} keys of {self.shape}")
        keys = [bytes.fromhex(key) for key in hashes]
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / "lock"):
            self._catch_up()
            self._cut_torn_end()
            new = self._not_here(keys)
            if not new:
                return
            try:
                _write(self._data, block if len(new) == len(keys) else block[new])
                _write(self._keys, np.frombuffer(b"".join(keys[i] for i in new), np.uint8))
            except OSError as error:
                self._catch_up()  # what became whole may have been seen by others and stays
                self._cut_torn_end()
                if error.errno in DISK_IS_FULL:
                    raise DataError("training.disk_full", folder=self.folder.parent) from error
                raise
            self._catch_up()

    def rows(self, hashes: Sequence[str]) -> "Rows":
        """The rows of ``hashes`` in that order; KeyError where one is missing. Marks the store as used now."""
        self._catch_up()
        places = np.array([self._places[bytes.fromhex(key)] for key in hashes], dtype=np.int64)
        self.touch()
        return Rows(_OpenFile(self._data) if len(places) else None, self.shape, self.dtype, places)

    def touch(self) -> None:
        """Say that somebody uses the store, so that it isn't pruned."""
        if self.folder.is_dir():
            (self.folder / "used").touch()

    def _not_here(self, keys: Sequence[bytes]) -> list[int]:
        seen: set[bytes] = set()
        return [i for i, key in enumerate(keys) if key not in self._places and not (key in seen or seen.add(key))]

    def _catch_up(self) -> None:
        """Read the keys of whole rows that this or another process has added since the last look."""
        known = len(self._places)
        try:
            with self._keys.open("rb") as keys:
                size = os.fstat(keys.fileno()).st_size
                count = min(size // KEY_BYTES, self._data.stat().st_size // self.row_bytes)
                if known:
                    keys.seek((known - 1) * KEY_BYTES)
                    if count < known or keys.read(KEY_BYTES) != self._last:  # it was removed and begun anew
                        known, self._places = 0, {}
                        keys.seek(0)
                raw = keys.read((count - known) * KEY_BYTES)
        except FileNotFoundError:
            self._places = {}
            return
        for start in range(0, len(raw) - KEY_BYTES + 1, KEY_BYTES):
            self._last = raw[start : start + KEY_BYTES]
            self._places[self._last] = len(self._places)

    def _cut_torn_end(self) -> None:
        """Forget what a killed writer left half done; only under the lock."""
        for path, width in ((self._data, self.row_bytes), (self._keys, KEY_BYTES)):
            whole = len(self._places) * width
            if path.exists() and path.stat().st_size > whole:
                os.truncate(path, whole)


class Rows:
    """Rows in a chosen order, read from disk when they are asked for.

    With plain reads, not a memory map: pages of a map count as the process's own memory, which would grow with every
    photo that was ever looked at. The file stays open, so rows that another process prunes can still be read here.
    """

    def __init__(self, file: "_OpenFile | None", shape: tuple[int, ...], dtype: np.dtype, places: Places) -> None:
        self._file = file
        self._shape = shape
        self._dtype = dtype
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, which: Places | slice) -> Array:
        """A copy of the chosen rows, (n, *shape)."""
        places = self._places[which]
        rows = np.empty((len(places), *self._shape), self._dtype)
        if self._file is None or not len(places):
            return rows
        row_bytes = rows.nbytes // len(places)
        view = rows.reshape(-1).view(np.uint8).data
        # Neighbours on disk are read in one go.
        edges = [0, *(np.flatnonzero(np.diff(places) != 1) + 1).tolist(), len(places)]
        for first, last in pairwise(edges):
            self._file.read_into(view[first * row_bytes : last * row_bytes], int(places[first]) * row_bytes)
        return rows


class _OpenFile:
    """A file open for reading at any place, by several threads at once; closed when nobody holds it any more."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        self._lock = threading.Lock()
        weakref.finalize(self, os.close, self._descriptor)

    def read_into(self, view: memoryview, offset: int) -> None:
        while len(view):
            count = self._read(view, offset)
            if not count:
                raise EOFError("kept rows end too early")
            view, offset = view[count:], offset + count

    if hasattr(os, "preadv"):

        def _read(self, view: memoryview, offset: int) -> int:
            return os.preadv(self._descriptor, [view], offset)

    else:  # Windows

        def _read(self, view: memoryview, offset: int) -> int:
            with self._lock:
                os.lseek(self._descriptor, offset, os.SEEK_SET)
                part = os.read(self._descriptor, len(view))
            view[: len(part)] = part
            return len(part)


def _write(path: Path, block: Array) -> None:
    with path.open("ab") as file:
        file.write(block.reshape(-1).view(np.uint8).data)


# ---- What pruning needs to know of a store's files ------------------------------------------------------------------


def stores(cache: Path) -> list[Path]:
    """The folders below ``cache`` that hold rows."""
    return sorted(path.parent for path in cache.glob("*/keys"))


def size_in_bytes(folder: Path) -> int:
    """What a store takes."""
    return sum(path.stat().st_size for name in ("data", "keys") if (path := folder / name).exists())


def last_used(folder: Path) -> float:
    """When rows were last written or asked for, in seconds since 1970."""
    return max((path.stat().st_mtime for name in ("used", "keys") if (path := folder / name).exists()), default=0.0)


def forget(folder: Path, *, unless_used_since: float) -> bool:
    """Remove a store's rows, unless somebody writes or has used it since; says whether they are gone.

    The lock's file stays: another process may be waiting for it, and would otherwise hold a lock that nobody sees.
    """
    try:
        with FileLock(folder / "lock", timeout=0):
            if last_used(folder) >= unless_used_since:
                return False
            for name in ("keys", "data", "used"):
                with contextlib.suppress(FileNotFoundError):
                    (folder / name).unlink()
            return True
    except (Timeout, PermissionError):  # in use; Windows keeps files that are open
        return False
