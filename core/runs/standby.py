"""The process that stands by: ``python -m core.runs.standby WORKSPACE/OWNER``. It works ahead, then becomes a worker.

It reads one JSON line a command from its stdin: ``{"ahead": {"folder": …, "backbone": …}}`` keeps the features of the
photos in an upload's or a data set's folder; ``{"run": RUN_DIRECTORY}`` makes it the worker of that run, and it ends
with it. It says ``ready``, ``busy``, ``idle`` and ``taken`` on its stdout. The other side is ``core.runs.reserve``.
"""

import ctypes
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from core.runs.store import RunDirectory
from core.runs.worker import serve, step_back

if TYPE_CHECKING:
    from core.training.ahead import Ahead

IDLE_SECONDS = 900.0  # nobody asked for anything for so long: the memory is worth more
NICENESS = 10  # of what is done ahead; a run has 5
LOOK_SECONDS = 0.1  # between two looks for photos that have arrived
BATCH_SECONDS = 1.0  # a run waits so long for the batch that is being computed, for it will want its rows


class Commands:
    """What the server said last, read from ``stdin`` in a thread; ``called`` when the standby's time is over."""

    def __init__(self, stdin: int = 0) -> None:
        self.aim: tuple[Path, str] | None = None
        self.run: RunDirectory | None = None
        self.called = threading.Event()
        self.heard_at = time.monotonic()
        threading.Thread(target=self._read, args=(stdin,), daemon=True).start()

    def _read(self, stdin: int) -> None:
        rest = b""
        while not self.called.is_set() and (data := os.read(stdin, 65536)):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self._obey(json.loads(line))
        self.called.set()

    def _obey(self, command: Mapping[str, object]) -> None:
        self.heard_at = time.monotonic()
        match command:
            case {"ahead": {"folder": str(folder), "backbone": str(backbone)}}:
                self.aim = (Path(folder), backbone)
            case {"run": str(path)}:
                self.run = RunDirectory(Path(path))
                self.called.set()
            case _:
                print(f"not understood: {command}", file=sys.stderr)


class Working:
    """The thread that imports and works ahead.

    A thread of its own, because its priority can be lowered but, without privileges, never raised again; the threads
    that torch and the decoder start for it inherit it.
    """

    def __init__(self, home: Path, commands: Commands, tell: Callable[[str], None]) -> None:
        self.home, self.commands, self.tell = home, commands, tell
        self.active_at = time.monotonic()
        self._shown: bool | None = None
        self.thread = threading.Thread(target=self._work, daemon=True)
        self.thread.start()

    def _work(self) -> None:
        if sys.platform == "linux":  # elsewhere a thread has no priority of its own
            this = threading.get_native_id()
            os.setpriority(os.PRIO_PROCESS, this, max(NICENESS, os.getpriority(os.PRIO_PROCESS, this)))
        # Everything a run will import; it takes seconds, and is what standing by is for.
        from core.training import fit
        from core.training.ahead import Ahead

        del fit

        ahead = Ahead(self.home / "cache" / "kept", self.home.parent / "weights")
        self.tell("ready")
        while not self.commands.called.is_set():
            aim = self.commands.aim
            if aim is not None and aim[0].is_relative_to(self.home):
                try:
                    self._look(ahead, aim)
                except Exception:  # the run will meet it again and tell the user
                    traceback.print_exc()
            give_back_memory()
            self._show(busy=False)
            self._shown = None  # so that an end is told of every aim
            while self.commands.aim == aim and not self.commands.called.wait(LOOK_SECONDS):
                pass

    def _look(self, ahead: "Ahead", aim: tuple[Path, str]) -> None:
        def given_up() -> bool:
            return self.commands.called.is_set() or self.commands.aim != aim

        for count in ahead.look(*aim, given_up):
            self._show(busy=count > 0)
            if given_up():
                return
            if not count:
                self.commands.called.wait(LOOK_SECONDS)

    def _show(self, *, busy: bool) -> None:
        if busy:
            self.active_at = time.monotonic()
        if busy != self._shown:
            self._shown = busy
            self.tell("busy" if busy else "idle")


def give_back_memory() -> None:
    """Return freed memory to the system where the C library can: 190 MB of 970 after 500 photos, EfficientNet-Lite0."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # another C library than glibc
            ctypes.CDLL(None).malloc_trim(0)


def stand_by(home: Path) -> int:
    """Wait for a run and work on it; returns what the process ends with."""
    said = os.dup(1)

    def tell(word: str) -> None:
        with suppress(OSError):  # nobody listens any more: the end of stdin says the same
            os.write(said, f"{word}\n".encode())

    commands = Commands()
    working = Working(home, commands, tell)
    while not commands.called.wait(IDLE_SECONDS / 60):
        if time.monotonic() - max(commands.heard_at, working.active_at) > IDLE_SECONDS:
            return 0
    run = commands.run
    working.thread.join(BATCH_SECONDS)
    if run is None:
        return 0
    with run.log.open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)

    def when_held() -> None:
        tell("taken")
        os.close(said)

    return serve(run, when_held=when_held)


def main() -> None:
    step_back()
    code = stand_by(Path(sys.argv[1]).absolute())
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # whatever the other thread is computing: it must not run into the ruins of the interpreter


if __name__ == "__main__":
    main()
