"""Data sets: making them from what people bring, finding them again, and watching the scan of their photos. Torch-free.

What state a scan is in is never stored: ``watch`` derives it from what lies in the directory (``core.data.store``).
"""

import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from core.data.intake import Upload, discard
from core.data.report import DatasetReport
from core.data.store import Dataset, Kind, clean_name, log_tail, read_dataset, read_or_nothing, read_report, write_meta
from core.errors import CoreError, DataError
from core.processes import miss, seems_alive, start_module
from core.words import say
from core.workspace import Workspace, below, make_directory, write_atomically

NAMED_AFTER = 3  # folders that a data set is named after, where nothing better is known
PATH_LETTERS = 300  # of a folder in a message

Status = Literal["waiting", "scanning", "ready", "failed", "lost"]


@dataclass(frozen=True)
class DatasetState:
    """What is known at this moment. ``report`` is there when it is ready, ``error`` when it failed.

    With both, the data set is as it was, and ``error`` says why the photos that came last could not be added.
    """

    status: Status
    phase: str | None = None  # "demo", "unpack" or "scan"
    done: int = 0
    total: int = 0
    report: DatasetReport | None = None
    error: CoreError | None = None
    log: str = ""  # the last words of a scan that was lost


# Making


def create(workspace: Workspace, name: str, kind: Kind, root: Path | None = None) -> Dataset:
    """A new data set without photos yet; ``root`` names the folder of one that stays where it is."""
    name = clean_name(name)
    if not name:
        raise DataError("dataset.no_name")
    _, folder = make_directory(workspace.datasets)
    dataset = Dataset(folder, name, kind, time.time(), root or folder / "photos")
    write_meta(dataset)
    return dataset


def adopt(workspace: Workspace, upload: Upload, name: str | None = None) -> Dataset:
    """Make what has arrived a data set of its own, and scan it. Moves the photos; the upload is used up.

    Raises:
        DataError: nothing has arrived, or the upload is gone: somebody else has adopted it.
    """
    try:
        entries = sorted(os.listdir(upload.photos))
    except FileNotFoundError:
        raise DataError("upload.gone", value=upload.id) from None
    if not entries:
        raise DataError("dataset.nothing_arrived")
    dataset = create(workspace, name or _name_after(entries) or say("dataset.name.photos"), "upload")
    try:
        os.rename(upload.photos, dataset.root)
    except FileNotFoundError:
        shutil.rmtree(dataset.folder)
        raise DataError("upload.gone", value=upload.id) from None
    discard(upload)
    start_scan(dataset)
    return dataset


def add(dataset: Dataset, upload: Upload) -> None:
    """Bring what has arrived into a data set that is there, as its next version. Moves the photos.

    Raises:
        DataError: nothing has arrived, the upload is gone, or the photos lie in a folder that isn't ours.
    """
    if dataset.kind == "server":
        raise DataError("dataset.add_to_server", name=dataset.name)
    if not upload.photos.exists():
        raise DataError("upload.gone", value=upload.id)
    if not any(upload.photos.iterdir()):
        raise DataError("dataset.nothing_arrived")
    coming = dataset.folder / f"coming-{upload.id}"
    coming.mkdir(exist_ok=True)
    try:
        os.rename(upload.photos, coming / "photos")
    except FileNotFoundError:
        coming.rmdir()
        raise DataError("upload.gone", value=upload.id) from None
    os.rename(coming, dataset.folder / f"arriving-{upload.id}")  # whole: a scan may look for it at any moment
    discard(upload)
    start_scan(dataset)


def make_demo(workspace: Workspace) -> Dataset:
    """The demo photos, drawn now; the ones there are, if this owner has them already."""
    for dataset in list_datasets(workspace):
        if dataset.kind == "demo":
            if dataset.summary is None:
                start_scan(dataset)
            return dataset
    dataset = create(workspace, say("dataset.name.demo"), "demo")
    start_scan(dataset)
    return dataset


def from_server_folder(workspace: Workspace, folder: Path, allowed_roots: tuple[Path, ...]) -> Dataset:
    """A data set of photos that stay where they are, on the machine Graft runs on.

    Raises:
        DataError: the folder isn't below one that the operator allows, links resolved, or isn't there.
    """
    allowed = tuple(root.resolve() for root in allowed_roots)
    if not allowed:
        raise DataError("dataset.no_folders", setting="GRAFT_FOLDERS", separator=os.pathsep)
    try:
        resolved = folder.resolve()
    except (OSError, ValueError, RuntimeError):  # RuntimeError: links in a circle; ValueError: a NUL in the name
        raise DataError("data.scan.missing", path=_shown(folder)) from None
    if not any(resolved.is_relative_to(root) for root in allowed):
        roots = ", ".join(f"“{_shown(root)}”" for root in allowed)
        raise DataError("dataset.folder_not_allowed", folder=_shown(folder), allowed=roots, setting="GRAFT_FOLDERS")
    if not resolved.is_dir():
        key = "data.scan.not_a_folder" if resolved.exists() else "data.scan.missing"
        raise DataError(key, path=_shown(folder))
    dataset = create(workspace, clean_name(resolved.name) or say("dataset.name.photos"), "server", resolved)
    start_scan(dataset)
    return dataset


