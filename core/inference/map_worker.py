"""A run's map, drawn by a process of its own: ``python -m core.inference.map_worker RUN_DIR``.

Pages use ``start``, ``watch`` and ``stop``, which are torch-free. Features that were computed stay on the disk until
the map is whole, so one that was stopped or killed goes on where it was.
"""

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from core import background
from core.background import Status, Teller
from core.data.report import Part, Sample
from core.errors import CoreError, DataError
from core.inference.feature_map import FeatureMap, MapPhoto, drawn, laid_out
from core.inference.map_folder import MapFolder
from core.inference.metrics import Results
from core.runs.store import RunDirectory

if TYPE_CHECKING:  # it brings torch along
    from core.inference.spaces import Spaces

NICENESS = 5  # as a run


@dataclass(frozen=True)
class Drawing:
    """What is known at this moment. ``step``: "load", "before" and "after" (photos), "map" (iterations)."""

    status: Status
    step: str | None = None
    done: int = 0
    total: int = 0
    error: CoreError | None = None
    log: str = ""  # the last words of a process that was lost


class StopAsked(Exception):
    """Somebody pressed Stop."""


# What a page asks


def start(folder: MapFolder) -> bool:
    """Draw the map in a process of its own. Returns False, and changes nothing, while one is at work."""
    return background.start(folder, "core.inference.map_worker", [str(folder.run.path)])


def stop(folder: MapFolder) -> None:
    """Ask the process to end; ``start`` goes on with the features that it has computed."""
    background.stop(folder)


def watch(folder: MapFolder) -> Drawing:
    """How far the map of this run's model is; "ready" where ``MapFolder.read`` gives it."""
    known = background.watch(folder, fits=lambda told: told.get("stamp") == folder.stamp())
    told = known.told
    gone = known.status == "ready" and not folder.map.exists()
    return Drawing(
        status="waiting" if gone else known.status,
        step=told.get("phase"),
        done=int(told.get("done", 0)),
        total=int(told.get("total", 0)),
        error=known.error,
        log=known.log,
    )


# The process


def work(folder: MapFolder) -> None:
    """Draw the map, unless somebody asks to stop; what the user can mend is written down."""
    background.work(folder, lambda: _draw(folder), on_disk_error=lambda problem: DataError("map.disk", problem=problem))


def _draw(folder: MapFolder) -> None:
    tell = Teller(folder)
    tell("load")
    from core.inference.spaces import Stopped, spaces

    stamp = folder.stamp()
    split = folder.run.split()
    chosen = drawn(split)

    def should_stop() -> bool:
        return folder.stop.exists() or not folder.path.exists()  # its run was deleted: leave nothing in its place

    def iterated(done: int, total: int) -> None:
        if should_stop():
            raise StopAsked
        tell("map", done, total)

    try:
        found = spaces(folder, chosen, tell, should_stop)
        photos = told_of(folder.run, chosen, found)
        iterated(0, 1)
        before, after = laid_out(found.before, found.after, found.kind, photos, iterated)
    except (Stopped, StopAsked):
        return
    of = sum(len(split.part(part)) for part in ("train", "val", "test"))
    unreadable = len(chosen) - len(photos)
    folder.write(FeatureMap(stamp, split.classes, photos, of, unreadable, found.kind, before, after))
    tell("done", 1, 1)
    shutil.rmtree(folder.rows, ignore_errors=True)


def told_of(run: RunDirectory, chosen: list[tuple[Part, Sample]], found: "Spaces") -> tuple[MapPhoto, ...]:
    """What the model says about each photo: of test photos what the Results page says, to the last digit."""
    results = run.results()
    known = {answer.path: answer for answer in Results.from_json(results).answers} if results else {}
    said = np.argmax(found.probabilities, axis=1)
    photos: list[MapPhoto] = []
    for row, place in enumerate(found.places):
        part, sample = chosen[place]
        answer = known.get(sample.path) if part == "test" else None
        label, chance = (
            (answer.predicted, answer.confidence)
            if answer is not None
            else (int(said[row]), round(float(found.probabilities[row, said[row]]), 4))
        )
        photos.append(MapPhoto(sample.path, sample.sha256, part, sample.target, label, chance))
    return tuple(photos)


if __name__ == "__main__":
    if hasattr(os, "nice"):
        os.nice(max(0, NICENESS - os.nice(0)))
    work(MapFolder(RunDirectory(Path(sys.argv[1]).absolute())))
