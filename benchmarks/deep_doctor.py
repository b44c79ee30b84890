"""The doctor's deep findings, planted and not: ``python -m benchmarks.deep_doctor FOLDER [FOLDER …] --weights FOLDER``.

Wrong labels: 5 % of the labels of each set are exchanged for another class drawn at random; a set is used whole. Where
cleanlab is installed, its ways to decide judge the same out-of-fold probabilities, and those of a linear classifier
alone. Strangers: 2 % of a set are photos of the other sets, under labels drawn at random. Guesses: 5, 10 and 20 photos
of each class keep their labels, the others are guessed; scikit-learn's LabelSpreading guesses from the same points.
Speed: processor time on kept features; 50,000 photos are drawn, with features around 20 middles, in a process of its
own.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.results import machine, write
from core.data.report import DatasetReport, Photo
from core.data.scan import scan
from core.doctor.deep import examine_deep
from core.doctor.examine import found as kept_features
from core.doctor.examine import prepare
from core.doctor.features import Source
from core.doctor.labelling import propose
from core.doctor.labels import ODDS
from core.doctor.neighbours import nearest
from core.doctor.probe import FOLDS, NEIGHBOURS, folded, learn, numbered, out_of_fold
from core.doctor.space import Joined, directions
from core.training.rows import RowStore

FLIPPED, STRANGE = 0.05, 0.02
# None of these were looked at while the thresholds were chosen.
FLIP_SEEDS = range(500, 520)
STRANGE_SEEDS = range(500, 510)
GUESS_SEEDS = range(500, 506)
LABELLED = (5, 10, 20)
SURE = 0.9
MANY, MANY_CLASSES = 50_000, 20
CLEANLAB = ("prune_by_noise_rate", "both", "confident_learning", "low_normalized_margin")


@dataclass(frozen=True)
class Set:
    """A real set of photos with its features."""

    name: str
    report: DatasetReport
    features: np.ndarray
    labels: np.ndarray


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--weights", type=Path, default=Path("workspace/weights"))
    parser.add_argument("--many", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.many:
        print(json.dumps(many()))
        return
    with tempfile.TemporaryDirectory() as scratch:
        sets = [read_set(folder, Source(Path(scratch), options.weights)) for folder in options.folders]
    rows = []
    for one in sets:
        others = [other for other in sets if other is not one]
        rows.append({"name": one.name, "photos": len(one.labels), "classes": len(one.report.classes)})
        rows[-1] |= {"flips": flips(one), "clean": clean(one), "strange": strange(one, others), "guesses": guesses(one)}
        print(json.dumps(rows[-1]), flush=True)
    child = [sys.executable, "-m", "benchmarks.deep_doctor", "--many"]
    drawn = json.loads(subprocess.run(child, capture_output=True, text=True, check=True).stdout)
    write("deep_doctor", {
        "command": "python -m benchmarks.deep_doctor FOLDER …", "machine": machine(), "odds": ODDS,
        "seeds": len(FLIP_SEEDS), "sets": rows, "many": drawn,
    })  # fmt: skip


def read_set(folder: Path, source: Source) -> Set:
    report = scan(folder)
    for _ in prepare(source, report, lambda: False):
        pass
    features = kept_features(source, report).features[:]
    return Set(folder.name, report, features, numbered(report)[0])


# Wrong labels


def flips(one: Set) -> dict[str, object]:
    told: dict[str, list[tuple[float, float]]] = {}
    sure: list[tuple[float, bool]] = []
    for seed in FLIP_SEEDS:
        said, wrong = planted(one.labels, seed)
        deep = examine_deep(labelled(one.report, said), one.features, seed=seed)
        cases = [case for found in deep.diagnoses if found.kind == "label_error" for case in found.cases]
        places = {photo.path: place for place, photo in enumerate(one.report.photos)}
        flagged = np.zeros(len(said), bool)
        for case in cases:
            flagged[places[case.paths[0]]] = True
            sure.append((case.confidence, bool(wrong[places[case.paths[0]]])))
        told.setdefault("graft", []).append(judged(flagged, wrong))
        for name, others in beside(one, said, seed).items():
            told.setdefault(name, []).append(judged(others, wrong))
    bands = [(0.0, 0.85), (0.85, 0.95), (0.95, 1.01)]
    right = {f"{low:g}": [hit for value, hit in sure if low <= value < high] for low, high in bands}
    return {
        "methods": {name: summary(rows) for name, rows in told.items()},
        "confidence": {low: [len(hits), sum(hits)] for low, hits in right.items()},
    }


def beside(one: Set, said: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """What cleanlab flags, from our probabilities and from those of the linear classifier alone."""
    try:
        from cleanlab.filter import find_label_issues
    except ImportError:
        return {}
    classes = len(one.report.classes)
    points, groups = directions(one.features), numbered(one.report)[1]
    folds = folded(said, groups, FOLDS, seed)
    linear = np.zeros((len(said), classes), np.float32)
    for fold in range(FOLDS):
        held = folds == fold
        linear[held] = learn(points[~held], said[~held], points[held], classes=classes)
    near = nearest(points, NEIGHBOURS, groups)
    both = out_of_fold(points, said, near, groups, classes=classes, seed=seed).probabilities
    flagged = {}
    for name, probabilities in (("our probabilities", both), ("linear classifier", linear)):
        exact = probabilities.astype(float) / probabilities.astype(float).sum(axis=1, keepdims=True)
        for way in CLEANLAB:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                flagged[f"cleanlab {way}, {name}"] = find_label_issues(said, exact, filter_by=way, n_jobs=1)
    return flagged


def planted(labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels with 5 % of them wrong, and which."""
    random = np.random.default_rng(seed)
    classes = int(labels.max()) + 1
    places = random.choice(len(labels), round(FLIPPED * len(labels)), replace=False)
    said = labels.copy()
    said[places] = (labels[places] + random.integers(1, classes, len(places))) % classes
    return said, np.isin(np.arange(len(labels)), places)


