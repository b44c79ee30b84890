"""Where one process works on its own, and pages that start it, watch it and ask it to stop. Torch-free.

```
progress.json  error.json  work.log      one writer: the process
heartbeat  work.lock  start.lock  stop   is it at work, and shall it end?
```
"""

import json
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from core.errors import CoreError
from core.processes import beating, miss, seems_alive, start_module
from core.workspace import write_atomically

START_SECONDS = 10.0  # starting takes milliseconds; who waits longer for another's start is stuck
LOCK_SECONDS = 2.0  # a page may be trying the lock just when we start; it lets go within microseconds
TELL_SECONDS = 0.2  # between two writes of the progress
LOG_TAIL_BYTES = 4000
WORK_LOCK = "work.lock"

Status = Literal["waiting", "working", "stopped", "ready", "failed", "lost"]


@dataclass(frozen=True)
class Known:
    """What is known of the work at this moment. ``log`` are the last words of a process that was lost."""

    status: Status
    told: Mapping[str, Any]
    error: CoreError | None = None
    log: str = ""


class WorkFolder:
    """The files of one piece of work; whoever inherits says in which folder they lie."""

    @property
    def path(self) -> Path:
        raise NotImplementedError

    @property
    def progress(self) -> Path:
        return self.path / "progress.json"

    @property
    def error(self) -> Path:
        return self.path / "error.json"

    @property
    def heartbeat(self) -> Path:
        return self.path / "heartbeat"

    @property
    def stop(self) -> Path:
        return self.path / "stop"

    @property
    def log(self) -> Path:
        return self.path / "work.log"

    def lock(self) -> FileLock:
        """Held by the one process that works, as long as it lives."""
        return FileLock(self.path / WORK_LOCK)

    def start_lock(self) -> FileLock:
        """Held for the moment in which one is started or found dead."""
        return FileLock(self.path / "start.lock", timeout=START_SECONDS)

    def log_tail(self) -> str:
        try:
            return self.log.read_bytes()[-LOG_TAIL_BYTES:].decode("utf-8", "replace")
        except FileNotFoundError:
            return ""

    def tell(self, told: Mapping[str, Any]) -> None:
        write_atomically(self.progress, json.dumps(told).encode())


def start(place: WorkFolder, module: str, arguments: Sequence[str]) -> bool:
    """Do the work in a process of its own. Returns False, and changes nothing, while one is at it."""
    place.path.mkdir(parents=True, exist_ok=True)
    with place.start_lock():
        if is_working(place):
            return False
        place.error.unlink(missing_ok=True)
        place.stop.unlink(missing_ok=True)
        place.heartbeat.touch()  # at launch, so that a process that fails on import is missed as well
        process = start_module(
            module, arguments, place.log, when_over=lambda: miss(place.heartbeat, place.start_lock(), process.pid)
        )
        place.heartbeat.write_text(str(process.pid))
    return True


def stop(place: WorkFolder) -> None:
    """Ask the process to end at the next good moment; ``start`` goes on from there."""
    if place.path.exists():
        place.stop.touch()


def is_working(place: WorkFolder) -> bool:
    return place.path.exists() and seems_alive(place.heartbeat, place.lock())


def watch(place: WorkFolder, *, fits: Callable[[Mapping[str, Any]], bool] = lambda told: True) -> Known:
    """How far it is. What was told and doesn't ``fits`` any more counts as not told; ``phase`` "done" is the end."""
    working = is_working(place)
    # Read after the process was looked for: what one that is gone wrote last counts.
    told = _read(place.progress)
    told = told if told and fits(told) else {}
    known = _read(place.error)
    error = CoreError.from_json(known) if known and not working else None
    status = "working" if working else "failed" if error is not None else _ended(place, told)
    return Known(status, told, error, place.log_tail() if status == "lost" else "")


def _ended(place: WorkFolder, told: Mapping[str, Any]) -> Status:
    if not told:
        return "lost" if place.log_tail() else "waiting"
    if told.get("phase") == "done":
        return "ready"
    return "stopped" if place.stop.exists() else "lost"


def work(place: WorkFolder, do: Callable[[], None], on_disk_error: Callable[[str], CoreError]) -> None:
    """Do the work as the only process here; what the user can mend is written down, our own mistakes are raised.

    ``on_disk_error`` makes the error of what the system says of a disk that is full or gone.
    """
    place.path.mkdir(parents=True, exist_ok=True)
    lock = place.lock()
    try:
        lock.acquire(timeout=LOCK_SECONDS)
    except Timeout:
        print("Another process is at this work.")
        return
    try:
        with beating(place.heartbeat):
            do()
    except CoreError as error:
        _write_error(place, error)
    except OSError as error:
        traceback.print_exc()  # into the log
        _write_error(place, on_disk_error(error.strerror or type(error).__name__))
    finally:
        lock.release()


def _write_error(place: WorkFolder, error: CoreError) -> None:
    write_atomically(place.error, json.dumps(error.to_json()).encode())


class Teller:
    """Writes the progress, but not more often than anybody could read it."""

    def __init__(self, place: WorkFolder, **always: Any) -> None:
        self._place, self._always = place, always
        self._phase, self._told_at = "", 0.0

    def __call__(self, phase: str, done: int = 0, total: int = 0, **more: Any) -> None:
        now = time.monotonic()
        if phase != self._phase or done == total or now - self._told_at >= TELL_SECONDS:
            self._phase, self._told_at = phase, now
            self._place.tell({"phase": phase, "done": done, "total": total, **more, **self._always})


def _read(path: Path) -> dict[str, Any]:
    try:
        read: object = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return read if isinstance(read, dict) else {}
