"""From a folder of photos to a report: every file is looked at, every photo really decoded. Torch-free."""

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from core.data import matching
from core.data.alike import find_together
from core.data.facts import SIDE, Facts, measure
from core.data.filetypes import is_litter, reason_by_name
from core.data.findings import PHOTOS_NAMED, find
from core.data.image import UnusablePhoto, open_photo, read_file
from core.data.layout import Layout, Loose, NoPlace, Parts, Place, find_layout, part_of
from core.data.report import DatasetReport, Finding, LeftOut, Photo
from core.data.tables import is_table
from core.errors import DataError

MAX_DEPTH = 32  # folders; deeper lies nothing that a person arranged
BATCH = 16  # photos a task: handing them over one by one costs 8 % of the time
THREADS = min(8, max(2, os.cpu_count() or 2))


@dataclass(frozen=True)
class Checked:
    """A photo that was read and decoded."""

    sha256: str
    width: int
    height: int
    bytes: int
    animated: bool
    facts: Facts


@dataclass
class _Found:
    """What lies below a folder."""

    photos: list[Parts]  # files that may be photos, by their names
    folders: list[Parts]
    closed: list[Parts]  # folders that can't be looked into
    left_out: list[LeftOut]
    tables: list[str]


def scan(
    root: Path,
    *,
    loose: Loose = "left_out",
    on_progress: Callable[[int, int], None] | None = None,
    facts: dict[str, Facts] | None = None,
) -> DatasetReport:
    """Look at every file below ``root`` and report the photos, their classes, and what can't be used.

    Where the folders name fewer than two classes, a table (CSV) that came with the photos may. ``loose`` says what
    becomes of photos of which neither says what they show. Links are not followed. ``on_progress`` is called in this
    thread with the number of photos looked at and of all. ``facts`` is filled with what was measured, by SHA-256.

    Raises:
        DataError: there is no such folder, or no usable photo in the folder of a class.
    """
    root = _opened(Path(root))
    found = _walk(root)
    if not found.photos:
        raise _no_photos(root, found)
    layout, places, table = _placed(root, found, loose)
    placed = {path: place for path, place in places.items() if isinstance(place, Place)}
    left_out = found.left_out + _empty_classes(found, layout)
    left_out += [
        LeftOut(path, place.reason, place.values) for path, place in places.items() if isinstance(place, NoPlace)
    ]
    if not any(place.label or loose == "unlabelled" for place in placed.values()):
        raise DataError("data.scan.no_classes", path=root, n=len(places))
    photos: list[Photo] = []
    animated: set[str] = set()
    facts = {} if facts is None else facts
    for done, (path, result) in enumerate(_check_all(root, list(placed)), start=1):
        if isinstance(result, Checked):
            place = placed[path]
            photos.append(
                Photo(path, place.label, place.part, result.sha256, result.width, result.height, result.bytes)
            )
            facts[result.sha256] = result.facts
            if result.animated:
                animated.add(path)
        else:
            left_out.append(result)
        if on_progress and (done % BATCH == 0 or done == len(placed)):
            on_progress(done, len(placed))
    if not photos:
        first = next(entry for entry in left_out if entry.path in placed)
        raise DataError("data.scan.none_usable", path=root, n=len(placed), first=first.path, why=first.text)
    left_out.sort(key=lambda entry: entry.path)
    labelled = tuple(photo for photo in photos if photo.label)
    unlabelled = tuple(photo for photo in photos if not photo.label)
    findings = (*table, *find(labelled, animated, placed), *_of_unlabelled(unlabelled))
    together = find_together(photos, facts)
    return DatasetReport(str(root), labelled, tuple(left_out), findings, layout.kind, unlabelled, together=together)


def _placed(root: Path, found: _Found, loose: Loose) -> tuple[Layout, dict[str, Place | NoPlace], tuple[Finding, ...]]:
    """Where each photo belongs: by its folder or, where folders name fewer than two classes, by a table."""
    layout = find_layout(found.photos, loose)
    places = {"/".join(path): layout.place(path) for path in sorted(found.photos)}
    labels = {place.label for place in places.values() if isinstance(place, Place)} - {""}
    read = matching.best(root, found.tables, list(places)) if len(labels) < 2 and found.tables else None
    if read is not None and len(read.classes) > len(labels):
        found.left_out = [entry for entry in found.left_out if entry.path != read.table]
        return layout, _by_table(read, places, loose), _of_table(read)
    return layout, places, ()


def _by_table(read: matching.Read, places: Mapping[str, Place | NoPlace], loose: Loose) -> dict[str, Place | NoPlace]:
    by_table: dict[str, Place | NoPlace] = {}
    for path, place in places.items():
        label = read.applied.labels.get(path, "")
        if not label and loose == "left_out":
            by_table[path] = NoPlace("untold", {"table": read.table})
        else:
            part = read.applied.parts.get(path)
            if part is None and isinstance(place, Place):
                part = place.part
            by_table[path] = Place(label, part, None)
    return by_table


def _of_table(read: matching.Read) -> tuple[Finding, ...]:
    values = {"file": read.table, "column": read.label_name, "n": len(read.applied.labels)}
    found = [Finding("table", values)]
    if lost := read.applied.unmatched_count:
        found.append(Finding("table_unmatched", {"file": read.table, "n": lost, "first": read.applied.unmatched[0]}))
    if torn := read.applied.torn:
        found.append(Finding("table_torn", {"file": read.table, "n": len(torn)}, torn[:PHOTOS_NAMED]))
    return tuple(found)


