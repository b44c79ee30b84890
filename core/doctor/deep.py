"""What a pretrained network's features tell about a set: wrong labels, strangers, classes that look alike. Torch-free.

Everything is judged out of fold: by a classifier that saw neither the photo nor a copy of it.
"""

from dataclasses import dataclass

import numpy as np

from core.data.report import DatasetReport
from core.doctor.confusable import confusable, inseparable
from core.doctor.labels import label_errors
from core.doctor.neighbours import nearest
from core.doctor.outliers import outliers
from core.doctor.probe import NEIGHBOURS, Answers, numbered, out_of_fold
from core.doctor.report import Diagnosis, Refused, ordered
from core.doctor.space import FeatureRows, Floats, directions
from core.doctor.threads import one_thread


@dataclass(frozen=True)
class Deep:
    """``probabilities`` (n, classes) are in the order of the report's photos and classes; None with a single class."""

    diagnoses: tuple[Diagnosis, ...]
    accuracy: float | None = None  # of the probe, on photos it didn't learn from
    judged: int = 0  # photos that the accuracy speaks of
    probabilities: Floats | None = None


def examine_deep(
    report: DatasetReport, features: FeatureRows, *, seed: int = 0, refused: Refused | None = None
) -> Deep:
    """Examine the features (n, width) float32 of ``report.photos``, in their order; read a chunk at a time.

    ``refused``: what a person has looked at and found fine isn't told again.
    """
    if len(features) != len(report.photos):
        raise ValueError(f"{len(features)} features of {len(report.photos)} photos")
    if not report.photos:
        return Deep(())
    with one_thread():
        return _examine(report, features, seed, refused)


def _examine(report: DatasetReport, features: FeatureRows, seed: int, refused: Refused | None) -> Deep:
    points = directions(features)
    labels, groups = numbered(report)
    near = nearest(points, NEIGHBOURS, groups)
    strangers = outliers(report, near, labels, refused)
    if len(report.classes) < 2:
        return Deep(_found(strangers))
    answers = out_of_fold(points, labels, near, groups, classes=len(report.classes), seed=seed)
    judged = int(answers.judged.sum())
    accuracy = float((answers.chosen == labels)[answers.judged].mean()) if judged else None
    found = _of_labels(report, answers, labels, refused)
    return Deep(_found(*found, strangers), accuracy, judged, answers.probabilities)


def _of_labels(
    report: DatasetReport, answers: Answers, labels: np.ndarray, refused: Refused | None
) -> tuple[Diagnosis | None, ...]:
    # Where nothing can be told apart, doubts about single labels would be noise.
    if (nothing := inseparable(report, answers, labels)) is not None:
        return (nothing,)
    return label_errors(report, answers, labels, refused), confusable(report, answers, labels, refused)


def _found(*diagnoses: Diagnosis | None) -> tuple[Diagnosis, ...]:
    return ordered(one for one in diagnoses if one is not None)
