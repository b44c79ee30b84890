"""Scores on other photos than a run's own test part: where they lie, what is read of them. Torch-free.

```
runs/<id>/tests/
  <test id>/            plan.json: which photos; answers.jsonl: one line a photo, only ever added to;
                        progress.json …: what is known of the process that tests (``core.background``)
  <test id>.json        what came of it
```
"""

import json
import os
import shutil
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from core.background import Known, WorkFolder, is_working, watch
from core.data.report import DatasetReport, Sample
from core.data.split import named, spelling
from core.data.store import Dataset, compact, read_or_nothing
from core.errors import DataError, RunError
from core.inference.batch_folder import cut_torn_line, model_stamp, whole_lines
from core.inference.metrics import Results
from core.runs.store import RunDirectory
from core.workspace import ID_PATTERN, make_directory, write_atomically

FORMAT = 1


@dataclass(frozen=True)
class Matched:
    """The photos of a data set that a run can be scored on, and what stays out of it."""

    samples: tuple[Sample, ...]
    seen: tuple[str, ...]  # paths of those whose very bytes have taught the run, or decided when it was done
    unknown: Mapping[str, int]  # photos of classes that the model doesn't know, by class
    unlabelled: int


@dataclass(frozen=True)
class LaterTest:
    """What came of one test. ``results`` has every answer; ``score`` leaves out what the run has seen before."""

    id: str
    created: float  # when somebody asked for it, in seconds since 1970
    name: str  # of the photos
    dataset: str  # the data set's id
    root: str  # where its photos lay
    model: str  # the stamp of the model that was tested
    results: Results
    samples: tuple[Sample, ...]
    seen: tuple[str, ...]
    unknown: Mapping[str, int]
    unlabelled: int
    groups: tuple[tuple[str, str], ...]  # by the data set's rule: a photo's path, its group's name

    def score(self, *, with_seen: bool = False) -> Results:
        if with_seen or not self.seen:
            return self.results
        hidden = frozenset(self.seen)
        answers = tuple(answer for answer in self.results.answers if answer.path not in hidden)
        return replace(self.results, answers=answers)


@dataclass(frozen=True)
class TestFolder(WorkFolder):
    """One test of one run, while it is made and afterwards."""

    __test__ = False  # for pytest its name would promise tests
    run: RunDirectory
    id: str

    @property
    def path(self) -> Path:
        return self.run.tests / self.id

    @property
    def result(self) -> Path:
        return self.run.tests / f"{self.id}.json"

    @property
    def answers(self) -> Path:
        return self.path / "answers.jsonl"

    def plan(self) -> dict[str, Any]:
        """``dataset`` (its id), ``name`` and ``created``; empty where somebody has just deleted it."""
        return read_or_nothing(self.path / "plan.json")

    def begin(self, fingerprint: str) -> dict[str, dict[str, Any]]:
        """Make the answers ready to be added to; those of this model to these photos that are there, by path."""
        about = {"format": FORMAT, "model": model_stamp(self.run), "photos": fingerprint}
        rows = whole_lines(self.answers)
        known = {row["path"]: row for row in rows} if next(rows, {}) == about else {}
        if known:
            cut_torn_line(self.answers)
        else:
            write_atomically(self.answers, compact(about) + b"\n")
        return known


def begin(run: RunDirectory, dataset: Dataset) -> TestFolder:
    """A new test of this run on those photos; nothing is started."""
    identifier, path = make_directory(run.tests)
    plan = {"format": FORMAT, "dataset": dataset.id, "name": dataset.name, "created": time.time()}
    write_atomically(path / "plan.json", compact(plan))
    return TestFolder(run, identifier)


def tests(run: RunDirectory) -> tuple[TestFolder, ...]:
    """Every test of a run, newest first."""
    if not run.tests.is_dir():
        return ()
    names = sorted((name for name in os.listdir(run.tests) if ID_PATTERN.fullmatch(name)), reverse=True)
    return tuple(TestFolder(run, name) for name in names if (run.tests / name / "plan.json").exists())


