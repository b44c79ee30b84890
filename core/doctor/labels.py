"""Labels that are probably wrong: photos for which another class is far likelier than the one they are filed under."""

import numpy as np

from core.data.report import DatasetReport
from core.doctor.neighbours import Places
from core.doctor.probe import Answers
from core.doctor.report import Case, Diagnosis, Refused, Suggestion

KIND = "label_error"
# So many times likelier than the given class. Measured with 5 % planted errors (benchmarks: doctor_deep): confident
# learning's own rule (Northcutt et al. 2021, also as cleanlab 2.9 has it) on the same probabilities found fewer in
# sets of six and more classes; the ratio is low for photos that merely lie between two classes.
ODDS = 3.5


def label_errors(
    report: DatasetReport, answers: Answers, labels: Places, refused: Refused | None = None
) -> Diagnosis | None:
    """Photos whose label is doubted, the surest first.

    A case's confidence is the likelier class's part of the two: 0.78 at the threshold.
    """
    places = np.arange(len(labels))
    others = answers.probabilities.copy()
    others[places, labels] = -1.0
    other = others.argmax(axis=1)
    given, likelier = answers.probabilities[places, labels], others[places, other]
    doubted = np.flatnonzero(answers.judged & (likelier >= ODDS * given))
    confidence = likelier / (likelier + given)
    cases: list[Case] = []
    for place in doubted[np.argsort(-confidence[doubted], kind="stable")].tolist():
        photo, name = report.photos[place], report.classes[int(other[place])]
        if photo.path not in (refused or {}).get(KIND, ()):
            suggestion = Suggestion("label", (photo.path,), name)
            values = {"label": photo.label, "other": name}
            cases.append(Case((photo.path,), round(float(confidence[place]), 4), suggestion, values))
    return Diagnosis(KIND, "serious", tuple(cases), {"n": len(cases)}) if cases else None