def allowed_folders(environment: Mapping[str, str] = os.environ) -> tuple[Path, ...]:
    """The folders of this machine that people may name: ``GRAFT_FOLDERS``, separated as in ``PATH``; else none."""
    return tuple(Path(part) for part in environment.get("GRAFT_FOLDERS", "").split(os.pathsep) if part)


def rename(dataset: Dataset, name: str) -> Dataset:
    """The same data set under another name."""
    name = clean_name(name)
    if not name:
        raise DataError("dataset.no_name")
    renamed = replace(dataset, name=name)
    write_meta(renamed)
    return renamed


# Finding


def list_datasets(workspace: Workspace) -> tuple[Dataset, ...]:
    """Every data set of this owner, newest first. Reads two small files each, no reports."""
    found: list[Dataset] = []
    for folder in workspace.datasets.glob("*/"):
        try:
            found.append(open_dataset(workspace, folder.name))
        except CoreError:  # not one of ours, half made, or a newer Graft's
            continue
    return tuple(sorted(found, key=lambda dataset: (dataset.created, dataset.id), reverse=True))


def open_dataset(workspace: Workspace, identifier: str) -> Dataset:
    """The data set behind ``identifier``; raises CoreError if this owner has none of that name."""
    return read_dataset(below(workspace.datasets, identifier))


# Scanning


def start_scan(dataset: Dataset) -> bool:
    """Look at the photos in a process of its own, which outlives the page and the server; again, if it was done.

    Returns False, and changes nothing, while a scan is at work.
    """
    with dataset.start_lock():
        if is_scanning(dataset):
            return False
        dataset.error.unlink(missing_ok=True)
        if not dataset.history.exists() and not dataset.arriving and dataset.kind != "server":
            for outcome in (dataset.report, dataset.summarised):  # else versions build on it
                outcome.unlink(missing_ok=True)
        write_atomically(dataset.progress, b"{}")
        # At launch, so that a process that fails on import is missed as well; it beats for itself from then on.
        dataset.heartbeat.touch()
        process = start_module(
            "core.data.scanning", [str(dataset.folder)], dataset.log, when_over=lambda: _miss(dataset, process.pid)
        )
        dataset.heartbeat.write_text(str(process.pid))
    return True


def is_scanning(dataset: Dataset) -> bool:
    """Whether a process is at work."""
    return seems_alive(dataset.heartbeat, dataset.scan_lock())


def watch(dataset: Dataset) -> DatasetState:
    """What the scan is doing, or what became of it."""
    scanning = is_scanning(dataset)
    progress = read_or_nothing(dataset.progress)
    if scanning:
        done, total = int(progress.get("done", 0)), int(progress.get("total", 0))
        return DatasetState("scanning", progress.get("phase"), done, total)
    # Read after the process was found gone: what it wrote last counts.
    told = read_or_nothing(dataset.error)
    error = CoreError.from_json(told) if told else None
    if error is not None and not dataset.report.exists():
        return DatasetState("failed", error=error)
    if dataset.arriving and error is None:
        return DatasetState("lost", log=log_tail(dataset))
    try:
        report = read_report(dataset)
    except CoreError as error:
        return DatasetState("failed", error=error)
    except FileNotFoundError:
        started = dataset.progress.exists()
        return DatasetState("lost", log=log_tail(dataset)) if started else DatasetState("waiting")
    except (OSError, ValueError, KeyError, TypeError):
        return DatasetState("lost", log=log_tail(dataset))
    return DatasetState("ready", done=len(report.photos), total=len(report.photos), report=report, error=error)


def _miss(dataset: Dataset, pid: int) -> None:
    """The process is over: if it was killed, say so at once by taking its heartbeat."""
    miss(dataset.heartbeat, dataset.start_lock(), pid)


def _name_after(entries: list[str]) -> str:
    """``pets`` for a folder or zip of that name, ``ants, bees`` where several folders came."""
    stems = [clean_name(entry[:-4] if entry.lower().endswith(".zip") else entry) for entry in entries]
    return ", ".join(stems[:NAMED_AFTER]) + (", …" if len(stems) > NAMED_AFTER else "")


def _shown(path: Path) -> str:
    """What was typed, its end included: that is where a path goes wrong."""
    return clean_name(str(path).encode("utf-8", "replace").decode(), PATH_LETTERS)
