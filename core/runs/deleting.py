"""Deleting a run: everything of it, at once as far as anyone can see, and its space is free. Torch-free."""

import os
import shutil
from pathlib import Path

from filelock import FileLock

from core.background import WORK_LOCK
from core.errors import RunError
from core.processes import is_locked
from core.runs import list_runs, watch
from core.runs.executor import Executor, worker_lock
from core.runs.store import RunDirectory, RunInfo
from core.workspace import ID_PATTERN

GOING = ".deleting-"  # a name that no list of runs takes for a run
AT_WORK = ("starting", "running")


def delete(run: RunDirectory, executor: Executor | None = None) -> None:
    """Remove a run with its model, its scores and its note. Its photos, and what is kept about them, stay.

    Raises:
        RunError: it is working, a run that starts from it is, or it is gone already.
    """
    if not run.path.is_dir():
        raise RunError("runs.unknown", run=run.id)
    if is_working(run, executor):
        raise RunError("compare.working", run=run.id)
    users = at_work(run, executor)
    if users:
        raise RunError("compare.in_use", name=users[0].title)
    try:
        os.rename(run.path, run.path.with_name(GOING + run.id))  # from here on it is gone for everyone
    except FileNotFoundError:
        raise RunError("runs.unknown", run=run.id) from None  # another tab was quicker
    for left in run.path.parent.glob(f"{GOING}*"):  # what a crash has left of an earlier one goes as well
        shutil.rmtree(left, ignore_errors=True)


def is_working(run: RunDirectory, executor: Executor | None = None) -> bool:
    """Whether a worker writes into its directory, or is just beginning to; testing and exporting count as well."""
    if watch(run, executor).status in AT_WORK or (run.path.is_dir() and is_locked(worker_lock(run))):
        return True
    return any(is_locked(FileLock(lock)) for lock in run.path.glob(f"**/{WORK_LOCK}"))


def dependants(run: RunDirectory) -> tuple[tuple[RunDirectory, RunInfo], ...]:
    """The runs beside it that started from its model, newest first.

    Their own models are whole and don't need it any more; one that was stopped can't be resumed without it.
    """
    return tuple((other, info) for other, info in list_runs(run.path.parent) if _starts_from(info, run))


def at_work(run: RunDirectory, executor: Executor | None = None) -> tuple[RunInfo, ...]:
    """Those of them that are working at this moment: its model can't be taken from them."""
    return tuple(info for other, info in dependants(run) if watch(other, executor).status in AT_WORK)


def size_bytes(run: RunDirectory) -> int:
    """What deleting it frees."""
    total = 0
    for folder, _, files in os.walk(run.path):
        for name in files:
            try:
                total += (Path(folder) / name).lstat().st_size
            except OSError:
                continue  # a file that its worker has just replaced
    return total


def _starts_from(info: RunInfo, run: RunDirectory) -> bool:
    """``start_from`` is the id of a run beside this one, or a folder as it was typed."""
    named = info.config.start_from
    if not named or ID_PATTERN.fullmatch(named):
        return named == run.id
    try:
        return Path(named).resolve() == run.path.resolve()
    except (OSError, ValueError, RuntimeError):
        return False  # no possible folder
