"""The process that looks at a data set's photos: ``python -m core.data.scanning DATASET_DIRECTORY``. Torch-free."""

import os
import shutil
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from filelock import Timeout

from core.data import adding, demo, matching, once
from core.data.archive import unpack
from core.data.facts import Facts, read_facts, write_facts
from core.data.names import numbered
from core.data.report import DatasetReport, LeftOut
from core.data.scan import scan
from core.data.store import Dataset, compact, read_dataset, read_or_nothing, write_columns, write_report
from core.data.tables import find_tables
from core.errors import CoreError, DataError
from core.processes import beating
from core.workspace import photos_of, write_atomically

TELL_SECONDS = 0.2  # between two writes of the progress
LOCK_SECONDS = 2.0  # a page may be trying the lock just when we start; it lets go within microseconds

Unpacked = dict[str, dict[str, Any]]  # per zip: the folder it became, and what was left out


def work(dataset: Dataset) -> None:
    """Bring the photos into their folder if need be, scan them, and write what came of it."""
    lock = dataset.scan_lock()
    try:
        lock.acquire(timeout=LOCK_SECONDS)
    except Timeout:
        print("Another process is scanning this data set.")
        return
    try:
        with beating(dataset.heartbeat):
            _tell_outcome(dataset)
    finally:
        lock.release()


def _tell_outcome(dataset: Dataset) -> None:
    try:
        if dataset.report.exists() and dataset.kind != "server":
            adding.take_in(dataset, _look)
            return
        report = _look(dataset)
    except CoreError as error:
        _fail(dataset, _about(dataset, error))
    except OSError as error:
        traceback.print_exc()  # into scan.log
        _fail(dataset, DataError("dataset.disk", name=dataset.name, problem=error.strerror or type(error).__name__))
    else:
        if dataset.report.exists():
            adding.look_again(dataset, report)
        else:
            write_report(dataset, report)


def _look(dataset: Dataset) -> DatasetReport:
    """Scan a data set, or what has arrived for one and still lies apart."""
    left_out: list[LeftOut] = []
    if dataset.kind == "upload" or adding.is_arriving(dataset):
        left_out = _unpack_all(dataset)
    elif dataset.kind == "demo":
        _draw_demo(dataset)
    facts: dict[str, Facts] = {}
    report = scan(dataset.root, loose="unlabelled", on_progress=_teller(dataset, "scan"), facts=facts)
    _write_columns(dataset, report)
    home = replace(dataset, folder=adding.home_of(dataset))
    write_facts(home, {**read_facts(home), **facts})  # before the report: where there is a report, there are its facts
    if dataset.kind != "server" or adding.is_arriving(dataset):
        once.keep_once(dataset.root, (*report.photos, *report.unlabelled), photos_of(adding.home_of(dataset)))
    return replace(report, left_out=tuple(sorted([*report.left_out, *left_out], key=lambda entry: entry.path)))


def _write_columns(dataset: Dataset, report: DatasetReport) -> None:
    """What else a table says of the photos: they may be kept together by it."""
    paths = [photo.path for photo in (*report.photos, *report.unlabelled)]
    read = matching.best(dataset.root, find_tables(dataset.root), paths)
    if read is not None and (told := matching.values(read.source, read.columns, paths)):
        write_columns(dataset, told)


def _draw_demo(dataset: Dataset) -> None:
    if dataset.root.exists():
        return
    drawing = dataset.folder / "drawing"
    demo.make(drawing, on_progress=_teller(dataset, "demo"))
    os.rename(drawing, dataset.root)


# Zips


def _unpack_all(dataset: Dataset) -> list[LeftOut]:
    """Turn what was uploaded as zips into folders. Killed at any point, the next scan loses and doubles no photo."""
    zipped = dataset.folder / "zipped"
    if not zipped.exists() and _has_only_a_zip(dataset.root):
        os.rename(dataset.root, zipped)
    if zipped.exists():
        if not dataset.root.exists():
            _unpack(dataset, next(zipped.iterdir()), dataset.root)
        shutil.rmtree(zipped)
    for archive in sorted(dataset.root.glob("*.[zZ][iI][pP]")):
        try:
            _unpack_beside(dataset, archive)
        except DataError as error:
            if error.key == "data.archive.disk_full":
                raise
            print(f"{archive.name}: {error}")  # one that can't be opened stays, and the scan lists it
    rows = [row for entry in _read_unpacked(dataset).values() for row in entry["left_out"]]
    return [LeftOut(**row) for row in rows]


def _has_only_a_zip(folder: Path) -> bool:
    """Then what is in the zip is the data set."""
    entries = list(folder.iterdir())
    return len(entries) == 1 and entries[0].suffix.lower() == ".zip" and entries[0].is_file()


def _unpack_beside(dataset: Dataset, archive: Path) -> None:
    """One of several zips: it becomes a folder, and goes once that is in place."""
    known = _read_unpacked(dataset).get(archive.name)
    if known is None or not (dataset.root / known["folder"]).is_dir():
        _unpack(dataset, archive, _free_folder(archive))
    archive.unlink()


def _unpack(dataset: Dataset, archive: Path, folder: Path) -> None:
    """Fill ``folder``, which isn't there yet, and note beforehand what is left out."""
    unpacking = dataset.folder / "unpacking"
    shutil.rmtree(unpacking, ignore_errors=True)  # what a killed scan left: nothing but copies from the zip
    left_out = unpack(archive, unpacking, on_progress=_teller(dataset, "unpack"))
    above = "" if folder == dataset.root else f"{folder.name}/"
    rows = [asdict(replace(entry, path=f"{above}{entry.path}")) for entry in left_out]
    known = _read_unpacked(dataset) | {archive.name: {"folder": folder.name, "left_out": rows}}
    write_atomically(dataset.unpacked, compact(known))
    os.rename(unpacking, folder)


def _free_folder(archive: Path) -> Path:
    """``pets`` for ``pets.zip``, or ``pets 2`` where that came as well."""
    folder, number = archive.with_suffix(""), 2
    while folder.exists():
        folder, number = archive.with_name(numbered(archive.stem, number)), number + 1
    return folder


def _read_unpacked(dataset: Dataset) -> Unpacked:
    return read_or_nothing(dataset.unpacked)


# Telling


def _teller(dataset: Dataset, phase: str) -> Callable[[int, int], None]:
    """Writes how far a phase is, now and then."""
    progress = adding.home_of(dataset) / dataset.progress.name
    told = 0.0

    def tell(done: int, total: int) -> None:
        nonlocal told
        if time.monotonic() - told >= TELL_SECONDS or done == total:
            told = time.monotonic()
            write_atomically(progress, compact({"phase": phase, "done": done, "total": total}))

    return tell


def _about(dataset: Dataset, error: CoreError) -> CoreError:
    """The same error, naming the data set where it names a folder of ours that the user never saw."""
    if dataset.kind == "server" or error.values.get("path") is None:
        return error
    return type(error)(error.key, **{**error.values, "path": dataset.name})


def _fail(dataset: Dataset, error: CoreError) -> None:
    write_atomically(dataset.error, compact(error.to_json()))


if __name__ == "__main__":
    work(read_dataset(Path(sys.argv[1])))
