"""Which class photos show that nobody has labelled yet, how sure that is, and which of them are worth a person's look.

Two classifiers are averaged: a linear one, learnt from the labelled photos, and labels spread along a graph of nearest
photos, in which unlabelled ones take part. On four sets with 5, 10 and 20 labelled photos of each class they guessed
80.9 % right together; the linear one alone 80.0, the graph alone 79.6, scikit-learn's LabelSpreading 76.2 at best.
"""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.data.report import DatasetReport
from core.doctor.neighbours import Neighbours, Places, nearest
from core.doctor.probe import FOLDS, NEIGHBOURS, averaged, folded, learn, numbered, out_of_fold
from core.doctor.space import FeatureRows, Floats, Joined, directions
from core.doctor.threads import one_thread
from core.errors import DataError

if TYPE_CHECKING:
    from scipy.sparse import csr_array

FORMAT = 1
GRAPH_NEIGHBOURS = 10
SHARPNESS = 20.0  # a neighbour that is less alike by 0.05 counts e times less
SPREAD = 0.8  # of a photo's answer comes from its neighbours, the rest from its own label. Source: Zhou et al. 2003
ROUNDS = 30  # 0.8³⁰ is a thousandth
CHOSEN_APART = 200  # so many of the most useful ones are chosen to differ from each other; nobody looks at more at once
LEAST_PROBABILITY = 1e-6
TEMPERATURES = np.exp(np.linspace(np.log(0.1), np.log(10.0), 81))


@dataclass(frozen=True)
class Guesses:
    """``chosen`` (n,) is the likeliest class of each unlabelled photo, ``certainty`` (n,) the chance that it is right.

    ``certain`` and ``useful`` are places: the surest first, and what teaches most first. ``accuracy`` is that on the
    ``judged`` labelled photos, each guessed as if it had no label; None where there were too few.
    """

    chosen: Places
    certainty: NDArray[np.float64]
    certain: Places
    useful: Places
    accuracy: float | None
    judged: int


@dataclass(frozen=True)
class Proposal:
    """What one unlabelled photo probably shows."""

    path: str
    label: str
    certainty: float  # the chance that it is right, checked on labelled photos


@dataclass(frozen=True)
class Proposals:
    """For the photos of one version that nobody has labelled."""

    fingerprint: str
    certain: tuple[Proposal, ...]  # the surest first
    useful: tuple[str, ...]  # paths: what is worth a look first, because it teaches most
    accuracy: float | None
    judged: int
    unread: tuple[str, ...] = ()  # nothing can be said of these: they couldn't be read

    @property
    def asked(self) -> frozenset[str]:
        """Every unlabelled photo that was there."""
        return frozenset(self.useful) | frozenset(self.unread)

    def with_unread(self, fingerprint: str, paths: Collection[str]) -> "Proposals":
        """The same for the whole version, in which these photos couldn't be read."""
        return replace(self, fingerprint=fingerprint, unread=tuple(sorted(paths)))

    def to_json(self) -> dict[str, object]:
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> "Proposals":
        if int(str(data.get("format", 0))) > FORMAT:
            raise DataError("data.newer", value=data.get("format"))
        known: dict[str, Any] = {name: data[name] for name in cls.__dataclass_fields__ if name in data}
        known["certain"] = tuple(Proposal(**row) for row in known["certain"])
        for name in ("useful", "unread"):
            known[name] = tuple(known.get(name, ()))
        return cls(**known)


def propose_labels(
    report: DatasetReport, features: FeatureRows, unlabelled: FeatureRows, *, seed: int = 0
) -> Proposals | None:
    """Proposals for ``report.unlabelled``; None while fewer than two classes are known."""
    if len(report.classes) < 2 or not report.unlabelled:
        return None
    labels, groups = numbered(report)
    found = propose(features, labels, unlabelled, len(report.classes), groups=groups, seed=seed)
    every = [
        Proposal(photo.path, report.classes[int(found.chosen[place])], round(float(found.certainty[place]), 4))
        for place, photo in enumerate(report.unlabelled)
    ]
    certain = tuple(every[place] for place in found.certain.tolist())
    useful = tuple(every[place].path for place in found.useful.tolist())
    return Proposals(report.fingerprint, certain, useful, found.accuracy, found.judged)