def labelled(report: DatasetReport, said: np.ndarray) -> DatasetReport:
    photos = (replace(photo, label=report.classes[label]) for photo, label in zip(report.photos, said, strict=True))
    return replace(report, photos=tuple(photos))


def judged(flagged: np.ndarray, wrong: np.ndarray) -> tuple[float, float]:
    """Recall and precision."""
    right = float((flagged & wrong).sum())
    return right / max(wrong.sum(), 1), right / max(flagged.sum(), 1)


def summary(rows: list[tuple[float, float]]) -> dict[str, float]:
    """Means over the seeds, and the spread of the recall."""
    recall, precision = zip(*rows, strict=True)
    return {
        "recall": statistics.mean(recall), "precision": statistics.mean(precision),
        "least_recall": min(recall), "least_precision": min(precision),
    }  # fmt: skip


def clean(one: Set) -> dict[str, object]:
    """What is told of the set as it is, and the processor time it takes."""
    examine_deep(one.report, one.features)  # imports
    began = time.process_time()
    deep = examine_deep(one.report, one.features)
    return {
        "seconds": time.process_time() - began,
        "accuracy": deep.accuracy,
        "found": {found.kind: len(found.cases) for found in deep.diagnoses},
    }


# Strangers


def strange(one: Set, others: list[Set]) -> dict[str, float]:
    recall, precision = [], []
    count = max(3, round(STRANGE * len(one.labels)))
    for other in others:
        for seed in STRANGE_SEEDS:
            random = np.random.default_rng(seed)
            chosen = random.choice(len(other.labels), count, replace=False)
            names = [one.report.classes[number] for number in random.integers(0, len(one.report.classes), count)]
            come = tuple(
                replace(other.report.photos[place], path=f"planted/{place}.jpg", label=name)
                for place, name in zip(chosen, names, strict=True)
            )
            report = replace(one.report, photos=(*one.report.photos, *come))
            deep = examine_deep(report, np.concatenate([one.features, other.features[chosen]]), seed=seed)
            told = {path for found in deep.diagnoses if found.kind == "outlier" for path in found.paths}
            hits = sum(photo.path in told for photo in come)
            recall.append(hits / count)
            precision.append(hits / max(len(told), 1))
    return {"recall": statistics.mean(recall), "precision": statistics.mean(precision)} if recall else {}


