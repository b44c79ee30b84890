"""The process that trains: ``python -m core.runs.worker RUN_DIRECTORY``. Survives the page and the server."""

import os
import shutil
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import Timeout

from core.errors import CoreError
from core.events import Ended, Event, Failed
from core.runs.executor import beat, worker_lock
from core.runs.store import EventWriter, RunDirectory

BEAT_SECONDS = 1.0
# A page may be probing the lock just when we start; it lets go within microseconds.
LOCK_SECONDS = 2.0


def work(run: RunDirectory, *, when_held: Callable[[], None] = lambda: None) -> Event | None:
    """Train, writing every event; returns the last one. None when another worker has this run already.

    ``when_held`` is called as soon as this worker has the run, and nobody else can take it.
    """
    last: Event | None = None
    for event in follow(run, when_held=when_held):
        last = event
    return last


def follow(run: RunDirectory, *, when_held: Callable[[], None] = lambda: None) -> Iterator[Event]:
    """The same, event by event, each written before it is given out."""
    lock = worker_lock(run)
    try:
        lock.acquire(timeout=LOCK_SECONDS)
    except Timeout:
        return
    when_held()
    done = threading.Event()
    heart = threading.Thread(target=_heart, args=(run, done), daemon=True)
    heart.start()
    writer = EventWriter(run)
    try:
        for event in _told(run):
            writer.append(event)
            yield event
            if isinstance(event, Ended) and event.reason != "stopped":
                shutil.rmtree(run.kept, ignore_errors=True)  # computed things that nobody will go on from
    finally:
        writer.close()
        done.set()
        heart.join()
        lock.release()


def _told(run: RunDirectory) -> Iterator[Event]:
    """What fit tells; whatever goes wrong becomes the last event."""
    try:
        from core.training.fit import Folders, fit

        folders = Folders(weights=_weights_folder(run), cache=_cache_folder(run))
        yield from fit(run.info().config, run.split(), run, folders, should_stop=run.stop_flag.exists)
    except CoreError as error:
        yield Failed(error=error.to_json())
    except Exception as error:
        traceback.print_exc()  # into worker.log, which the page shows
        yield Failed(detail=f"{type(error).__name__}: {error}"[:500])


def _heart(run: RunDirectory, done: threading.Event) -> None:
    while not done.wait(BEAT_SECONDS):
        beat(run)


def _weights_folder(run: RunDirectory) -> Path:
    """``workspace/weights`` for a run below a workspace; a run made in a terminal uses the default workspace."""
    from core.workspace import default_root

    above = run.path.parent
    return (above.parent.parent if above.name == "runs" else default_root()) / "weights"


def _cache_folder(run: RunDirectory) -> Path:
    """The owner's cache, so that the next run on the same photos starts at once; else inside the run."""
    above = run.path.parent
    return above.parent / "cache" / "kept" if above.name == "runs" else run.kept


def step_back() -> None:
    """The web server and the user's own programs go first."""
    if hasattr(os, "nice"):
        os.nice(5)


def serve(run: RunDirectory, *, when_held: Callable[[], None] = lambda: None) -> int:
    """Work on a run as the process that this is for; returns what it ends with."""
    print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} worker {os.getpid()} on {run.id}", flush=True)
    return 1 if isinstance(work(run, when_held=when_held), Failed) else 0


def main() -> int:
    step_back()
    return serve(RunDirectory(Path(sys.argv[1]).absolute()))


if __name__ == "__main__":
    sys.exit(main())
