"""Who runs the worker, and whether it still lives. Torch-free.

An executor has two verbs: ``start(run)`` and ``died(run)``. Everything else about a run is in its directory.
"""

import os
from typing import Protocol

from filelock import FileLock

from core.processes import seems_alive, start_module
from core.runs import reserve
from core.runs.store import RunDirectory


class Executor(Protocol):
    def start(self, run: RunDirectory) -> None:
        """Begin, or go on from the last checkpoint; returns at once or when the run has ended."""
        ...

    def died(self, run: RunDirectory) -> bool:
        """Whether nobody is working on this run any more."""
        ...


class LocalExecutor:
    """A process of its own on this machine: it outlives the page and the server that started it.

    One that stands by (``core.runs.reserve``) is taken where there is one: it has spent its seconds on imports already.
    """

    def start(self, run: RunDirectory) -> None:
        beat(run)
        if not reserve.take(run, otherwise=start_worker):
            start_worker(run)

    def died(self, run: RunDirectory) -> bool:
        return not seems_alive(run.heartbeat, worker_lock(run))


class InlineExecutor:
    """In this very process: for the terminal, notebooks and tests."""

    def start(self, run: RunDirectory) -> None:
        from core.runs.worker import work

        work(run)

    def died(self, run: RunDirectory) -> bool:
        return not seems_alive(run.heartbeat, worker_lock(run))


def start_worker(run: RunDirectory) -> None:
    """A new process for a run."""
    beat(run)  # at launch, so that a worker that fails on import is caught as well
    start_module("core.runs.worker", [str(run.path)], run.log)


def beat(run: RunDirectory) -> None:
    run.heartbeat.touch()
    os.utime(run.heartbeat)


def worker_lock(run: RunDirectory) -> FileLock:
    """Held by the one worker of a run for as long as it lives."""
    return FileLock(run.lock)
