"""Prediction sets: as many classes as are needed so that the right one is among them as often as was asked. Pure.

Split conformal prediction with the score 1 − p(true class): of all ways to reach a coverage it names the fewest
classes in the mean. It holds for whatever model, as long as new photos come from where the validation photos came.
Source: Sadinle, Lei and Wasserman 2019, "Least Ambiguous Set-Valued Classifiers with Bounded Error Levels", section 2;
Angelopoulos and Bates 2021, "A Gentle Introduction to Conformal Prediction", section 1.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

ROUNDING = 1e-9  # 0.9 · 10 is a little more than 9 in binary, and must not be rounded up to 10
Floats = NDArray[np.floating]


def rank(photos: int, coverage: float) -> int:
    """Which of so many scores, the smallest being the 1st, a new one stays below with probability ``coverage``.

    ⌈(n + 1) · coverage⌉: the new photo is one of n + 1 that might have come in any order. More than ``photos`` where
    these are too few to promise anything.
    """
    if not 0 < coverage < 1:
        raise ValueError(f"coverage must lie between 0 and 1, not {coverage}")
    return math.ceil((photos + 1) * coverage - ROUNDING)


def fewest(coverage: float) -> int:
    """How many validation photos it takes to promise this coverage with anything less than all classes."""
    return math.ceil(coverage / (1 - coverage) - ROUNDING)


def quantile(probabilities: Floats, targets: Sequence[int], coverage: float) -> float:
    """The score up to which a class is named, from (n, classes) probabilities of validation photos.

    Infinite where the photos are fewer than ``fewest(coverage)``: then every class is named.
    """
    true = np.asarray(targets, np.int64)
    scores = 1.0 - np.asarray(probabilities, np.float64)[np.arange(len(true)), true]
    place = rank(len(true), coverage)
    return float(np.sort(scores)[place - 1]) if place <= len(true) else math.inf


def prediction_set(probabilities: Floats | Sequence[float], q: float) -> tuple[int, ...]:
    """The numbers of the classes that may be right, the likeliest first; none where not even that one fits ``q``."""
    scores = 1.0 - np.asarray(probabilities, np.float64)
    order = np.argsort(scores, kind="stable")
    return tuple(int(place) for place in order if scores[place] <= q)
