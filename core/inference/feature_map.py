"""A map of feature space: two numbers a photo to look at, before and after training, and a share to trust. Torch-free.

A map shows likeness as distance, as far as two dimensions can. How well classes lie apart is counted in all
dimensions instead (``Neighbours``). The map "after" is turned and mirrored, never bent, so that it lies on the one
"before" and an eye can follow the photos.
"""

import contextlib
import io
import re
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from core.data.report import PARTS, Part, Sample, Split
from core.inference.intervals import Interval, wilson

FORMAT = 1
MOST_PHOTOS = 3000  # on a map: more dots than that hide each other
DIMENSIONS = 50  # that t-SNE is given. Source: Kobak & Berens 2019, "The art of using t-SNE …", methods
PERPLEXITY = 30.0  # about how many photos count as near. Source: likewise; van der Maaten & Hinton 2008 say 5 to 50
FEWEST_FOR_TSNE = 12  # photos: with fewer, no perplexity above 3 is left
ITERATIONS = 500  # the first 250 of them exaggerated; 1,000 lowered the divergence of 3,000 points by 4 % more
START_SPREAD = 1e-4  # of the first axis where t-SNE begins. Source: Kobak & Berens 2019
SEED = 0  # fixed, so that the map stays the same
BLOCK = 512  # photos whose distances are held at once

Floats = NDArray[np.floating[Any]]
Point = tuple[float, float]
Kind = Literal["body", "head"]
Method = Literal["pca", "tsne"]


@dataclass(frozen=True)
class MapPhoto:
    """One dot: a photo, its class, and what the model says about it (class numbers)."""

    path: str
    sha256: str
    part: Part
    target: int
    said: int
    confidence: float

    @property
    def right(self) -> bool:
        return self.said == self.target


@dataclass(frozen=True)
class Neighbours:
    """Of ``total`` photos of one part, ``same`` have a nearest training photo of their own class.

    ``chance`` is the share to expect of neighbours drawn by lot.
    """

    part: Part
    same: int
    total: int
    chance: float

    @property
    def share(self) -> float:
        return self.same / self.total

    @property
    def interval(self) -> Interval:
        return wilson(self.same, self.total)


@dataclass(frozen=True)
class Layout:
    """Where the photos of one space lie on the map; their distance from the middle is 1 in the mean square."""

    pca: tuple[Point, ...]
    explained: float  # share of the photos' spread that PCA's two axes hold
    tsne: tuple[Point, ...] | None  # None where there are too few photos
    neighbours: Neighbours | None  # None without photos that were not learnt from

    def points(self, method: Method) -> tuple[Point, ...]:
        return self.tsne if method == "tsne" and self.tsne is not None else self.pca


@dataclass(frozen=True)
class FeatureMap:
    """What is drawn. ``kind`` says what "after" is: the trained body's features, or what the head makes of them."""

    stamp: str  # of the model that it shows
    classes: tuple[str, ...]
    photos: tuple[MapPhoto, ...]
    of: int  # photos in the run, drawn or not
    unreadable: int
    kind: Kind
    before: Layout | None  # None where nobody knows any more what the body was before
    after: Layout

    def to_json(self) -> dict[str, object]:
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "FeatureMap":
        before = data["before"]
        return cls(
            data["stamp"], tuple(data["classes"]), tuple(MapPhoto(**row) for row in data["photos"]), data["of"],
            data["unreadable"], data["kind"], _layout(before) if before else None, _layout(data["after"]),
        )  # fmt: skip


def _layout(data: dict[str, Any]) -> Layout:
    tsne, near = data["tsne"], data["neighbours"]
    return Layout(
        tuple((x, y) for x, y in data["pca"]), data["explained"],
        tuple((x, y) for x, y in tsne) if tsne is not None else None, Neighbours(**near) if near else None,
    )  # fmt: skip


# Which photos