def propose(
    features: FeatureRows,
    labels: Places,
    unlabelled_features: FeatureRows,
    classes: int,
    *,
    groups: Places | None = None,
    seed: int = 0,
) -> Guesses:
    """Guess the classes of unlabelled photos: features (n, width) float32, labels (n,) below ``classes``.

    Certainty is calibrated on labelled photos that were guessed without their label, and never more than these
    can bear out: where 20 of them were as sure and all of them right, (20 + 1) / (20 + 2) = 95 % may be claimed.
    """
    with one_thread():
        points = directions(Joined(features, unlabelled_features))
        graph = _graph(nearest(points, GRAPH_NEIGHBOURS))
        own = np.arange(len(labels)) if groups is None else groups
        known = np.arange(len(labels))
        answers = _guess(points, graph, known, labels, classes)[len(labels) :]
        held = _out_of_fold(points, graph, labels, own, classes, seed)
        judged = _judgeable(labels, own, classes)
        right = (held.argmax(axis=1) == labels)[judged]
        temperature = _temperature(held[judged], labels[judged])
        answers = _sharpened(answers, temperature)
        certainty = np.minimum(answers.max(axis=1), _most(_sharpened(held[judged], temperature), right, answers))
        certain = np.argsort(-answers.max(axis=1), kind="stable")
        useful = _useful(points[len(labels) :], answers)
    accuracy = float(right.mean()) if len(right) else None
    return Guesses(answers.argmax(axis=1), certainty, certain, useful, accuracy, len(right))


def round_accuracy(
    report: DatasetReport, features: FeatureRows, first: Collection[str], *, seed: int = 0
) -> tuple[float | None, int]:
    """How well the labelled photos teach: accuracy on those of ``first`` (paths) that are labelled, and their number.

    Honest in three ways. Each photo is judged by a classifier that saw neither it nor a copy of it. The photos judged
    are those that were labelled before the first confirmation: the same in each round, so that the figure doesn't rise
    merely because easy photos join. And they were labelled by a person who had seen no proposal.
    """
    if len(report.classes) < 2:
        return None, 0
    labels, groups = numbered(report)
    with one_thread():
        points = directions(features)
        near = nearest(points, NEIGHBOURS, groups)
        answers = out_of_fold(points, labels, near, groups, classes=len(report.classes), seed=seed)
    wanted = set(first)
    asked = answers.judged & np.array([photo.path in wanted for photo in report.photos])
    count = int(asked.sum())
    return (float((answers.chosen == labels)[asked].mean()) if count else None), count


# Guessing


def _guess(points: Floats, graph: "csr_array", known: Places, labels: Places, classes: int) -> Floats:
    """Probabilities (all points, classes) from the points at ``known``, whose labels are given."""
    linear = learn(points[known], labels, points, classes=classes)
    said = np.zeros((len(points), classes))
    said[known, labels] = 1.0
    said /= np.maximum(said.sum(axis=0), 1.0)  # each class spreads as much, however many photos speak for it
    spread = said
    for _ in range(ROUNDS):
        spread = SPREAD * (graph @ spread) + (1 - SPREAD) * said
    total = spread.sum(axis=1, keepdims=True)
    # What no label reaches knows nothing.
    votes = np.where(total > 0, spread / np.where(total > 0, total, 1.0), 1 / classes)
    return averaged(linear, votes.astype(np.float32))


