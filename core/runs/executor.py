"""Who runs the worker, and whether it still lives. Torch-free.

An executor has two verbs: ``start(run)`` and ``died(run)``. Everything else about a run is in its directory.
"""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Protocol

from filelock import FileLock, Timeout

from core.runs.store import RunDirectory

# A worker touches its heartbeat every second. Five missed beats, and nobody holding its lock, mean that it is gone.
# The lock is what decides: the kernel frees it when a process dies, also for a zombie, where a pid still answers.
STALE_SECONDS = 5.0
PROJECT = Path(__file__).parent.parent.parent


class Executor(Protocol):
    def start(self, run: RunDirectory) -> None:
        """Begin, or go on from the last checkpoint; returns at once or when the run has ended."""
        ...

    def died(self, run: RunDirectory) -> bool:
        """Whether nobody is working on this run any more."""
        ...


class LocalExecutor:
    """A process of its own on this machine: it outlives the page and the server that started it."""

    def start(self, run: RunDirectory) -> None:
        beat(run)  # at launch, so that a worker that fails on import is caught as well
        with run.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "core.runs.worker", str(run.path)],
                cwd=PROJECT,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        # Reaped, or a killed worker would stay a zombie as long as the server lives.
        threading.Thread(target=process.wait, daemon=True).start()

    def died(self, run: RunDirectory) -> bool:
        return heartbeat_age(run) > STALE_SECONDS and not is_locked(run)


class InlineExecutor:
    """In this very process: for the terminal, notebooks and tests."""

    def start(self, run: RunDirectory) -> None:
        from core.runs.worker import work

        work(run)

    def died(self, run: RunDirectory) -> bool:
        return heartbeat_age(run) > STALE_SECONDS and not is_locked(run)


def beat(run: RunDirectory) -> None:
    run.heartbeat.touch()
    os.utime(run.heartbeat)


def heartbeat_age(run: RunDirectory) -> float:
    """Seconds since the last sign of life; infinite where there never was one. Never negative: clocks jump."""
    try:
        return max(0.0, time.time() - run.heartbeat.stat().st_mtime)
    except FileNotFoundError:
        return float("inf")


def worker_lock(run: RunDirectory) -> FileLock:
    """Held by the one worker of a run for as long as it lives."""
    return FileLock(run.lock)


def is_locked(run: RunDirectory) -> bool:
    lock = worker_lock(run)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False
