"""How far a score from few photos can be trusted: intervals of shares and of averages over classes. Torch-free."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# The 97.5 % quantile of the standard normal: two-sided 95 %.
Z_95 = 1.959963984540054
REPEATS = 2000  # resamples: the ends of an interval then move by a few tenths of a point from seed to seed
SEED = 0  # fixed, so that a page says the same twice
ADDED = 0.5  # of a photo right and as much wrong, over all classes together

Interval = tuple[float, float]
Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A score in [0, 1] with its 95 % interval."""

    value: float
    interval: Interval


@dataclass(frozen=True)
class Macro:
    """Averages over the classes that have photos, each class counting the same; ``class_f1`` is None for the others."""

    balanced_accuracy: Estimate  # the mean recall
    precision: Estimate
    f1: Estimate
    class_f1: tuple[Estimate | None, ...]


def wilson(right: int, total: int) -> Interval:
    """The 95 % interval of a share ``right / total``, both in [0, 1]; (0, 1) where nothing was counted.

    Source: Wilson 1927; Newcombe 1998, "Two-sided confidence intervals for the single proportion", method 3.
    """
    if total == 0:
        return 0.0, 1.0
    share = right / total
    centre = (share + Z_95**2 / (2 * total)) / (1 + Z_95**2 / total)
    half = Z_95 / (1 + Z_95**2 / total) * math.sqrt(share * (1 - share) / total + Z_95**2 / (4 * total**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def macro(confusion: Sequence[Sequence[int]], *, repeats: int = REPEATS, seed: int = SEED) -> Macro | None:
    """Averages over the classes of ``confusion[true][predicted]``; None where there are no photos.

    A class that was never named has a precision of 0. Intervals are percentiles of a Bayesian bootstrap, class by
    class: each keeps its number of photos, and the shares it is taken for are drawn from what was seen. Seen alone, 40
    of 40 right would look certain; so half a photo right and half a one wrong are added, spread over the classes.
    In simulations (2 to 50 classes of 5 to 100 photos, recalls of 0.6 to 0.98) the true balanced accuracy and F1 lay
    inside 82 to 97 % of the time, least where a class had 6 photos; for the precision of 50 classes it was 69 %.
    A plain bootstrap with four photos added held 40 photos of two classes, 98 % right, only 81 % of the time.

    Source: Rubin 1981, "The Bayesian Bootstrap"; Goutte and Gaussier 2005, "A Probabilistic Interpretation of
    Precision, Recall and F-Score"; Brown, Cai and DasGupta 2001, "Interval Estimation for a Binomial Proportion", for
    the halves.
    """
    counts = np.asarray(confusion, np.int64).reshape(len(confusion), len(confusion))
    photos = counts.sum(axis=1)
    present = photos > 0
    if not present.any():
        return None
    random = np.random.default_rng(seed)
    right = np.zeros((repeats, len(counts)))
    called = np.zeros_like(right)
    for place in np.flatnonzero(present):
        _draw_again(random, counts, int(place), right, called)
    seen = _scores(np.diagonal(counts)[None], counts.sum(axis=0)[None], photos)
    again = _scores(right, called, photos)
    recall, precision, f1 = (
        _estimate(value[:, present].mean(axis=1), drawn[:, present].mean(axis=1))
        for value, drawn in zip(seen, again, strict=True)
    )
    class_f1 = tuple(
        _estimate(seen[2][:, place], again[2][:, place]) if present[place] else None for place in range(len(counts))
    )
    return Macro(recall, precision, f1, class_f1)


def _draw_again(random: np.random.Generator, counts: Counts, place: int, right: Floats, called: Floats) -> None:
    """Draw the photos of one class again, as often as there are rows: sets its ``right``, adds to ``called``.

    Shares are drawn from Dirichlet's distribution; classes that none of the photos was taken for share one place.
    """
    row = counts[place]
    others = np.arange(len(row)) != place
    added = ADDED * row.sum() / counts.sum()
    each = added / max(1, int(others.sum()))  # to every other class alike
    taken, never = np.flatnonzero(others & (row > 0)), np.flatnonzero(others & (row == 0))
    weights = np.array([row[place] + added, *(row[taken] + each), each * len(never)])
    drawn = random.standard_gamma(weights, size=(len(right), len(weights)))
    drawn *= row.sum() / drawn.sum(axis=1, keepdims=True)
    right[:, place] = drawn[:, 0]
    called[:, place] += drawn[:, 0]
    called[:, taken] += drawn[:, 1:-1]
    if len(never):
        called[:, never] += drawn[:, -1:] / len(never)


def _scores(right: Counts | Floats, called: Counts | Floats, photos: Counts) -> tuple[Floats, Floats, Floats]:
    """Recall, precision and F1, each (repeats, classes); 0 where nothing is counted."""
    smallest = np.finfo(np.float64).tiny
    return (
        right / np.maximum(photos, 1),
        right / np.maximum(called, smallest),
        2 * right / np.maximum(photos + called, 1),
    )


def _estimate(seen: Floats, again: Floats) -> Estimate:
    value = float(seen[0])
    low, high = (float(end) for end in np.quantile(again, (0.025, 0.975)))
    return Estimate(value, (min(low, value), max(high, value)))
