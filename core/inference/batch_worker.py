"""Answers for many uploaded photos: ``python -m core.inference.batch_worker UPLOAD_FOLDER RUN_DIR``.

The process adds one line for each photo, so that one that was stopped or killed goes on where it was. Pages use
``start``, ``watch`` and ``stop``, which are torch-free.
"""

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from core import background
from core.background import Status
from core.data.store import compact
from core.errors import CoreError, DataError
from core.inference.answers_file import PhotoAnswer
from core.inference.batch import TELL_SECONDS, Progress, answers, watched
from core.inference.batch_folder import BatchFolder
from core.runs.store import RunDirectory

if TYPE_CHECKING:  # it brings torch along
    from core.inference.predictor import Predictor

NICENESS = 5  # as a run


@dataclass(frozen=True)
class Batch:
    """What is known at this moment. "waiting": nobody has asked yet, or more photos have come since."""

    status: Status
    phase: str | None = None  # "unpack", "load" or "look"
    done: int = 0
    total: int = 0
    per_second: float = 0.0
    counts: Mapping[str, int] = field(default_factory=dict[str, int])  # photos by the answer's class
    unknown: int = 0  # photos unlike what the model learnt from; they are in no class
    unreadable: int = 0
    error: CoreError | None = None
    log: str = ""  # the last words of a process that was lost


# What a page asks


def start(folder: BatchFolder) -> bool:
    """Answer all photos in a process of its own. Returns False, and changes nothing, while one is at work."""
    return background.start(folder, "core.inference.batch_worker", [str(folder.upload), str(folder.run.path)])


def stop(folder: BatchFolder) -> None:
    """Ask the process to end after the photos it is at; ``start`` goes on from there."""
    background.stop(folder)


def watch(folder: BatchFolder) -> Batch:
    """How far the answers of this run's model are."""
    known = background.watch(folder, fits=lambda told: told.get("model") == folder.model_stamp())
    told = known.told
    more_came = known.status == "ready" and told["arrived"] != folder.arrived()
    return Batch(
        status="waiting" if more_came else known.status,
        phase=told.get("phase"),
        done=int(told.get("done", 0)),
        total=int(told.get("total", 0)),
        per_second=float(told.get("per_second", 0)),
        counts=dict(told.get("counts", {})),
        unknown=int(told.get("unknown", 0)),
        unreadable=int(told.get("unreadable", 0)),
        error=known.error,
        log=known.log,
    )


# The process


class StopAsked(Exception):
    """Somebody pressed Stop while a zip was being unpacked."""


class _Teller:
    """Writes the progress: what a page shows while it waits."""

    def __init__(self, folder: BatchFolder, known: Sequence[PhotoAnswer]) -> None:
        self.total = 0
        self._folder, self._arrived = folder, folder.arrived()
        self._counts = Counter((answer.label, answer.unknown) for answer in known)
        self._per_second = 0.0
        self._told_at = 0.0

    def unpacking(self, done: int, total: int) -> None:
        if self._folder.stop.exists():
            raise StopAsked
        if time.monotonic() - self._told_at >= TELL_SECONDS:
            self._told_at = time.monotonic()
            self._write("unpack", done, total)

    def count(self, answer: PhotoAnswer) -> None:
        self._counts[answer.label, answer.unknown] += 1

    def looking(self, progress: Progress) -> None:
        self._per_second = progress.per_second
        self.tell("look")

    def tell(self, phase: str) -> None:
        self._write(phase, self._counts.total(), self.total)

    def _write(self, phase: str, done: int, total: int) -> None:
        rows = self._counts.most_common()
        counts = {label: count for (label, unknown), count in rows if label is not None and not unknown}
        self._folder.tell({
            "phase": phase, "done": done, "total": total, "per_second": self._per_second, "counts": counts,
            "unknown": sum(count for (_, unknown), count in rows if unknown),
            "unreadable": self._counts[None, False], "arrived": self._arrived,
        })  # fmt: skip


def work(folder: BatchFolder, load: "Callable[[RunDirectory], Predictor] | None" = None) -> None:
    """Answer every photo that has no answer yet, until all have one or somebody asks to stop.

    ``load`` gives the run's model; without it, torch is imported when it is needed.
    """
    background.work(
        folder,
        lambda: _answer_all(folder, load or _load),
        on_disk_error=lambda problem: DataError("many.disk", problem=problem),
    )


def _load(run: RunDirectory) -> "Predictor":
    from core.inference.predictor import Predictor

    return Predictor.load(run)


def _answer_all(folder: BatchFolder, load: "Callable[[RunDirectory], Predictor]") -> None:
    known = folder.begin()
    teller = _Teller(folder, known)
    try:
        folder.unpack_zips(teller.unpacking)
    except StopAsked:
        teller.tell("unpack")
        return
    teller.tell("load")
    predictor = load(folder.run)
    names = {answer.path for answer in known}
    teller.total = sum(1 for _ in folder.sources())
    waiting = (source for source in folder.sources() if source.name not in names)
    told = watched(answers(predictor, waiting), teller.total, teller.looking, done=len(known))
    teller.tell("done" if _write_all(folder, told, teller) else "look")


def _write_all(folder: BatchFolder, told: Iterator[PhotoAnswer], teller: _Teller) -> bool:
    """Add each answer to the file as it comes; whether all came before somebody asked to stop."""
    with folder.answers.open("ab", buffering=0) as file:  # what was written survives a kill
        for answer in told:
            file.write(compact(answer.to_json()) + b"\n")
            teller.count(answer)
            if folder.stop.exists():
                return False
    return True


if __name__ == "__main__":
    if hasattr(os, "nice"):
        os.nice(max(0, NICENESS - os.nice(0)))
    work(BatchFolder(Path(sys.argv[1]), RunDirectory(Path(sys.argv[2]))))
