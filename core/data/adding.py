"""More photos for a data set: looked at apart, then put beside the others as its next version. Torch-free.

Killed at any point, nothing is lost or doubled. What arrived lies in ``arriving-<id>/`` until its report is written;
it is then moved into the photos' folder, and last the history says so.
"""

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from core.data import mending
from core.data.alike import find_together
from core.data.facts import Facts, write_facts
from core.data.findings import find
from core.data.layout import Place
from core.data.names import numbered
from core.data.report import DatasetReport, LeftOut, Photo
from core.data.store import Dataset, columns_of, compact, facts_of, history_of, read_scan, write_report
from core.errors import CoreError
from core.workspace import write_atomically

FOLDER = "added"
Look = Callable[[Dataset], DatasetReport]  # unpacks zips and scans; adds what it measured to the data set's facts


def take_in(dataset: Dataset, look: Look) -> None:
    """Bring in everything that has arrived. Raises CoreError for what can't be used: that one is cleared away."""
    _finish(dataset)
    for arrived in dataset.arriving:
        try:
            found = look(replace(dataset, folder=arrived, root=arrived / "photos"))
        except CoreError as error:
            if error.key != "data.archive.disk_full":  # then it can be tried again once there is room
                _clear(arrived)
            raise
        _put_beside(dataset, arrived, found)


def is_arriving(dataset: Dataset) -> bool:
    """Whether this is what has arrived for a data set, as ``take_in`` hands it out to be looked at."""
    return dataset.folder.name.startswith("arriving-")


def home_of(dataset: Dataset) -> Path:
    """The folder of the data set that the photos are for."""
    return dataset.folder.parent if is_arriving(dataset) else dataset.folder


def look_again(dataset: Dataset, found: DatasetReport) -> None:
    """A folder on the server was looked at once more: what lies there now is the next version."""
    number = _next_number(dataset)
    write_report(dataset, found, number)
    mending.add_step(dataset, "looked_again", report=number, values={"n": len(found.photos)})


def _put_beside(dataset: Dataset, arrived: Path, found: DatasetReport) -> None:
    number = _next_number(dataset)
    folder = _free_folder(dataset)
    facts = {**facts_of(dataset), **facts_of(replace(dataset, folder=arrived))}
    write_facts(dataset, facts)
    _join_columns(dataset, arrived, folder)
    write_report(dataset, _merged(dataset, found, folder, facts), number)
    (arrived / "into").write_text(f"{number} {folder}", "utf-8")
    _move_in(dataset, arrived)


def _finish(dataset: Dataset) -> None:
    """What was killed after its report was written goes on from there."""
    for arrived in dataset.arriving:
        if (arrived / "into").exists():
            _move_in(dataset, arrived)


def _move_in(dataset: Dataset, arrived: Path) -> None:
    text, _, folder = (arrived / "into").read_text("utf-8").partition(" ")
    number = int(text)
    if (arrived / "photos").exists():
        os.rename(arrived / "photos", dataset.root / folder)
    if all(step.report != number for step in history_of(dataset).steps):
        came = sum(path.startswith(f"{folder}/") for path in _paths(read_scan(dataset, number)))
        mending.add_step(dataset, "add", report=number, values={"n": came})
    _clear(arrived)


def _clear(arrived: Path) -> None:
    shutil.rmtree(arrived)


def _paths(report: DatasetReport) -> list[str]:
    return [photo.path for photo in (*report.photos, *report.unlabelled)]


def _next_number(dataset: Dataset) -> int:
    """Of the next scan: no step speaks of it yet."""
    return max([1, *(step.report or 1 for step in history_of(dataset).steps)]) + 1


def _free_folder(dataset: Dataset) -> str:
    """``added``, or ``added (2)`` where that is there."""
    folder, number = FOLDER, 2
    while (dataset.root / folder).exists():
        folder, number = numbered(FOLDER, number), number + 1
    return folder


def _join_columns(dataset: Dataset, arrived: Path, folder: str) -> None:
    """What a table that came along says of the new photos, beside what one said of the others."""
    told = columns_of(replace(dataset, folder=arrived))
    if not told:
        return
    joined = {name: dict(values) for name, values in columns_of(dataset).items()}
    for name, values in told.items():
        joined.setdefault(name, {}).update({f"{folder}/{path}": value for path, value in values.items()})
    write_atomically(dataset.columns, compact(joined))


def _merged(dataset: Dataset, found: DatasetReport, folder: str, facts: Mapping[str, Facts]) -> DatasetReport:
    """What lay there before, as scanned, with what has come."""
    before = read_scan(dataset, history_of(dataset).state().report)
    photos = tuple(sorted((*before.photos, *_below(found.photos, folder)), key=lambda photo: photo.path))
    unlabelled = (*before.unlabelled, *_below(found.unlabelled, folder))
    left_out = (*before.left_out, *(LeftOut(f"{folder}/{row.path}", row.reason, row.values) for row in found.left_out))
    places = {photo.path: Place(photo.label, photo.part, None) for photo in photos}
    return replace(
        before,
        photos=photos,
        unlabelled=tuple(sorted(unlabelled, key=lambda photo: photo.path)),
        left_out=left_out,
        findings=find(photos, {p.path for p in photos if p.sha256 in facts and facts[p.sha256].animated}, places),
        together=find_together((*photos, *unlabelled), facts),
    )


def _below(photos: tuple[Photo, ...], folder: str) -> list[Photo]:
    return [replace(photo, path=f"{folder}/{photo.path}") for photo in photos]
