"""A run scored on other photos: ``python -m core.inference.later_worker RUN_DIRECTORY TEST_ID DATASET_DIRECTORY``.

Waits for the scan of the photos, then adds one line for each photo, so that one that was stopped or killed goes on
where it was. Pages use ``start``, which is torch-free.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core import background
from core.background import Teller
from core.data import datasets
from core.data.report import DatasetReport, Sample
from core.data.store import Dataset, compact, read_dataset
from core.errors import DataError, RunError
from core.inference.batch_folder import model_stamp
from core.inference.later import TestFolder, left_over, match, write
from core.inference.metrics import Results
from core.runs.store import RunDirectory

if TYPE_CHECKING:  # it brings torch along
    from core.inference.predictor import Predictor

NICENESS = 5  # as a run
LOOK_SECONDS = 0.3  # between two looks at a scan
# Photos answered between two looks at the stop flag; what is computed of an unfinished lot is lost. At the end of each
# lot the decoder waits for the network: with 128 of them it hardly counts.
LOT = 128


def start(folder: TestFolder, dataset: Dataset) -> bool:
    """Test in a process of its own, or go on. Returns False, and changes nothing, while one is at work."""
    arguments = [str(folder.run.path), folder.id, str(dataset.folder)]
    return background.start(folder, "core.inference.later_worker", arguments)


def work(folder: TestFolder, dataset: Dataset, load: "Callable[[RunDirectory], Predictor] | None" = None) -> None:
    """Answer every photo that has no answer yet, and write the score once all have one.

    ``load`` gives the run's model; without it, torch is imported when it is needed.
    """
    background.work(
        folder,
        lambda: _test(folder, dataset, load or _load),
        on_disk_error=lambda problem: DataError("later.disk", problem=problem),
    )


def _load(run: RunDirectory) -> "Predictor":
    from core.inference.predictor import Predictor

    return Predictor.load(run)


def _test(folder: TestFolder, dataset: Dataset, load: "Callable[[RunDirectory], Predictor]") -> None:
    run = folder.run
    tell = Teller(folder, model=model_stamp(run))
    report = _scanned(folder, dataset, tell)
    if report is None:
        return
    if not run.has_model:
        raise RunError("runs.no_model", run=run.id)
    classes = tuple(json.loads(run.model_card.read_text("utf-8"))["classes"])
    matched = match(report, classes, run)
    tell("load")
    known = folder.begin(report.fingerprint)
    total, waiting = len(matched.samples), left_over(matched.samples, known)
    predictor = load(run)
    temperature = (run.results() or {}).get("temperature")
    tell("look", total - len(waiting), total)
    with folder.answers.open("ab", buffering=0) as file:  # what was written survives a kill
        for first in range(0, len(waiting), LOT):
            before = len(known)

            def tell_done(now: int, before: int = before) -> None:
                tell("look", before + now, total)

            for row in _rows(predictor, waiting[first : first + LOT], Path(report.root), temperature, tell_done):
                file.write(compact(row) + b"\n")
                known[row["path"]] = row
            if folder.stop.exists():
                folder.tell({"phase": "look", "done": len(known), "total": total, "model": model_stamp(run)})
                return
    rows = [known[sample.path] for sample in matched.samples]
    write(folder, report, matched, _together(predictor, Path(report.root), rows, temperature))
    tell("done", total, total)


def _scanned(folder: TestFolder, dataset: Dataset, tell: Teller) -> DatasetReport | None:
    """The photos, once they have been looked through; None where somebody asked to stop meanwhile."""
    while True:
        known = datasets.watch(dataset)
        if known.report is not None and known.status == "ready":
            return known.report
        if known.status != "scanning":
            raise known.error or DataError("later.scan_lost", name=dataset.name)
        tell("scan", known.done, known.total)
        if folder.stop.exists():
            return None
        time.sleep(LOOK_SECONDS)


def _rows(
    predictor: "Predictor", lot: Sequence[Sample], root: Path, temperature: Any, tell: Callable[[int], None]
) -> Iterator[dict[str, Any]]:
    """One line for each photo of a lot, as ``metrics.json`` has them."""
    results = _evaluated(predictor, lot, root, temperature, tell)
    yield from (asdict(answer) for answer in results.answers)
    yield from ({"path": path, "unreadable": True} for path in results.unreadable)


def _evaluated(
    predictor: "Predictor", lot: Sequence[Sample], root: Path, temperature: Any, tell: Callable[[int], None]
) -> Results:
    from core.inference.evaluate import evaluate

    progress = evaluate(predictor, lot, root, temperature)
    while True:
        try:
            tell(next(progress).done)
        except StopIteration as end:
            return end.value


def _together(predictor: "Predictor", root: Path, rows: Sequence[dict[str, Any]], temperature: Any) -> Results:
    """Every line as one score; what isn't about single photos is as the score of none has it."""
    of_none = _evaluated(predictor, (), root, temperature, lambda done: None).to_json()
    answers = [row for row in rows if "unreadable" not in row]
    unreadable = [row["path"] for row in rows if "unreadable" in row]
    return Results.from_json({**of_none, "answers": answers, "unreadable": unreadable})


if __name__ == "__main__":
    if hasattr(os, "nice"):
        os.nice(max(0, NICENESS - os.nice(0)))
    work(TestFolder(RunDirectory(Path(sys.argv[1])), sys.argv[2]), read_dataset(Path(sys.argv[3])))
