"""Whether a class can be told by something that isn't what it shows: light, size, format, background or camera.

A network takes the easiest way. If all photos of one class are brighter, it may learn the light and not the thing.
Pure and torch-free.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from core.data.facts import COLOUR_SIDE, SMALL_BYTES, SMALL_SIDE, Facts
from core.data.report import DatasetReport, Photo
from core.doctor.report import Case
from core.words import say

FEWEST = 8  # photos of a class, below which chance alone tells it apart
MOST = 5000  # photos judged, drawn at random: more don't change the answer
FOLDS = 5
CATEGORIES = 12  # cameras and formats; what is rarer counts as other
# Reported from these areas under the curve on. Natural photo sets reach 0.83 by size (textures) and 0.79 by their
# background (trash); digits 0.97 by the background, which for them is content: see CONTENT_GAP.
LEAST = {"light": 0.65, "size": 0.9, "format": 0.8, "background": 0.9, "camera": 0.8}
SURE = 5.0  # standard errors beyond chance: natural sets reach 4.1
CONTENT_GAP = 0.1  # by how much the background has to tell more than the picture's own layout of light and dark
CONTENT_RIDGE = 30.0  # photos' worth of doubt that content explains light; 3 to 30 do the same on real sets

Columns = NDArray[np.float64]
Known = Sequence[tuple[Photo, Facts]]


def find_shortcuts(report: DatasetReport, facts: Mapping[str, Facts]) -> Iterable[Case]:
    """A case for each class and fact: the class's photos, and in how many of 100 pairs the fact tells it."""
    counts = report.counts
    known = [(p, facts[p.sha256]) for p in report.photos if counts[p.label] >= FEWEST and p.sha256 in facts]
    known = [(photo, row) for photo, row in known if len(row.small) == SMALL_BYTES]
    if len(known) > MOST:
        known = [known[place] for place in np.random.default_rng(0).permutation(len(known))[:MOST].tolist()]
    judged = Counter(photo.label for photo, _ in known)
    if len(judged) < 2:
        return
    for fact, areas in _areas(known).items():
        for label, area in sorted(areas.items()):
            mine, others = judged[label], len(known) - judged[label]
            if min(mine, others) < FEWEST:
                continue
            error = _standard_error(mine, others)
            if area >= LEAST[fact] and (area - 0.5) / error >= SURE:
                paths = tuple(photo.path for photo in report.photos if photo.label == label)
                values = {"fact": say(f"doctor.fact.{fact}"), "name": label, "percent": round(100 * area)}
                yield Case(paths, round(area, 4), None, {"told_by": fact, **values})


def _areas(known: Known) -> dict[str, dict[str, float]]:
    labels = [photo.label for photo, _ in known]
    rows = [row for _, row in known]
    content = _content(rows)
    layout = told_apart(content[:, -16:], labels)
    background = told_apart(np.array([row.border for row in rows]), labels)
    return {
        "light": _light(rows, content, labels),
        "size": told_apart(np.log([(p.width * p.height, p.width / p.height) for p, _ in known]), labels),
        "format": told_apart(_categories([row.kind for row in rows]), labels),
        "background": {name: area for name, area in background.items() if area >= layout[name] + CONTENT_GAP},
        "camera": told_apart(_categories([row.camera or "" for row in rows]), labels),
    }


def _light(rows: Sequence[Facts], content: Columns, labels: Sequence[str]) -> dict[str, float]:
    """How well a class is told by how bright its whites are beyond what its content lets expect, or how dim.

    Brightness itself tells natural classes apart (of trash up to 0.69, of digits 0.95): white paper is bright. So the
    white level is first predicted from what brightening leaves as it is, and only the difference is judged.
    """
    white = np.array([row.white for row in rows])
    beyond = white - _predicted(content, white)
    names = np.array(labels)
    areas = {name: _area(beyond, names == name) for name in sorted(set(labels))}
    return {name: max(area, 1 - area) for name, area in areas.items()}