def _of_unlabelled(photos: Sequence[Photo]) -> tuple[Finding, ...]:
    paths = tuple(photo.path for photo in photos[:PHOTOS_NAMED])
    return (Finding("unlabelled", {"n": len(photos)}, paths),) if photos else ()


def check(path: Path | str) -> Checked:
    """Read, hash, decode and measure one photo. Raises UnusablePhoto."""
    data = read_file(path)
    # Scaled down, a JPEG's every byte is still read, so that a file that ends too early is found.
    opened = open_photo(data, shorter_side=SIDE)
    sha256 = hashlib.sha256(data).hexdigest()
    return Checked(sha256, opened.width, opened.height, len(data), opened.animated, measure(opened))


def _opened(root: Path) -> Path:
    try:
        if not root.exists():
            raise DataError("data.scan.missing", path=root)
        if not root.is_dir():
            raise DataError("data.scan.not_a_folder", path=root)
        root = root.resolve()
        with os.scandir(root):
            return root
    except (OSError, ValueError):
        raise DataError("data.scan.not_allowed", path=root) from None


def _walk(root: Path) -> _Found:
    found = _Found([], [], [], [], [])
    waiting: list[Parts] = [()]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(root.joinpath(*folder)) as entries:
                for entry in entries:
                    _look_at(entry, (*folder, entry.name), found, waiting)
        except OSError:
            found.closed.append(folder)
            found.left_out.append(LeftOut("/".join(folder), "unreadable_folder", {}))
    return found


def _look_at(entry: os.DirEntry[str], path: Parts, found: _Found, waiting: list[Parts]) -> None:
    if is_litter((entry.name,)):
        return
    reason = None
    if not _is_text(entry.name):
        reason = "bad_name"
    elif entry.is_symlink() or getattr(entry, "is_junction", bool)():  # Windows' links of folders, from Python 3.12
        reason = "link"
    elif entry.name.startswith("."):
        reason = "hidden"
    elif entry.is_dir(follow_symlinks=False):
        if len(path) > MAX_DEPTH:
            reason = "too_deep"
        else:
            waiting.append(path)
            found.folders.append(path)
            return
    elif not entry.is_file(follow_symlinks=False):
        reason = "not_a_file"
    elif is_table(entry.name):
        reason = "table"
        found.tables.append("/".join(path))
    else:
        reason = reason_by_name(entry.name)
    if reason is None:
        found.photos.append(path)
    else:
        shown = "/".join(path).encode("utf-8", "replace").decode()
        found.left_out.append(LeftOut(shown, reason, {}))


def _is_text(name: str) -> bool:
    """False for a name of bytes that aren't UTF-8, which Python hands out with lone surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _empty_classes(found: _Found, layout: Layout) -> list[LeftOut]:
    """Folders where class folders are, or above, without any photo: the outermost of them."""
    with_photos = {path[:depth] for path in found.photos for depth in range(1, len(path))}
    with_photos |= {path[:depth] for path in found.closed for depth in range(1, len(path) + 1)}  # who knows
    empty = {folder for folder in found.folders if folder not in with_photos and len(folder) <= layout.class_depth}
    if layout.kind == "parts":
        at_class = layout.class_depth - 1
        empty = {f for f in empty if len(f) <= at_class or part_of(f[at_class - 1])}
    outermost = [folder for folder in empty if folder[:-1] not in empty]
    return [LeftOut("/".join(folder), "no_photos_inside", {}) for folder in outermost]


def _check_all(root: Path, paths: Sequence[str]) -> Iterator[tuple[str, Checked | LeftOut]]:
    """The result for each path in order. A bounded number of batches is under way, each holding no pixels once done."""
    batches = [paths[start : start + BATCH] for start in range(0, len(paths), BATCH)]
    with ThreadPoolExecutor(THREADS, thread_name_prefix="scan") as pool:
        waiting: deque[Future[list[Checked | LeftOut]]] = deque()
        try:
            for place, batch in enumerate(batches):
                waiting.append(pool.submit(_check_batch, str(root), batch))
                if place >= 2 * THREADS:
                    yield from zip(batches[place - 2 * THREADS], waiting.popleft().result(), strict=True)
            for batch in batches[-len(waiting) :]:
                yield from zip(batch, waiting.popleft().result(), strict=True)
        finally:
            for future in waiting:
                future.cancel()


def _check_batch(root: str, paths: Sequence[str]) -> list[Checked | LeftOut]:
    results: list[Checked | LeftOut] = []
    for path in paths:
        try:
            results.append(check(f"{root}/{path}"))
        except UnusablePhoto as error:
            results.append(LeftOut(path, error.reason, error.values))  # the error itself would keep the bytes alive
    return results


def _no_photos(root: Path, found: _Found) -> DataError:
    if not found.left_out:
        return DataError("data.scan.empty", path=root)
    first = min(found.left_out, key=lambda entry: entry.path)
    return DataError("data.scan.no_photos", path=root, n=len(found.left_out), first=first.path, why=first.text)
