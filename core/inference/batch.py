"""Many photos at once: files, folders and zips in, one answer a photo out, in memory that doesn't grow. Torch-free."""

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from core.data.archive import open_source
from core.data.filetypes import is_litter, reason_by_name
from core.data.image import UnusablePhoto
from core.data.members import begins
from core.data.report import LeftOut
from core.data.scan import MAX_DEPTH
from core.errors import DataError
from core.inference.answers_file import PhotoAnswer

if TYPE_CHECKING:  # it brings torch along
    from core.inference.predictor import Predictor

TELL_SECONDS = 0.2  # between two looks at the progress
# Files that nobody takes for photos are passed over in silence; everything else gets an answer or a reason.
_NO_PHOTOS = frozenset(("other_file", "film", "archive_inside", "table"))


@dataclass(frozen=True)
class Source:
    """One photo: the name it is known by, and where it lies, or why it can't be looked at."""

    name: str
    file: Path | None
    problem: str = ""


@dataclass(frozen=True)
class Progress:
    """How far it is."""

    done: int
    total: int
    per_second: float


class Photos:
    """The photos that some paths mean. Folders are walked anew for each look, so that no list of them is kept.

    A zip is unpacked below ``scratch``, and its photos are known by their names inside; if several zips were named,
    with the zip's own path before that.

    Raises:
        DataError: a path doesn't exist, a zip can't be opened, or there is no photo at all.
    """

    def __init__(self, paths: Sequence[Path], scratch: Path) -> None:
        missing = next((path for path in paths if not path.exists()), None)
        if missing is not None:
            raise DataError("terminal.no_file", path=str(missing))
        several = sum(_is_zip(path) for path in paths) > 1
        self._places = [self._place(path, scratch, several) for path in paths]
        self.total = sum(1 for _ in self)
        if not self.total:
            raise DataError("many.no_photos", path=", ".join(map(str, paths[:5])))

    def __iter__(self) -> Iterator[Source]:
        for place in self._places:
            yield from place()

    def _place(self, path: Path, scratch: Path, several_zips: bool) -> Callable[[], Iterable[Source]]:
        if path.is_dir():
            return lambda: folder_photos(path, "" if path == Path() else os.path.join(path, ""))
        if not _is_zip(path):
            return lambda: [Source(str(path), path)]
        folder, left_out = open_source(path, scratch)
        before = f"{path}/" if several_zips else ""
        refused = refusals(left_out, before)
        return lambda: (*folder_photos(folder, before), *refused)


def folder_photos(folder: Path, before: str = "", inside: str = "") -> Iterator[Source]:
    """The photos below a folder in the order of their names, known by ``before`` and their path in it.

    Linked folders are not followed: they may lead in a circle.
    """
    if inside.count("/") > MAX_DEPTH:
        yield _refused(before, LeftOut(inside, "too_deep", {}))
        return
    try:
        with os.scandir(folder / inside) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError:
        yield _refused(before, LeftOut(inside, "unreadable_folder", {}))
        return
    for entry in entries:
        name = f"{inside}{entry.name}"
        if is_litter((entry.name,)):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from folder_photos(folder, before, f"{name}/")
        elif entry.is_file():
            reason = reason_by_name(entry.name)
            if reason is None:
                yield Source(before + name, folder / name)
            elif reason not in _NO_PHOTOS:
                yield _refused(before, LeftOut(name, reason, {}))


def refusals(left_out: Iterable[LeftOut], before: str = "") -> list[Source]:
    """What of a zip was not unpacked, but may have been meant as a photo."""
    return [_refused(before, row) for row in left_out if row.reason not in _NO_PHOTOS]


def answers(predictor: "Predictor", photos: Iterable[Source]) -> Iterator[PhotoAnswer]:
    """One answer a photo, in order. Only the photos on their way through the predictor are in memory."""
    waiting: deque[Source] = deque()

    def readable() -> Iterator[Path]:
        for source in photos:
            waiting.append(source)
            if source.file is not None:
                yield source.file

    for prediction in predictor.predict(readable()):
        yield from _left_out(waiting)
        name = waiting.popleft().name
        if isinstance(prediction, UnusablePhoto):
            yield PhotoAnswer(name, error=prediction.message)
        else:
            yield PhotoAnswer.of(name, prediction)
    yield from _left_out(waiting)


def watched(
    answered: Iterator[PhotoAnswer], total: int, tell: Callable[[Progress], object], *, done: int = 0
) -> Iterator[PhotoAnswer]:
    """The same answers; ``tell`` hears a few times a second, and at the end, how far they are."""
    began = told = time.monotonic()
    before = done
    for answer in answered:
        yield answer
        done += 1
        now = time.monotonic()
        if now - told >= TELL_SECONDS:
            told = now
            tell(Progress(done, total, (done - before) / (now - began)))
    tell(Progress(done, total, (done - before) / max(time.monotonic() - began, 1e-9)))


def _left_out(waiting: deque[Source]) -> Iterator[PhotoAnswer]:
    """Those at the front of the queue that never reached the predictor."""
    while waiting and waiting[0].file is None:
        source = waiting.popleft()
        yield PhotoAnswer(source.name, error=source.problem)


def _refused(before: str, row: LeftOut) -> Source:
    return Source(before + row.path, None, row.text)


def _is_zip(path: Path) -> bool:
    return path.is_file() and (path.suffix.lower() == ".zip" or begins(path).startswith(b"PK"))