def known_of(folder: TestFolder) -> Known:
    """How far it is. A test of a model that the run no longer has isn't ready: it waits to be made again."""
    return watch(folder, fits=lambda told: told.get("model") == model_stamp(folder.run))


def match(report: DatasetReport, classes: tuple[str, ...], run: RunDirectory) -> Matched:
    """Find each photo's class by its name.

    Raises:
        DataError: there is no photo, or none of a class that the model knows.
    """
    if not report.photos:
        raise DataError("later.no_photos", n=len(report.unlabelled))
    ours, places = spelling(classes), {label: place for place, label in enumerate(classes)}
    samples: list[Sample] = []
    unknown: dict[str, int] = {}
    for photo in report.photos:
        label = ours(photo.label)
        if label is None:
            unknown[photo.label] = unknown.get(photo.label, 0) + 1
        else:
            samples.append(Sample(photo.path, places[label], photo.sha256))
    if not samples:
        raise DataError("later.no_known_class", names=named(report.classes), known=named(classes))
    taught = _seen_by(run)
    seen = tuple(sample.path for sample in samples if sample.sha256 in taught)
    return Matched(tuple(samples), seen, unknown, len(report.unlabelled))


def _seen_by(run: RunDirectory) -> frozenset[str]:
    """Photos that taught it, or decided when it was done; none are known of a run that came from elsewhere."""
    try:
        divided = run.split()
    except RunError:
        return frozenset()
    return frozenset(sample.sha256 for sample in (*divided.train, *divided.val))


def write(folder: TestFolder, report: DatasetReport, matched: Matched, results: Results) -> None:
    """Keep what came of a test."""
    of = {path: name for name, group in zip(report.group_names, report.groups, strict=False) for path in group}
    groups = [(sample.path, of[sample.path]) for sample in matched.samples if sample.path in of]
    told = {
        **folder.plan(),
        "root": report.root,
        "model": model_stamp(folder.run),
        "samples": [asdict(sample) for sample in matched.samples],
        "seen": matched.seen,
        "unknown": matched.unknown,
        "unlabelled": matched.unlabelled,
        "groups": groups,
        "results": results.to_json(),
    }
    write_atomically(folder.result, json.dumps(told, ensure_ascii=False).encode("utf-8", "surrogatepass"))


def read(folder: TestFolder) -> LaterTest | None:
    """What came of it, of whichever model; None while nothing has.

    Raises:
        RunError: the file is damaged, or a newer Graft's.
    """
    try:
        told = json.loads(folder.result.read_text("utf-8", "surrogatepass"))
        if int(told["format"]) > FORMAT:
            raise DataError("data.newer", value=told["format"])
        return _from_json(folder.id, told)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        raise RunError("runs.broken_file", run=folder.run.id, file=folder.result.name) from None


def _from_json(identifier: str, told: dict[str, Any]) -> LaterTest:
    return LaterTest(
        id=identifier,
        created=float(told["created"]),
        name=str(told["name"]),
        dataset=str(told["dataset"]),
        root=str(told["root"]),
        model=str(told["model"]),
        results=Results.from_json(told["results"]),
        samples=tuple(Sample(**row) for row in told["samples"]),
        seen=tuple(told["seen"]),
        unknown=dict(told["unknown"]),
        unlabelled=int(told["unlabelled"]),
        groups=tuple((path, name) for path, name in told["groups"]),
    )


def delete(folder: TestFolder) -> None:
    """Forget a test; its photos stay where they are.

    Raises:
        RunError: it is at work.
    """
    if is_working(folder):
        raise RunError("later.working", name=str(folder.plan().get("name", "")))
    folder.result.unlink(missing_ok=True)
    shutil.rmtree(folder.path, ignore_errors=True)


def left_over(samples: Iterable[Sample], known: Mapping[str, object]) -> tuple[Sample, ...]:
    """The photos that have no answer yet."""
    return tuple(sample for sample in samples if sample.path not in known)
