"""Starting a process that outlives the page and the server that started it, and knowing whether it still lives.

Pids lie: a killed child answers ``os.kill(pid, 0)`` until its parent reaps it. A heartbeat and a lock don't: the
kernel frees a lock when its holder dies.
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from io import BufferedWriter
from pathlib import Path

from filelock import FileLock, Timeout

PROJECT = Path(__file__).parent.parent
# A process touches its heartbeat every second. Five missed beats, and nobody holding its lock, mean that it is gone.
STALE_SECONDS = 5.0
BEAT_SECONDS = 1.0


def start_module(
    module: str, arguments: Sequence[str], log: Path, *, when_over: Callable[[], None] = lambda: None
) -> subprocess.Popen[bytes]:
    """``python -m module arguments`` in a session of its own, its output appended to ``log``.

    ``when_over`` is called in a thread of this process when it has ended, if this process still lives then.
    """
    with log.open("ab") as output:
        process = _start(module, arguments, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)

    def reap() -> None:
        process.wait()  # or it would stay a zombie for as long as this process lives
        when_over()

    threading.Thread(target=reap, daemon=True).start()
    return process


def start_listener(
    module: str, arguments: Sequence[str], log: Path, *, heard: Callable[[str], None], when_over: Callable[[], None]
) -> subprocess.Popen[bytes]:
    """The same with pipes as its stdin and stdout: ``heard`` is called, in a thread, with each line it says.

    It can tell that this process has gone by the end of its stdin.
    """
    with log.open("wb") as errors:
        process = _start(module, arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors)

    def listen() -> None:
        if process.stdout is not None:  # it is a pipe
            with process.stdout as said:
                for line in said:
                    heard(line.decode("utf-8", "replace").strip())
        process.wait()  # it may have closed its stdout long before it ends
        when_over()

    threading.Thread(target=listen, daemon=True).start()
    return process


def _start(
    module: str, arguments: Sequence[str], *, stdin: int, stdout: int | BufferedWriter, stderr: int | BufferedWriter
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=PROJECT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
    )


@contextmanager
def beating(heartbeat: Path) -> Generator[None]:
    """Touch the heartbeat each second, and take it away at the end."""
    done = threading.Event()

    def beat() -> None:
        while True:
            heartbeat.touch()
            if done.wait(BEAT_SECONDS):
                return

    heart = threading.Thread(target=beat, daemon=True)
    heart.start()
    try:
        yield
    finally:
        done.set()
        heart.join()
        heartbeat.unlink(missing_ok=True)


def miss(heartbeat: Path, start_lock: FileLock, pid: int) -> None:
    """The process is over: if it was killed, say so at once by taking its heartbeat, unless another one has it."""
    with suppress(OSError), start_lock:  # it ended by itself, or its whole folder is gone
        if heartbeat.read_text() == str(pid):
            heartbeat.unlink()


def seems_alive(heartbeat: Path, lock: FileLock) -> bool:
    """Whether the process behind a heartbeat file is at work; a fresh beat counts, also when the clock was set back."""
    try:
        age = time.time() - heartbeat.stat().st_mtime
    except FileNotFoundError:
        return False
    return age <= STALE_SECONDS or is_locked(lock)


def is_locked(lock: FileLock) -> bool:
    """Whether somebody holds it right now."""
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False
