"""Classes that can't be told apart by what the network sees, with an interval, so that chance isn't taken for it."""

from math import sqrt

import numpy as np

from core.data.report import DatasetReport
from core.doctor.neighbours import Places
from core.doctor.probe import Answers
from core.doctor.report import Case, Diagnosis, Refused

KIND = "confusable"
NOTHING = "inseparable"
CONFUSED = 0.15  # of the photos of two classes are taken for the other, at the least: where chance would be 0.5
MOST_PHOTOS = 48  # shown of a pair
LEAST_PHOTOS = 20  # judged, before anything is said of all classes at once
SIGMAS = 1.96  # 95 %


def confusable(
    report: DatasetReport, answers: Answers, labels: Places, refused: Refused | None = None
) -> Diagnosis | None:
    """Pairs of classes of which surely more than a seventh is taken for the other, the worst pair first."""
    wrong, counts = _wrong(answers, labels, len(report.classes))
    cases: list[tuple[float, Case]] = []
    for first, second in zip(*np.triu_indices(len(report.classes), 1), strict=True):
        if not (counts[first] and counts[second]):
            continue
        # Both classes count the same, however many photos each has; this many photos would be as uncertain.
        share = float(wrong[first, second] + wrong[second, first]) / 2
        worth = 4 / (1 / counts[first] + 1 / counts[second])
        low, high = interval(share, worth)
        if low > CONFUSED:
            case = _case(report, answers, labels, (int(first), int(second)), (share, low, high))
            if not set(case.paths) <= set((refused or {}).get(KIND, ())):
                cases.append((share, case))
    if not cases:
        return None
    cases.sort(key=lambda pair: -pair[0])
    return Diagnosis(KIND, "look", tuple(case for _, case in cases), {"n": len(cases)})


def inseparable(report: DatasetReport, answers: Answers, labels: Places) -> Diagnosis | None:
    """Whether all classes together are told apart no better than by chance."""
    judged = answers.judged
    if judged.sum() < LEAST_PHOTOS:
        return None
    classes = np.unique(labels[judged])
    right = answers.chosen == labels
    share = float(np.mean([right[judged & (labels == label)].mean() for label in classes]))
    low, _ = interval(share, float(judged.sum()))
    if low > 1 / len(classes):
        return None
    values = {"percent": round(100 * share), "chance": round(100 / len(classes))}
    return Diagnosis(NOTHING, "serious", (), values)


def interval(share: float, count: float) -> tuple[float, float]:
    """95 % interval of a share of ``count``. Source: Wilson 1927, Probable inference, equation for p."""
    middle = (share + SIGMAS**2 / (2 * count)) / (1 + SIGMAS**2 / count)
    half = SIGMAS / (1 + SIGMAS**2 / count) * sqrt(share * (1 - share) / count + SIGMAS**2 / (4 * count**2))
    return middle - half, middle + half


def _wrong(answers: Answers, labels: Places, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """(classes, classes): the share of a row's photos that the column's class is likelier for; and judged photos."""
    wrong = np.zeros((classes, classes))
    counts = np.zeros(classes, np.int64)
    for label in range(classes):
        found = answers.probabilities[answers.judged & (labels == label)]
        counts[label] = len(found)
        if len(found):
            wrong[label] = (found > found[:, label : label + 1]).mean(axis=0)
    return wrong, counts


def _case(
    report: DatasetReport, answers: Answers, labels: Places, pair: tuple[int, int], found: tuple[float, float, float]
) -> Case:
    first, second = pair
    share, low, high = found
    of_pair = answers.judged & ((labels == first) | (labels == second))
    own = answers.probabilities[np.arange(len(labels)), labels]
    other = answers.probabilities[np.arange(len(labels)), np.where(labels == first, second, first)]
    mixed = np.flatnonzero(of_pair & (other > own))
    order = mixed[np.argsort(-(other - own)[mixed], kind="stable")][:MOST_PHOTOS]
    values = {
        "first": report.classes[first],
        "second": report.classes[second],
        "percent": round(100 * share),
        "low": round(100 * low),
        "high": round(100 * high),
    }
    paths = tuple(report.photos[place].path for place in order.tolist())
    return Case(paths, round(min(1.0, 2 * share), 4), None, values)
