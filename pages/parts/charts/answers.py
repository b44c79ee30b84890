"""Right and wrong: the confusion matrix, each class's share, and the probabilities of one answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from core.words import say
from pages.parts.charts.frame import MOST_SPOKEN, draw, draw_rows, listed, named, percent, safe
from pages.parts.palette import LIGHT

if TYPE_CHECKING:
    import plotly.graph_objects as go

MOST_COUNTED = 30  # classes up to which a cell of the confusion matrix has room for its count


class ClassResult(Protocol):
    """What a bar needs of a class: ``core.inference.metrics.ClassScore`` has it."""

    @property
    def label(self) -> str: ...
    @property
    def photos(self) -> int: ...
    @property
    def right(self) -> int: ...
    @property
    def recall(self) -> float | None: ...
    @property
    def interval(self) -> tuple[float, float]: ...


def confusion(matrix: Sequence[Sequence[int]], classes: Sequence[str]) -> go.Figure:
    """``matrix[true][predicted]`` counts, coloured by their share of the row.

    A click gives ``[true, predicted]`` (class numbers): heatmaps tell no clicks, so clear points lie on the cells.
    """
    count = len(classes)
    axis = {**named(classes), "showgrid": False, "fixedrange": True}
    span = [-0.5, count - 0.5]
    predicted, true = ({"text": say(f"charts.axis.{name}")} for name in ("predicted", "true"))
    return draw(
        [_heat(matrix), _cells(matrix, classes)],
        height=min(900, 150 + 30 * count),
        # The nearest cell answers, wherever in it the pointer is.
        hovermode="closest",
        hoverdistance=-1,
        dragmode=False,
        margin={"t": 12, "r": 12},
        # Below the least width a phone scrolls the matrix sideways; beyond the most, cells would be bars.
        meta={"minimum_width": min(900, 130 + 24 * count), "maximum_width": 260 + 80 * count},
        xaxis={**axis, "title": predicted, "range": span, "autotickangles": [0, -40, -90]},
        yaxis={**axis, "title": true, "range": span[::-1]},
    )


def _heat(matrix: Sequence[Sequence[int]]) -> dict[str, Any]:
    gap = 2 if len(matrix) <= MOST_COUNTED else 0
    return {
        "type": "heatmap",
        "z": [[round(_share(count, row), 3) for count in row] for row in matrix],
        "zmin": 0,
        "zmax": 1,
        "colorscale": [[0, LIGHT.matrix[0]], [0.5, LIGHT.matrix[1]], [1, LIGHT.matrix[2]]],
        "showscale": False,
        "hoverinfo": "skip",
        "xgap": gap,
        "ygap": gap,
    }


def _cells(matrix: Sequence[Sequence[int]], classes: Sequence[str]) -> dict[str, Any]:
    """A clear point on every cell; in a large matrix only where something was counted."""
    small = len(classes) <= MOST_COUNTED
    places = [(i, j) for i, row in enumerate(matrix) for j, count in enumerate(row) if small or count]
    told = [_hover_cell(matrix[i][j], sum(matrix[i]), classes[i], classes[j]) for i, j in places]
    points: dict[str, Any] = {
        "type": "scatter",
        "x": [j for _, j in places],
        "y": [i for i, _ in places],
        "customdata": [[i, j] for i, j in places],
        "mode": "markers",
        "marker": {"symbol": "square", "opacity": 0, "size": 12, "color": LIGHT.ink},
        "hovertext": told,
        "hoverinfo": "text",
        "showlegend": False,
    }
    if not small:
        return points
    colours = [LIGHT.matrix_text[_share(matrix[i][j], matrix[i]) >= 0.5] for i, j in places]
    counts = [str(matrix[i][j]) if matrix[i][j] else "" for i, j in places]
    return points | {"mode": "markers+text", "text": counts, "textfont": {"size": 13, "color": colours}}


def _share(count: int, row: Sequence[int]) -> float:
    return count / max(1, sum(row))


def confusion_alt(matrix: Sequence[Sequence[int]], classes: Sequence[str]) -> str:
    """How many were right, and the three most frequent mix-ups by name."""
    total = sum(map(sum, matrix))
    if not total:
        return say("charts.confusion.alt.nothing")
    right = sum(matrix[i][i] for i in range(len(classes)))
    sentences = [say("charts.confusion.alt.right", classes=len(classes), right=right, n=total)]
    wrong = [(count, i, j) for i, row in enumerate(matrix) for j, count in enumerate(row) if count and i != j]
    wrong.sort(key=lambda cell: (-cell[0], cell[1], cell[2]))
    if not wrong:
        return f"{sentences[0]} {say('charts.confusion.alt.all_right')}"
    told = [
        say("charts.confusion.alt.mistake", n=count, true=classes[i], predicted=classes[j]) for count, i, j in wrong[:3]
    ]
    sentences.append(say("charts.confusion.alt.mistakes", n=len(wrong), mistakes=listed(told)))
    return " ".join(sentences)


def _hover_cell(count: int, total: int, true: str, predicted: str) -> str:
    share = percent(count / total) if total else percent(0)
    return say("charts.confusion.hover", count=count, n=total, true=safe(true), predicted=safe(predicted), share=share)


def per_class_bars(scores: Sequence[ClassResult]) -> go.Figure:
    """Recall of each class with its 95 % interval as a whisker: few photos, long whisker."""
    known = [score for score in scores if score.recall is not None]
    shares = [score.recall or 0.0 for score in known]
    bars = {
        "type": "bar",
        "orientation": "h",
        "x": shares,
        "y": list(range(len(known))),
        "marker": {"color": LIGHT.frozen_fill, "line": {"color": LIGHT.frozen, "width": 1}},
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [score.interval[1] - share for score, share in zip(known, shares, strict=True)],
            "arrayminus": [share - score.interval[0] for score, share in zip(known, shares, strict=True)],
            "color": LIGHT.ink,
            "thickness": 1.5,
            "width": 4,
        },
        "hovertext": [_told("charts.per_class.hover", score, safe(score.label)) for score in known],
        "hoverinfo": "text",
        "showlegend": False,
    }
    axis = {"range": [0, 1.02], "tickformat": ".0%", "title": {"text": say("charts.per_class.axis")}}
    return draw_rows([bars], [score.label for score in known], xaxis=axis)


def per_class_bars_alt(scores: Sequence[ClassResult]) -> str:
    known = [score for score in scores if score.recall is not None]
    if not known:
        return say("charts.confusion.alt.nothing")
    if len(known) <= MOST_SPOKEN:
        told = [_told("charts.per_class.class", score, score.label) for score in known]
        return say("charts.per_class.alt", classes=listed(told))
    ranked = sorted(known, key=lambda score: score.recall or 0.0)
    worst, best = ranked[0], ranked[-1]
    return say(
        "charts.per_class.many", n=len(known), worst=worst.label, best=best.label,
        low=percent(worst.recall or 0.0), high=percent(best.recall or 0.0),
    )  # fmt: skip


def _told(key: str, score: ClassResult, label: str) -> str:
    low, high = (percent(share) for share in score.interval)
    return say(
        key,
        label=label,
        right=score.right,
        photos=score.photos,
        share=percent(score.recall or 0.0),
        low=low,
        high=high,
    )


def probabilities(answer: Sequence[tuple[str, float]]) -> go.Figure:
    """The likeliest classes of one photo, the first in leaf green, each with its percents."""
    shares = [share for _, share in answer]
    bars = {
        "type": "bar",
        "orientation": "h",
        "x": shares,
        "y": list(range(len(answer))),
        "marker": {"color": [LIGHT.accent] + [LIGHT.frozen] * (len(answer) - 1)},
        "text": [_chance(share) for share in shares],
        "textposition": "outside",
        "textfont": {"size": 14, "color": LIGHT.ink},
        "cliponaxis": False,
        "hovertext": [f"{safe(label)}: {share:.1%}" for label, share in answer],
        "hoverinfo": "text",
        "showlegend": False,
    }
    return draw_rows(
        [bars],
        [label for label, _ in answer],
        height=16 + 34 * len(answer),
        margin={"r": 52},
        xaxis={"visible": False, "range": [0, 1]},
    )


def probabilities_alt(answer: Sequence[tuple[str, float]]) -> str:
    told = [say("charts.probabilities.answer", label=label, share=_chance(share)) for label, share in answer]
    return say("charts.probabilities.alt", answers=listed(told))


def _chance(share: float) -> str:
    """Whole percents, but never "0 %" for what isn't impossible."""
    return say("charts.probabilities.under") if 0 < share < 0.005 else percent(share)
