"""What a simple classifier on frozen features makes of each photo, learnt from other photos only.

Two classifiers are averaged: a linear one, and the nearest photos. Each errs elsewhere, so a label that both doubt is
more often wrong than one that either doubts.
"""

import warnings
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.data.report import DatasetReport
from core.doctor.neighbours import Neighbours, Places
from core.doctor.space import Floats

FOLDS = 10
FOLDS_OF_MANY = 5
MANY = 2000  # photos from which each fold leaves enough to learn from
# The inverse strength of the penalty, on features whose mean square length is 1. Measured with planted label errors on
# four sets: 1, 3 and 10 find equally many; at 3 one threshold served all four.
STRENGTH = 3.0
STEPS = 200  # of the optimiser at most; it needs about 30
NEIGHBOURS = 40
SHARPNESS = 20.0  # a neighbour that is less alike by 0.05 counts e times less
DOUBT = 0.02  # a share for every class, so that no class is ruled out for want of a neighbour
LEAST_PROBABILITY = 1e-6


@dataclass(frozen=True)
class Answers:
    """``probabilities`` (n, classes) of photos that the classifier had not seen; ``judged`` (n,) says which count.

    A class with too few photos to learn from is answered for by chance, so its photos aren't judged.
    """

    probabilities: Floats
    judged: NDArray[np.bool_]

    @property
    def chosen(self) -> Places:
        return self.probabilities.argmax(axis=1)


def out_of_fold(
    points: Floats, labels: Places, near: Neighbours, groups: Places, *, classes: int, seed: int
) -> Answers:
    """Answers of which none was learnt from the photo itself or from one of its group.

    ``near`` are each photo's neighbours outside its group.
    """
    folds = folded(labels, groups, FOLDS if len(labels) < MANY else FOLDS_OF_MANY, seed)
    linear = np.zeros((len(labels), classes), np.float32)
    for fold in np.unique(folds):
        held = folds == fold
        linear[held] = learn(points[~held], labels[~held], points[held], classes=classes)
    both = averaged(linear, voted(near, labels, classes))
    return Answers(both, _judged(labels, groups, classes))


def learn(points: Floats, labels: Places, asked: Floats, *, classes: int) -> Floats:
    """Probabilities (n, classes) of ``asked`` by multinomial logistic regression; each class counts the same."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    answers = np.zeros((len(asked), classes), np.float32)
    known = np.unique(labels)
    if len(known) < 2:
        answers[:, known] = 1.0
        return answers
    middle = points.mean(axis=0)
    scale = np.sqrt(max(float(np.square(points - middle).sum(axis=1).mean()), 1e-12))
    model = LogisticRegression(C=STRENGTH, class_weight="balanced", max_iter=STEPS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # stopping early changes the third digit
        model.fit((points - middle) / scale, labels)
    answers[:, model.classes_] = model.predict_proba((asked - middle) / scale)
    return answers


def voted(near: Neighbours, labels: Places, classes: int) -> Floats:
    """Probabilities (n, classes) by the labels of the nearest photos; the more alike, the more they count."""
    near = near.first(NEIGHBOURS)
    weights = np.exp((near.likeness - near.likeness[:, :1]) * SHARPNESS)
    weights = np.nan_to_num(weights, nan=0.0)  # where there is no neighbour at all
    counts = np.bincount(labels, minlength=classes)
    votes = np.zeros((len(weights), classes), np.float32)
    for place in range(weights.shape[1]):
        chosen = labels[near.places[:, place]]
        np.add.at(votes, (np.arange(len(votes)), chosen), weights[:, place])
    total = np.maximum(weights.sum(axis=1, keepdims=True), 1e-12)
    # A class with few photos has few neighbours to vote for it.
    votes = votes / total * (counts.mean() / np.maximum(counts, 1)) + DOUBT
    return votes / votes.sum(axis=1, keepdims=True)


def averaged(first: Floats, second: Floats) -> Floats:
    """The geometric mean of two classifiers' probabilities: what either rules out stays unlikely."""
    product = np.sqrt(np.maximum(first, LEAST_PROBABILITY) * np.maximum(second, LEAST_PROBABILITY))
    return product / product.sum(axis=1, keepdims=True)


# Folds


def numbered(report: DatasetReport) -> tuple[Places, Places]:
    """Labels as places in ``report.classes``, and a group for each photo: copies share one."""
    places = {label: place for place, label in enumerate(report.classes)}
    labels = np.array([places[photo.label] for photo in report.photos], np.int64)
    hashes = tuple(photo.sha256 for photo in report.photos)
    return labels, grouped(tuple(photo.path for photo in report.photos), hashes, report.together)


def grouped(paths: tuple[str, ...], hashes: tuple[str, ...], together: tuple[tuple[str, ...], ...]) -> Places:
    """A number for each photo, the same for those that must not be learnt from when one of them is judged."""
    first: dict[str, int] = {}
    number = list(range(len(paths)))
    for place, sha256 in enumerate(hashes):
        number[place] = first.setdefault(sha256, place)
    place_of = {path: place for place, path in enumerate(paths)}

    def root(place: int) -> int:
        while number[place] != place:
            number[place] = number[number[place]]
            place = number[place]
        return place

    for group in together:
        places = [place_of[path] for path in group if path in place_of]
        for place in places[1:]:
            number[root(place)] = root(places[0])
    return np.array([root(place) for place in range(len(paths))], np.int64)


def folded(labels: Places, groups: Places, folds: int, seed: int) -> Places:
    """A fold for each photo: whole groups, each class spread evenly."""
    members: defaultdict[int, list[int]] = defaultdict(list)
    for place, group in enumerate(groups.tolist()):
        members[group].append(place)
    of_class: defaultdict[int, list[list[int]]] = defaultdict(list)
    for places in members.values():
        of_class[int(labels[places[0]])].append(places)
    random = np.random.default_rng(seed)
    chosen = np.zeros(len(labels), np.int64)
    sizes = np.zeros(folds, np.int64)
    for label in sorted(of_class):
        bunch = of_class[label]
        in_class = np.zeros(folds, np.int64)
        for number in random.permutation(len(bunch)):
            places = bunch[int(number)]
            fold = int(np.lexsort((sizes, in_class))[0])  # the fold with fewest of the class, then fewest in all
            chosen[places] = fold
            in_class[fold] += len(places)
            sizes[fold] += len(places)
    return chosen


LEAST_OF_CLASS = 4  # different photos of a class, so that at least three are left to learn from


def _judged(labels: Places, groups: Places, classes: int) -> NDArray[np.bool_]:
    pairs = np.unique(np.stack([labels, groups]), axis=1)
    different = np.bincount(pairs[0], minlength=classes)
    enough = different >= LEAST_OF_CLASS
    return enough[labels] & (enough.sum() >= 2)
