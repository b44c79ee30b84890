"""Whether "90 % sure" is right nine times of ten: temperature scaling, and what a threshold gains. Torch-free."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.inference.intervals import Interval, wilson

FEWEST_PHOTOS = 20  # validation photos below which one mistake more or less would change the temperature too much
COOLEST, HOTTEST = 0.05, 20.0  # temperatures beyond which nothing reasonable lies
HALVINGS = 60
BINS = 10

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Bin:
    """The photos whose certainty lies in (low, high]: how sure the model was of them, and how often it was right."""

    low: float
    high: float
    photos: int
    right: int
    certainty: float  # the mean; 0 where there are no photos

    @property
    def accuracy(self) -> float:
        return self.right / max(1, self.photos)

    @property
    def interval(self) -> Interval:
        return wilson(self.right, self.photos)


@dataclass(frozen=True)
class Answering:
    """What is left when the model answers only from a certainty of ``threshold`` on."""

    threshold: float
    answered: int
    right: int
    total: int

    @property
    def share(self) -> float:
        return self.answered / max(1, self.total)

    @property
    def accuracy(self) -> float | None:
        """Of the answered; None where none is."""
        return self.right / self.answered if self.answered else None

    @property
    def interval(self) -> Interval:
        return wilson(self.right, self.answered)


def fit_temperature(logits: Floats, targets: Sequence[int]) -> float | None:
    """The temperature T that makes softmax(logits / T) likeliest, for (n, classes) logits of validation photos.

    None for fewer than 20 photos, and where all are right: then ever smaller temperatures are likelier for ever, and
    the photos don't say how sure is too sure. The likelihood is convex in 1/T, so halving finds its one minimum.
    Source: Guo, Pleiss, Sun and Weinberger 2017, "On Calibration of Modern Neural Networks", section 4.2.
    """
    z = np.asarray(logits, np.float64)
    true = np.asarray(targets, np.int64)
    if len(true) < FEWEST_PHOTOS or not np.isfinite(z).all() or np.all(z.argmax(axis=1) == true):
        return None
    z = z - z.max(axis=1, keepdims=True)
    said = z[np.arange(len(true)), true].mean()

    def slope(inverse: float) -> float:
        """Of the mean negative log-likelihood, by 1/T: what softmax expects of z, less the z of what is true."""
        weights = np.exp(inverse * z)
        return float(((weights * z).sum(axis=1) / weights.sum(axis=1)).mean() - said)

    low, high = math.log(1 / HOTTEST), math.log(1 / COOLEST)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if slope(math.exp(middle)) > 0 else (middle, high)
    return math.exp(-(low + high) / 2)


def tempered(probabilities: Floats, temperature: float) -> NDArray[np.float64]:
    """softmax(z / T) from (n, classes) probabilities softmax(z): the same ranking, more or less sure."""
    smallest = np.finfo(np.float64).tiny
    z = np.log(np.maximum(np.asarray(probabilities, np.float64), smallest)) / temperature
    weights = np.exp(z - z.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def reliability(certainties: Sequence[float], right: Sequence[bool]) -> tuple[Bin, ...]:
    """Ten equally wide bins of certainty, the empty ones among them.

    Source: Guo et al. 2017, section 2 and figure 1.
    """
    sure, correct = np.asarray(certainties, np.float64), np.asarray(right, np.bool_)
    # Each bin holds its upper end: 1.0 is in the last one, and 0 goes to the first.
    places = np.maximum(np.searchsorted(np.arange(BINS + 1) / BINS, sure, side="left") - 1, 0)
    bins: list[Bin] = []
    for place in range(BINS):
        here = places == place
        photos = int(here.sum())
        mean = float(sure[here].mean()) if photos else 0.0
        bins.append(Bin(place / BINS, (place + 1) / BINS, photos, int(correct[here].sum()), mean))
    return tuple(bins)


def calibration_error(bins: Sequence[Bin]) -> float:
    """How far certainty and accuracy lie apart, in the mean over photos: the expected calibration error (ECE).

    Source: Naeini, Cooper and Hauskrecht 2015; Guo et al. 2017, equation 3.
    """
    photos = sum(one.photos for one in bins)
    return sum(one.photos * abs(one.accuracy - one.certainty) for one in bins) / max(1, photos)


def answering(certainties: Sequence[float], right: Sequence[bool], threshold: float) -> Answering:
    """What happens to these photos when only answers of at least this certainty are given."""
    given = [correct for sure, correct in zip(certainties, right, strict=True) if sure >= threshold]
    return Answering(threshold, len(given), sum(given), len(certainties))


def trade(certainties: Sequence[float], right: Sequence[bool]) -> tuple[Answering, ...]:
    """``answering`` at each threshold that changes something, from answering all to answering the surest photo only.

    Source: El-Yaniv and Wiener 2010, "On the Foundations of Noise-free Selective Classification" (risk and coverage).
    """
    pairs = sorted(zip(certainties, right, strict=True), key=lambda pair: -pair[0])
    points: list[Answering] = []
    correct = 0
    for number, (sure, true) in enumerate(pairs, start=1):
        correct += true
        if number == len(pairs) or pairs[number][0] < sure:  # photos of the same certainty are answered together
            points.append(Answering(sure, number, correct, len(pairs)))
    return tuple(reversed(points))