def _predicted(columns: Columns, values: Columns) -> Columns:
    """Each photo's value by ridge regression on the other photos."""
    spread = columns.std(0)
    scaled = (columns - columns.mean(0)) / np.where(spread > 1e-9, spread, 1.0)
    fold = np.random.default_rng(0).permutation(len(values)) % (2 * FOLDS)
    predicted = np.zeros(len(values))
    for left_out in range(2 * FOLDS):
        learnt = fold != left_out
        mean = values[learnt].mean()
        squares = scaled[learnt].T @ scaled[learnt] + CONTENT_RIDGE * np.eye(scaled.shape[1])
        slope = np.linalg.solve(squares, scaled[learnt].T @ (values[learnt] - mean))
        predicted[~learnt] = mean + scaled[~learnt] @ slope
    return predicted


def _content(rows: Sequence[Facts]) -> Columns:
    """(n, 25): what a picture shows, in terms that hardly change when it is brightened. The last 16 are its layout.

    Sharpness isn't among them: saving a brightened photo again changes it, and so would explain the light away.
    """
    small = np.frombuffer(b"".join(row.small for row in rows), np.uint8).reshape(len(rows), SMALL_BYTES) / 255
    grey, colour = small[:, : SMALL_SIDE**2], small[:, SMALL_SIDE**2 :].reshape(-1, 2, COLOUR_SIDE**2) - 128 / 255
    level = np.maximum([row.brightness for row in rows], 1 / 255)
    contrast = np.maximum([row.contrast for row in rows], 1 / 255)
    white = np.maximum([row.white for row in rows], 1 / 255)
    columns = [np.log(contrast / level), np.log(white / level), contrast / white, grey.mean(1), grey.std(1)]
    columns += [*(colour.mean(2) / level[:, None]).T, *(colour.std(2) / level[:, None]).T]
    blocks = grey.reshape(-1, 4, 4, 4, 4).mean((2, 4)).reshape(len(rows), 16)
    return np.column_stack([*columns, blocks])


def _categories(values: Sequence[str]) -> Columns:
    usual = [value for value, _ in Counter(values).most_common(CATEGORIES)]
    return np.array([[float(value == one) for one in usual] for value in values])


def _standard_error(mine: int, others: int) -> float:
    """Of an area under the curve by chance. Source: Mann and Whitney 1947, the variance of U."""
    return math.sqrt((mine + others + 1) / (12 * mine * others))


def told_apart(columns: Columns, labels: Sequence[str]) -> dict[str, float]:
    """For each class: of a photo of it and one of another class, how often the columns say which is which.

    That is the area under the ROC curve, 0.5 by chance, of scores for photos that weren't learnt from: linear and
    square terms of the columns, least squares against class or not, with a ridge.
    """
    names = sorted(set(labels))
    belongs = np.array([[label == name for name in names] for label in labels])
    terms = _terms(columns)
    fold = _folds(belongs)
    scores = np.zeros(belongs.shape)
    for left_out in range(FOLDS):
        learnt = fold != left_out
        # Each class counts as much as the rest, however few photos it has; the ridge is one photo's weight.
        for place in range(len(names)):
            mine = belongs[learnt, place]
            weight = np.where(mine, 0.5 / max(mine.sum(), 1), 0.5 / max((~mine).sum(), 1))
            x, y = terms[learnt], np.where(mine, 1.0, -1.0)
            mean = weight @ x
            x = x - mean
            squares = (x * weight[:, None]).T @ x + np.eye(x.shape[1]) * 1 / max(len(x), 1)
            slope = np.linalg.solve(squares, (x * weight[:, None]).T @ (y - weight @ y))
            scores[~learnt, place] = (terms[~learnt] - mean) @ slope
    return {name: _area(scores[:, place], belongs[:, place]) for place, name in enumerate(names)}


def _terms(columns: Columns) -> Columns:
    spread = columns.std(0)
    scaled = (columns - columns.mean(0)) / np.where(spread > 1e-9, spread, 1.0)
    return np.hstack([scaled, np.square(scaled)])


def _folds(belongs: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Each class dealt out evenly."""
    fold = np.zeros(len(belongs), np.intp)
    for place in range(belongs.shape[1]):
        mine = np.flatnonzero(belongs[:, place])
        fold[mine] = np.random.default_rng(0).permutation(len(mine)) % FOLDS
    return fold


def _area(scores: Columns, belongs: NDArray[np.bool_]) -> float:
    """Share of pairs in the right order, ties counted half."""
    ordered = np.sort(scores[~belongs])
    below = np.searchsorted(ordered, scores[belongs], "left") + np.searchsorted(ordered, scores[belongs], "right")
    return float(below.mean() / 2 / max(len(ordered), 1))