def _graph(near: Neighbours) -> "csr_array":
    """Symmetric, normalised weights D^-½ W D^-½ between each photo and its nearest. Source: Zhou et al. 2003."""
    from scipy.sparse import csr_array, diags_array

    count, kept = near.places.shape
    weights = np.nan_to_num(np.exp((near.likeness - near.likeness[:, :1]) * SHARPNESS), nan=0.0)
    rows = np.repeat(np.arange(count), kept)
    one_way = csr_array((weights.ravel().astype(np.float64), (rows, near.places.ravel())), shape=(count, count))
    both = one_way.maximum(one_way.T)
    scale = diags_array(1 / np.sqrt(np.maximum(both.sum(axis=1), 1e-12)))
    return csr_array(scale @ both @ scale)


def _out_of_fold(points: Floats, graph: "csr_array", labels: Places, groups: Places, classes: int, seed: int) -> Floats:
    """Probabilities (labelled, classes): each labelled photo guessed as one of the unlabelled."""
    folds = folded(labels, groups, FOLDS, seed)
    held = np.zeros((len(labels), classes), np.float32)
    for fold in np.unique(folds):
        out = np.flatnonzero(folds == fold)
        known = np.flatnonzero(folds != fold)
        if len(known):
            held[out] = _guess(points, graph, known, labels[known], classes)[out]
    return held


def _judgeable(labels: Places, groups: Places, classes: int) -> NDArray[np.bool_]:
    """Of a class with a single photo, or copies of one, nothing is left to learn from when it is judged."""
    different = np.bincount(np.unique(np.stack([labels, groups]), axis=1)[0], minlength=classes)
    return (different > 1)[labels]


# Certainty


def _temperature(held: Floats, labels: Places) -> float:
    """What makes the answers' certainty agree best with how often they were right. Source: Guo et al. 2017, 4.2."""
    if not len(held):
        return 1.0
    places = np.arange(len(labels))
    losses = [-np.log(_sharpened(held, t)[places, labels] + LEAST_PROBABILITY).mean() for t in TEMPERATURES]
    return float(TEMPERATURES[int(np.argmin(losses))])


def _most(held: NDArray[np.float64], right: NDArray[np.bool_], answers: NDArray[np.float64]) -> NDArray[np.float64]:
    """The most that may be claimed of each answer, by how often labelled photos that were as sure were right.

    Source: Laplace's rule of succession, for the best of all thresholds up to the answer's own.
    """
    if not len(held):
        return np.full(len(answers), 1 / 2)
    sure = held.max(axis=1)
    order = np.argsort(-sure, kind="stable")
    hits = np.cumsum(right[order])
    borne_out = ((hits + 1) / (np.arange(len(hits)) + 3))[::-1]  # from the lowest threshold up
    best = np.maximum.accumulate(borne_out)
    place = np.searchsorted(sure[order][::-1], answers.max(axis=1), side="right") - 1
    return best[np.maximum(place, 0)]


def _sharpened(probabilities: Floats, temperature: float) -> NDArray[np.float64]:
    logits = np.log(np.maximum(probabilities.astype(np.float64), LEAST_PROBABILITY)) / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


# What is worth a look


def _useful(points: Floats, answers: NDArray[np.float64]) -> Places:
    """Photos between two classes first, each unlike those before it; after ``CHOSEN_APART`` of them by doubt alone."""
    two = np.sort(answers, axis=1)[:, -2:]
    doubt = 1 - (two[:, 1] - two[:, 0])
    apart = np.ones(len(points))
    chosen: list[int] = []
    for _ in range(min(CHOSEN_APART, len(points))):
        worth = doubt * apart
        worth[chosen] = -1.0
        best = int(worth.argmax())
        chosen.append(best)
        apart = np.minimum(apart, np.maximum(1 - points @ points[best], 0.0))
    left = np.setdiff1d(np.arange(len(points)), chosen)
    rest = left[np.argsort(-doubt[left], kind="stable")]
    return np.concatenate([np.array(chosen, np.int64), rest])
