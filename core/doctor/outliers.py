"""Photos unlike everything else in the set: far from even their nearest neighbours."""

import numpy as np
from numpy.typing import NDArray

from core.data.report import DatasetReport
from core.doctor.neighbours import Neighbours, Places
from core.doctor.report import Case, Diagnosis, Refused, Suggestion

KIND = "outlier"
NEAREST = 10  # mean distance to so many: a handful of strangers of one kind are still strangers
FAR = 3.0  # robust standard deviations beyond the middle
LEAST_PHOTOS = 30  # fewer have no middle to speak of
LEAST_OF_CLASS = 20  # from here on a class has a middle of its own: some subjects vary more than others
MAD_TO_DEVIATION = 1.4826  # the standard deviation of a normal distribution by its median absolute deviation


def outliers(
    report: DatasetReport, near: Neighbours, labels: Places, refused: Refused | None = None
) -> Diagnosis | None:
    """The strangest first. A case's confidence is 0.5 at the threshold and nears 1 with the distance."""
    if len(labels) < LEAST_PHOTOS:
        return None
    strange = strangeness(near, labels)
    cases: list[Case] = []
    for place in np.argsort(-strange, kind="stable").tolist():
        if not strange[place] > FAR:
            break
        photo = report.photos[place]
        if photo.path not in (refused or {}).get(KIND, ()):
            confidence = round(float(1 - FAR / (2 * strange[place])), 4)
            cases.append(Case((photo.path,), confidence, Suggestion("aside", (photo.path,), KIND)))
    return Diagnosis(KIND, "look", tuple(cases), {"n": len(cases)}) if cases else None


def strangeness(near: Neighbours, labels: Places) -> NDArray[np.float64]:
    """How far each photo lies from the middle of its class's distances, in robust standard deviations of all."""
    near = near.first(NEAREST)
    present = np.isfinite(near.likeness)
    total = np.where(present, 1.0 - np.where(present, near.likeness, 0.0), 0.0).sum(axis=1)
    distance = total / np.maximum(present.sum(axis=1), 1)
    beyond = distance - np.median(distance)
    for label in np.unique(labels):
        members = labels == label
        if members.sum() >= LEAST_OF_CLASS:
            beyond[members] = distance[members] - np.median(distance[members])
    spread = MAD_TO_DEVIATION * float(np.median(np.abs(beyond)))
    return beyond / spread if spread > 0 else np.zeros(len(beyond))
