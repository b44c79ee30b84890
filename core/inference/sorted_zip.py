"""The photos of a batch sorted into folders by their class: a zip made while it is sent, one photo in memory at a time.

Torch-free. The photos are copied as they are; those without an answer are left out.
"""

import io
import shutil
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from core.data.names import collision_key, numbered, safe_path
from core.inference.answers_file import PhotoAnswer
from core.words import say

COPY_BYTES = 1 << 20


def sorted_zip(answers: Iterable[tuple[PhotoAnswer, Path]]) -> Iterator[bytes]:
    """The bytes of the zip, a photo at a time. A photo that has gone meanwhile is passed over."""
    window = _Window()
    taken: set[str] = set()
    # Photos don't compress. Sizes stand before each photo, which every unpacker can read.
    with zipfile.ZipFile(window, "w", zipfile.ZIP_STORED) as archive:
        for answer, file in answers:
            try:
                source = file.open("rb")
            except OSError:
                continue
            with source:
                info = zipfile.ZipInfo.from_file(file, _place(answer, taken), strict_timestamps=False)
                with archive.open(info, "w") as target:
                    shutil.copyfileobj(source, target, COPY_BYTES)
            yield window.take()
    yield window.take()


def _place(answer: PhotoAnswer, taken: set[str]) -> str:
    """``class/photo.jpg``, numbered where another photo has that name; both names are strangers'.

    Photos that the model doesn't know have a folder of their own: its guess would spoil a class. A class of the same
    name gets a number.
    """
    unknown = say("many.unknown_folder")
    kind = unknown if answer.unknown else answer.label or ""
    label = safe_path(kind.replace("/", "_").replace("\\", "_")) or "_"
    if not answer.unknown and collision_key(label) == collision_key(unknown):
        label = numbered(label, 2)
    wanted = f"{label}/{(safe_path(answer.path) or '_').rpartition('/')[2]}"
    place, number = wanted, 2
    while collision_key(place) in taken:
        place, number = numbered(wanted, number), number + 1
    taken.add(collision_key(place))
    return place


class _Window(io.RawIOBase):
    """A file of which only the end is kept: what was taken can't be gone back to."""

    def __init__(self) -> None:
        self._kept = io.BytesIO()
        self._gone_bytes = 0

    def take(self) -> bytes:
        """Everything written since the last time."""
        data = self._kept.getvalue()
        self._gone_bytes += len(data)
        self._kept = io.BytesIO()
        return data

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def write(self, data: bytes, /) -> int:  # type: ignore[override]
        return self._kept.write(data)

    def tell(self) -> int:
        return self._gone_bytes + self._kept.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        if whence != io.SEEK_SET or offset < self._gone_bytes:
            raise io.UnsupportedOperation(f"seek to {offset} from {whence}")
        return self._gone_bytes + self._kept.seek(offset - self._gone_bytes)
