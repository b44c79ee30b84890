"""Labels that are probably wrong: photos for which another class is far likelier than the one they are filed under."""

import numpy as np
from numpy.typing import NDArray

from core.data.report import DatasetReport
from core.doctor.neighbours import Places
from core.doctor.probe import LEAST_PROBABILITY, Answers
from core.doctor.report import Case, Diagnosis, Refused, Suggestion

KIND = "label_error"
# The other class must be so many times likelier than the given one, after ``_odds``' correction. Chosen on planted
# errors (benchmarks: deep_doctor) so that sets of 2, 5, 6 and 10 classes are all served.
ODDS = 3.0
CORRECTION = 0.5  # the exponent: 0 for none. At 0.5 one threshold found more, and less wrongly, than at 0 or 0.75


def label_errors(
    report: DatasetReport, answers: Answers, labels: Places, refused: Refused | None = None
) -> Diagnosis | None:
    """Photos whose label is doubted, the surest first.

    A case's confidence is the odds as a share: 0.75 at the threshold, 0.9 for nine times likelier.
    """
    if not answers.judged.any():
        return None
    odds, other = _odds(answers, labels)
    doubted = np.flatnonzero(answers.judged & (odds >= ODDS))
    cases: list[Case] = []
    for place in doubted[np.argsort(-odds[doubted], kind="stable")].tolist():
        photo, name = report.photos[place], report.classes[int(other[place])]
        if photo.path not in (refused or {}).get(KIND, ()):
            confidence = round(float(odds[place] / (1 + odds[place])), 4)
            values = {"label": photo.label, "other": name}
            cases.append(Case((photo.path,), confidence, Suggestion("label", (photo.path,), name), values))
    return Diagnosis(KIND, "serious", tuple(cases), {"n": len(cases)}) if cases else None


def _odds(answers: Answers, labels: Places) -> tuple[NDArray[np.float64], Places]:
    """How many times likelier the likeliest other class is than the given one (n,), and which class that is (n,).

    Where photos of a class often look like that other one, as glass does like plastic, one more proves little: the
    odds are divided by how much more often than others that class is taken for the given one, to the power
    ``CORRECTION``. Source: after Northcutt et al. 2021, who hold a probability against the mean of its class.
    """
    places = np.arange(len(labels))
    given = answers.probabilities[places, labels].astype(np.float64)
    others = answers.probabilities.astype(np.float64)
    others[places, labels] = -1.0
    other = others.argmax(axis=1)
    usual = _usual(answers, labels)
    return others[places, other] / (given * usual[labels, other] ** CORRECTION), other


def _usual(answers: Answers, labels: Places) -> NDArray[np.float64]:
    """(classes, classes): mean probability of a column's class for photos of a row's, over the row's others."""
    classes = answers.probabilities.shape[1]
    usual = np.ones((classes, classes))
    for label in np.unique(labels):
        mean = answers.probabilities[labels == label].mean(axis=0, dtype=np.float64)
        usual[label] = mean / ((mean.sum() - mean[label]) / (classes - 1))
    return np.maximum(usual, LEAST_PROBABILITY)
