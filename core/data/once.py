"""Each photo's bytes lie on the disk once, however many data sets and folders hold it. Torch-free.

``workspace/<owner>/photos/<ab>/<sha256>`` and every copy in a data set are names of one file (hard links). The file
system counts them, so nothing has to be kept in step: a file whose only name is the one here belongs to no data set.
Where a file system has no hard links, copies stay copies.
"""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from core.data.report import Photo


def keep_once(root: Path, photos: Iterable[Photo], kept: Path) -> int:
    """Let equal photos below ``root`` and in ``kept`` share their bytes; returns the bytes that this saved."""
    saved = 0
    for photo in photos:
        own, shared = root / photo.path, place(kept, photo.sha256)
        try:
            if _joined(own, shared, photo.bytes):
                saved += photo.bytes
        except OSError:  # no hard links here, or too many of one file: it stays a copy
            continue
    return saved


def place(kept: Path, sha256: str) -> Path:
    return kept / sha256[:2] / sha256


def forget_unused(kept: Path, hashes: Iterable[str]) -> int:
    """Remove those of these photos that no data set holds any more; returns the bytes that this freed."""
    freed = 0
    for sha256 in set(hashes):
        with suppress(OSError):
            facts = place(kept, sha256).stat()
            if facts.st_nlink == 1:
                place(kept, sha256).unlink()
                freed += facts.st_size
    return freed


def _joined(own: Path, shared: Path, size: int) -> bool:
    """Make both names of one file; True where there were two files before."""
    facts = own.stat(follow_symlinks=False)
    if not shared.exists():
        shared.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):  # another process was quicker
            os.link(own, shared, follow_symlinks=False)
            return False
    there = shared.stat()
    if os.path.samestat(facts, there):
        return False
    if there.st_size != size:  # not what its name says: somebody wrote into it, so it is trusted no more
        return False
    beside = own.with_name(f".{own.name[:80]}.{os.getpid()}.link")
    os.link(shared, beside)
    os.replace(beside, own)  # at no moment is the photo not there
    return True