def drawn(split: Split, most: int = MOST_PHOTOS) -> list[tuple[Part, Sample]]:
    """At most so many photos, evenly from all parts and classes, always the same ones."""
    every: list[tuple[Part, Sample]] = [
        (part, sample)
        for part in PARTS
        for sample in sorted(split.part(part), key=lambda sample: (sample.target, sample.sha256, sample.path))
    ]
    if len(every) <= most:
        return every
    return [every[place] for place in np.arange(most) * len(every) // most]


# The map


def laid_out(
    before: Floats | None,
    after: Floats,
    kind: Kind,
    photos: Sequence[MapPhoto],
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Layout | None, Layout]:
    """Both maps of these photos. ``before`` (n, width) are features, ``after`` as well or what a head makes of them.

    ``tell`` hears how many of how many iterations are done; what it raises ends the work.
    """
    spaces: list[tuple[Floats, Kind]] = [(before, "body"), (after, kind)] if before is not None else [(after, kind)]
    total = ITERATIONS * len(spaces)
    made: list[Layout] = []
    with one_thread():
        for number, (rows, what) in enumerate(spaces):
            points = comparable(rows, what)

            def heard(done: int, base: int = number * ITERATIONS) -> None:
                tell(base + done, total)

            made.append(_map(points, photos, made[0] if made else None, heard))
            heard(ITERATIONS)
    return (made[0], made[1]) if before is not None else (None, made[0])


def comparable(rows: Floats, kind: Kind) -> Floats:
    """Rows whose distances mean something: features scaled to length 1, what the head makes of them as it is."""
    rows = np.asarray(rows, np.float64)
    if kind == "head":
        return rows
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def _map(points: Floats, photos: Sequence[MapPhoto], onto: Layout | None, heard: Callable[[int], None]) -> Layout:
    axes, explained = pca(points, DIMENSIONS)
    flat = scaled(axes[:, :2])
    if onto is not None:
        flat = turned(flat, np.array(onto.pca))
    spread = None
    if len(points) >= FEWEST_FOR_TSNE:
        spread = scaled(tsne(axes, flat, heard))
        if onto is not None and onto.tsne is not None:
            spread = turned(spread, np.array(onto.tsne))
    near = same_class_neighbours(points, photos)
    return Layout(_told(flat), float(explained[:2].sum()), None if spread is None else _told(spread), near)


def _told(points: Floats) -> tuple[Point, ...]:
    return tuple((round(float(x), 4), round(float(y), 4)) for x, y in points)


def pca(points: Floats, dimensions: int) -> tuple[Floats, Floats]:
    """(n, at least 2) coordinates on the main axes, and the share of the spread that each holds.

    Source: Pearson 1901, as in scikit-learn. Two photos differ along one axis; the second is 0 for both.
    """
    from sklearn.decomposition import PCA

    count, width = points.shape
    kept = min(dimensions, count, width)
    spread = float(points.var(axis=0).sum())
    if spread <= 1e-24:  # all alike
        return np.zeros((count, 2)), np.zeros(2)
    fitted = PCA(kept, svd_solver="covariance_eigh" if width <= count else "full").fit(points)
    axes, shares = np.asarray(fitted.transform(points)), np.asarray(fitted.explained_variance_ratio_)
    if kept < 2:
        return np.pad(axes, ((0, 0), (0, 2 - kept))), np.pad(shares, (0, 2 - kept))
    return axes, shares


def tsne(points: Floats, start: Floats, heard: Callable[[int], None] = lambda done: None) -> Floats:
    """(n, 2): near photos near each other; ``start`` (n, 2) is where they begin, for that decides what lies where.

    Source: van der Maaten & Hinton 2008; beginning from PCA, learning rate n / 12: Kobak & Berens 2019.
    """
    from sklearn.manifold import TSNE

    first = float(start[:, 0].std()) or 1.0
    perplexity = min(PERPLEXITY, (len(points) - 1) / 3)
    begin: Any = (start / first * START_SPREAD).astype(np.float32)  # scikit-learn's types know names of ways only
    model = TSNE(
        2, perplexity=perplexity, init=begin, learning_rate="auto", max_iter=ITERATIONS, random_state=SEED, verbose=2
    )
    with contextlib.redirect_stdout(_Listener(heard)):
        return np.asarray(model.fit_transform(points.astype(np.float32)), np.float64)


class _Listener(io.TextIOBase):
    """Hears what scikit-learn prints every 50 iterations: the only word that it gives while it is at work."""

    def __init__(self, heard: Callable[[int], None]) -> None:
        self._heard = heard

    def write(self, text: str, /) -> int:
        found = re.search(r"Iteration (\d+)", text)
        if found:
            self._heard(int(found[1]))
        return len(text)


def scaled(points: Floats) -> Floats:
    """The same picture around the middle, its mean square distance from there 1."""
    centred = points - points.mean(axis=0)
    size = float(np.sqrt((centred**2).sum(axis=1).mean()))
    return centred / size if size > 0 else centred


def turned(points: Floats, onto: Floats) -> Floats:
    """``points`` turned and mirrored about the middle so that they lie as near to ``onto`` as that allows.

    Source: orthogonal Procrustes problem, Schönemann 1966.
    """
    left, _, right = np.linalg.svd(points.T @ onto)
    return points @ (left @ right)


# The share


def same_class_neighbours(points: Floats, photos: Sequence[MapPhoto]) -> Neighbours | None:
    """How often the nearest training photo is of the same class, asked of photos that were not learnt from.

    The test part is asked; validation photos only where there is no test part, for the head often learns from them in
    the end. Copies of a photo share its features and count as its neighbours.
    """
    parts = np.array([photo.part for photo in photos])
    asked_part: Part = "test" if "test" in parts else "val"
    asked, known = np.flatnonzero(parts == asked_part), np.flatnonzero(parts == "train")
    if not len(asked) or not len(known):
        return None
    targets = np.array([photo.target for photo in photos])
    found = known[_nearest(points[asked], points[known])]
    same = int((targets[found] == targets[asked]).sum())
    shares = np.bincount(targets[known], minlength=targets.max() + 1) / len(known)
    return Neighbours(asked_part, same, len(asked), float(shares[targets[asked]].mean()))


def _nearest(points: Floats, among: Floats) -> NDArray[np.int64]:
    """The place in ``among`` of each one's nearest by Euclidean distance."""
    lengths = (among**2).sum(axis=1)
    blocks = (points[start : start + BLOCK] for start in range(0, len(points), BLOCK))
    return np.concatenate([(lengths - 2 * (block @ among.T)).argmin(axis=1) for block in blocks])


@contextmanager
def one_thread() -> Generator[None]:
    """Beside programs that use all cores, threads wait for each other: 1,000 points took 28 s with two, 4 with one."""
    for library in ("sklearn.manifold", "sklearn.decomposition"):  # the limit holds for libraries that are loaded
        import_module(library)
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        yield
