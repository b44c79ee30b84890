"""The check-up of a data set: ``python -m core.doctor.checkup DATASET_FOLDER BACKBONE``, and how a page follows it.

The process writes the fast findings first, then the deep ones, then what unlabelled photos probably show, each file
whole or not at all. If the data set has become another version meanwhile, it goes on with that. Torch is imported only
where features are missing; missing weights are never fetched. Pages use ``start``, ``watch`` and ``stop``: torch-free.
"""

import os
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from filelock import Timeout

from core.data.report import DatasetReport
from core.data.store import Dataset, compact, read_dataset, read_or_nothing
from core.doctor.examine import examine as examine
from core.doctor.features import BACKBONE, Source, Stopped
from core.doctor.folder import DoctorFolder, Round, doctor_folder
from core.doctor.labelling import Proposals
from core.doctor.report import Examination
from core.doctor.version import Version, current
from core.errors import CoreError, DataError
from core.processes import beating, miss, seems_alive, start_module
from core.workspace import Workspace, write_atomically

NICENESS = 10  # of what nobody waits for; a run has 5
LOCK_SECONDS = 2.0  # a page may be trying the lock just when we start; it lets go within microseconds

Status = Literal["waiting", "working", "ready", "failed", "lost"]


@dataclass(frozen=True)
class Checkup:
    """What is known at this moment of one version. ``stale`` are the newest findings of another one."""

    status: Status
    phase: str | None = None  # "fast", "features", "deep" or "labels"
    done: int = 0
    total: int = 0
    fast: Examination | None = None
    deep: Examination | None = None
    without_deep: str | None = None  # why there is no deep one: a word below ``doctor.without_deep``
    proposals: Proposals | None = None
    rounds: tuple[Round, ...] = ()
    stale: tuple[Examination, ...] = ()
    error: CoreError | None = None
    log: str = ""  # the last words of a process that was lost


# What a page asks


def start(dataset: Dataset, workspace: Workspace, backbone: str = BACKBONE) -> bool:
    """Examine the current version in a process of its own. Returns False, and changes nothing, while one is at work."""
    del workspace  # the data set lies in it
    folder = doctor_folder(dataset)
    folder.path.mkdir(exist_ok=True)
    with folder.start_lock():
        if is_working(folder):
            return False
        folder.error.unlink(missing_ok=True)
        folder.stop.unlink(missing_ok=True)
        write_atomically(folder.progress, b"{}")
        folder.heartbeat.touch()  # at launch, so that a process that fails on import is missed as well
        arguments = [str(dataset.folder), backbone]
        process = start_module(
            "core.doctor.checkup", arguments, folder.log, when_over=lambda: _miss(folder, process.pid)
        )
        folder.heartbeat.write_text(str(process.pid))
    return True


def stop(dataset: Dataset) -> None:
    """Ask the process to end after the photos it is at. What it has written stays; ``start`` goes on from there."""
    folder = doctor_folder(dataset)
    if folder.path.exists():
        folder.stop.touch()


def is_working(folder: DoctorFolder) -> bool:
    """Whether a process is at work."""
    return folder.path.exists() and seems_alive(folder.heartbeat, folder.lock())


def watch(dataset: Dataset, report: DatasetReport) -> Checkup:
    """What is known of the version in ``report``: only findings of its fingerprint count."""
    folder, fingerprint = doctor_folder(dataset), report.fingerprint
    working = is_working(folder)
    # Read after the process was looked for: what one that is gone wrote last counts.
    progress = read_or_nothing(folder.progress)
    whole = is_complete(folder, report)
    of_this = progress.get("fingerprint") == fingerprint
    error = None if working else folder.told_error(fingerprint)
    status: Status = "waiting"
    if whole:
        status = "ready"
    elif working:
        status = "working"
    elif error is not None:
        status = "failed"
    elif of_this:
        status = "lost"
    told = progress if of_this and working else {}
    older = (folder.latest("fast", fingerprint), folder.latest("deep", fingerprint))
    return Checkup(
        status=status,
        phase=told.get("phase"),
        done=int(told.get("done", 0)),
        total=int(told.get("total", 0)),
        fast=folder.examination(fingerprint, "fast"),
        deep=folder.examination(fingerprint, "deep"),
        without_deep=folder.without_deep(fingerprint),
        proposals=folder.proposals(fingerprint),
        rounds=folder.rounds(),
        stale=tuple(one for one in older if one is not None),
        error=error,
        log=folder.log_tail() if status == "lost" else "",
    )


def is_complete(folder: DoctorFolder, report: DatasetReport) -> bool:
    """Whether all that can be found out about this version has been."""
    fingerprint = report.fingerprint
    if folder.examination(fingerprint, "fast") is None:
        return False
    if folder.without_deep(fingerprint) is not None:
        return True
    if folder.examination(fingerprint, "deep") is None:
        return False
    return _proposes_all(folder.proposals(fingerprint), report)


def _proposes_all(proposals: Proposals | None, report: DatasetReport) -> bool:
    """The fingerprint doesn't speak of unlabelled photos, so new ones have to be looked for."""
    if not report.unlabelled or len(report.classes) < 2:
        return True
    return proposals is not None and {photo.path for photo in report.unlabelled} <= proposals.asked


def _miss(folder: DoctorFolder, pid: int) -> None:
    """The process is over: if it was killed, say so at once by taking its heartbeat."""
    miss(folder.heartbeat, folder.start_lock(), pid)


# The process


def work(dataset: Dataset, backbone: str = BACKBONE) -> None:
    """Examine the current version, and what it becomes meanwhile, until there is nothing left to do."""
    folder = doctor_folder(dataset)
    folder.path.mkdir(exist_ok=True)
    home = dataset.folder.parent.parent
    source = Source(home / "cache" / "kept", home.parent / "weights", backbone)
    lock = folder.lock()
    try:
        lock.acquire(timeout=LOCK_SECONDS)
    except Timeout:
        print("Another process is examining this data set.")
        return
    try:
        with beating(folder.heartbeat):
            folder.tidy()
            _examine_all(dataset, folder, source)
            folder.tidy()
    finally:
        lock.release()


def _examine_all(dataset: Dataset, folder: DoctorFolder, source: Source) -> None:
    looked_at: set[tuple[str, tuple[str, ...]]] = set()
    while (report := current(dataset)) is not None:
        version = (report.fingerprint, tuple(photo.path for photo in report.unlabelled))
        if version in looked_at:
            return
        looked_at.add(version)
        try:
            Version(dataset, folder, source, report).run()
        except Stopped:
            return
        except CoreError as error:
            _fail(folder, report, error)
        except OSError as error:
            traceback.print_exc()  # into checkup.log
            problem = error.strerror or type(error).__name__
            _fail(folder, report, DataError("dataset.disk", name=dataset.name, problem=problem))


def _fail(folder: DoctorFolder, report: DatasetReport, error: CoreError) -> None:
    write_atomically(folder.error, compact({"fingerprint": report.fingerprint, **error.to_json()}))


def step_back() -> None:
    """Whoever waits for something goes first."""
    if hasattr(os, "nice"):
        os.nice(max(0, NICENESS - os.nice(0)))


if __name__ == "__main__":
    step_back()
    work(read_dataset(Path(sys.argv[1])), sys.argv[2] if len(sys.argv) > 2 else BACKBONE)
