"""Processes that stand by, one for each owner's folder, so that a run needn't wait for imports. Torch-free.

A standby (``core.runs.standby``) has imported everything before anybody presses Start, and works ahead meanwhile: it
keeps the features of photos that have arrived. What is said to it is one JSON line a command; what it says is one word
a line. The server holds its stdin: when the server goes, the standby goes, unless it has a run by then.
"""

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from core.processes import start_listener
from core.runs.store import RunDirectory

# Available. A standby takes 540 MB once it has imported torch, 780 MB after it has computed; a run needs the rest.
LEAST_MEMORY_BYTES = 1_500_000_000
# From handing a run over to the standby's word that it has it. Less than a launch's heartbeat counts (5 s), so that no
# page takes the run for lost before a new process has it.
TAKEN_SECONDS = 4.0
AGAIN_SECONDS = 60.0  # after one that ended before it was ready, for whatever kept it from that


class Standby:
    """One process that waits. ``taken`` once it has a run; then it is a worker like any other."""

    def __init__(self, home: Path) -> None:
        self.ready = self.busy = False
        self.began = time.monotonic()
        self.over = threading.Event()
        self.taken = threading.Event()
        self.run: RunDirectory | None = None
        self._aim: tuple[Path, str] | None = None
        home.joinpath("cache").mkdir(parents=True, exist_ok=True)
        self._process: subprocess.Popen[bytes] = start_listener(
            "core.runs.standby", [str(home)], home / "cache" / "standby.log", heard=self._heard, when_over=self._ended
        )

    @property
    def waits(self) -> bool:
        """Whether it can still be given a run, now or once it is ready."""
        return self.run is None and not self.over.is_set()

    def ahead(self, folder: Path, backbone: str) -> None:
        """Keep the features of the photos in ``folder``. The latest wish counts; the same one again costs nothing."""
        if self._aim != (folder, backbone):
            self._aim = (folder, backbone)
            self.busy = True  # until it says otherwise: it may have to import first
            self._say({"ahead": {"folder": str(folder), "backbone": backbone}})

    def offer(self, run: RunDirectory, otherwise: Callable[[RunDirectory], None]) -> bool:
        """Hand a run over. If it is never taken, ``otherwise`` is called with it, in a thread."""
        if not self.ready or not self.waits or not self._say({"run": str(run.path)}):
            return False
        self.run = run
        threading.Thread(target=self._see_to, args=(run, otherwise), daemon=True).start()
        return True

    def let_go(self) -> None:
        """Close its stdin: it ends, unless it has a run."""
        if self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()

    def _see_to(self, run: RunDirectory, otherwise: Callable[[RunDirectory], None]) -> None:
        if self.taken.wait(TAKEN_SECONDS):
            self.let_go()
            return
        self._process.kill()  # it said nothing, so it has nothing; it mustn't wake up beside the other worker
        self.over.wait()
        if not self.taken.is_set():
            otherwise(run)

    def _say(self, command: object) -> bool:
        """Whether it could be said; one line fits into the pipe whole."""
        try:
            os.write(self._process.stdin.fileno(), json.dumps(command).encode() + b"\n")  # type: ignore[union-attr]
        except (OSError, ValueError):  # it has ended; or let go of
            return False
        return True

    def _heard(self, word: str) -> None:
        match word:
            case "ready":
                self.ready = True
            case "busy" | "idle":
                self.busy = word == "busy"
            case "taken":
                self.taken.set()
            case _:
                pass

    def _ended(self) -> None:
        self.busy = False
        self.over.set()
        self.let_go()


class Reserve:
    """The standbys of this process, by the folder of their owner. Its methods may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._standbys: dict[Path, Standby] = {}

    def warm(self, home: Path) -> Standby | None:
        """The standby of an owner, started if there is none and the machine has room for one."""
        if os.environ.get("GRAFT_STANDBY") == "0":
            return None
        with self._lock:
            found = self._standbys.get(home)
            if found is not None and found.waits:
                return found
            if found is not None and not (found.taken.is_set() or found.over.is_set()):
                return None  # its run is about to begin: nothing else may compete with it now
            if found is not None and not found.ready and time.monotonic() - found.began < AGAIN_SECONDS:
                return None
            if available_memory_bytes() < LEAST_MEMORY_BYTES:
                return None
            try:
                made = self._standbys[home] = Standby(home)
            except OSError:  # too many processes, no space: a run is then started in the ordinary way, or says why not
                return None
            return made

    def ahead(self, home: Path, folder: Path, backbone: str) -> None:
        """Let the standby of an owner keep the features of an upload's or a data set's photos."""
        standby = self.warm(home)
        if standby is not None:
            standby.ahead(folder, backbone)

    def take(self, run: RunDirectory, otherwise: Callable[[RunDirectory], None]) -> bool:
        """Give a run to its owner's standby, if that is ready; else False, and nothing has happened."""
        with self._lock:
            found = self._standbys.get(home_of(run))
            return found is not None and found.offer(run, otherwise)

    def is_busy(self, home: Path) -> bool:
        """Whether photos are computed ahead at this moment."""
        found = self._standbys.get(home)
        return found is not None and found.busy and found.waits

    def let_go(self) -> None:
        """End all that have no run."""
        with self._lock:
            for standby in self._standbys.values():
                standby.let_go()
            self._standbys.clear()


def home_of(run: RunDirectory) -> Path:
    """``workspace/<owner>`` of ``workspace/<owner>/runs/<id>``."""
    return run.path.parent.parent


def available_memory_bytes() -> float:
    """What programs can still take without others being pushed out; endless where the system doesn't say."""
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    except OSError:
        return float("inf")
    return next((float(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), float("inf"))


_reserve = Reserve()
warm, ahead, take, is_busy, let_go = _reserve.warm, _reserve.ahead, _reserve.take, _reserve.is_busy, _reserve.let_go