# Guesses


def guesses(one: Set) -> dict[str, dict[str, float]]:
    told = {}
    for count in LABELLED:
        if count < min(np.bincount(one.labels)):
            told[str(count)] = guessed(one, count)
    return told


def guessed(one: Set, count: int) -> dict[str, float]:
    rows: dict[str, list[float]] = {}
    classes = len(one.report.classes)
    for seed in GUESS_SEEDS:
        random = np.random.default_rng(seed)
        of_each = [random.choice(np.flatnonzero(one.labels == label), count, False) for label in range(classes)]
        known = np.concatenate(of_each)
        asked = np.setdiff1d(np.arange(len(one.labels)), known)
        made = propose(one.features[known], one.labels[known], one.features[asked], classes, seed=seed)
        right = made.chosen == one.labels[asked]
        sure = made.certainty >= SURE
        rows.setdefault("right", []).append(float(right.mean()))
        rows.setdefault("claimed", []).append(float(made.certainty.mean()))
        rows.setdefault("told", []).append(made.accuracy or 0.0)
        rows.setdefault("sure", []).append(float(sure.sum()))
        rows.setdefault("sure_right", []).append(float(right[sure].sum()))
        rows.setdefault("label_spreading", []).append(spread(one, known, asked))
    means = {name: statistics.mean(values) for name, values in rows.items()}
    return {**means, "asked": float(len(asked))}


def spread(one: Set, known: np.ndarray, asked: np.ndarray) -> float:
    """The share that scikit-learn's LabelSpreading guesses right, the best of the settings tried: 15 neighbours."""
    from sklearn.semi_supervised import LabelSpreading

    points = directions(Joined(one.features[known], one.features[asked]))
    said = np.r_[one.labels[known], np.full(len(asked), -1)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = LabelSpreading(kernel="knn", n_neighbors=15, alpha=0.2, max_iter=100).fit(points, said)
    return float((model.transduction_[len(known) :] == one.labels[asked]).mean())


# Many


def many() -> dict[str, float]:
    """Seconds and memory for photos whose features lie on the disk, as they do in a check-up."""
    random = np.random.default_rng(0)
    middles = random.normal(size=(MANY_CLASSES, 1280)) * 0.35
    photos = [Photo(f"{n}.jpg", f"{n % MANY_CLASSES:02}", None, f"{n:064x}", 100, 100, 1000) for n in range(MANY)]
    report = DatasetReport("", tuple(photos), (), (), "classes")
    with tempfile.TemporaryDirectory() as scratch:
        store = RowStore(Path(scratch) / "rows", (1280,), "float32")
        for start in range(0, MANY, 2000):
            labels = np.arange(start, start + 2000) % MANY_CLASSES
            rows = np.maximum(middles[labels] + random.normal(size=(2000, 1280)), 0)
            store.append([photo.sha256 for photo in photos[start : start + 2000]], rows.astype(np.float32))
        before = memory()
        began, wall = time.process_time(), time.monotonic()
        examine_deep(report, store.rows([photo.sha256 for photo in photos]))
        seconds, waited = time.process_time() - began, time.monotonic() - wall
    return {"photos": MANY, "seconds": seconds, "waited": waited, "before": before, "peak": memory()}


def memory() -> float:
    """The most that was resident so far, in 10⁶ bytes. Not from getrusage, which counts the parent's as well."""
    status = Path("/proc/self/status").read_text("ascii")
    return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6


if __name__ == "__main__":
    main()
