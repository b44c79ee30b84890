"""What the doctor measured: a fact that tells the classes apart, and the accuracy after each round of labelling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from core.words import say
from pages.parts.charts.frame import MOST_SPOKEN, draw, draw_rows, listed, percent, safe
from pages.parts.palette import LIGHT

if TYPE_CHECKING:
    import plotly.graph_objects as go

Round = tuple[int, float, float, float]  # photos that had a label, accuracy, and its 95 % interval


def fact_by_class(values: Mapping[str, float], name: str) -> go.Figure:
    """The mean of one fact in each class: the further apart, the easier the classes are told by it alone."""
    labels = list(values)
    points = {
        "type": "bar",
        "orientation": "h",
        "x": [values[label] for label in labels],
        "y": list(range(len(labels))),
        "marker": {"color": LIGHT.frozen_fill, "line": {"color": LIGHT.frozen, "width": 1}},
        "text": [_short(values[label]) for label in labels],
        "textposition": "outside",
        "textfont": {"size": 13, "color": LIGHT.ink},
        "cliponaxis": False,
        "hovertext": [f"{safe(label)}: {_short(value)}" for label, value in values.items()],
        "hoverinfo": "text",
        "showlegend": False,
    }
    return draw_rows([points], labels, margin={"r": 60}, xaxis={"title": {"text": name}, "rangemode": "tozero"})


def fact_by_class_alt(values: Mapping[str, float], name: str) -> str:
    told = [say("charts.fact.class", label=label, value=_short(value)) for label, value in values.items()]
    if len(told) > MOST_SPOKEN:
        low, high = min(values, key=lambda one: values[one]), max(values, key=lambda one: values[one])
        told = [say("charts.fact.class", label=label, value=_short(values[label])) for label in (low, high)]
    return say("charts.fact.alt", name=name, n=len(values), classes=listed(told))


def _short(value: float) -> str:
    """Three digits that count: 0.412, 34.5, 1,280."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def rounds(made: Sequence[Round]) -> go.Figure:
    """Accuracy against how many photos had a label, with the interval as whiskers."""
    shares = [share for _, share, _, _ in made]
    line: dict[str, Any] = {
        "type": "scatter",
        "mode": "lines+markers",
        "x": [labelled for labelled, *_ in made],
        "y": shares,
        "line": {"color": LIGHT.accent, "width": 2},
        "marker": {"color": LIGHT.accent, "size": 9},
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": [high - share for _, share, _, high in made],
            "arrayminus": [share - low for _, share, low, _ in made],
            "color": LIGHT.muted,
            "thickness": 1.5,
            "width": 5,
        },
        "hovertext": [_told("charts.rounds.hover", one) for one in made],
        "hoverinfo": "text",
        "showlegend": False,
    }
    return draw(
        [line],
        height=260,
        dragmode=False,
        margin={"t": 12, "r": 16},
        xaxis={"title": {"text": say("charts.axis.labelled")}, "tickformat": ",d", "fixedrange": True},
        yaxis={
            "title": {"text": say("charts.axis.right")},
            "tickformat": ".0%",
            "fixedrange": True,
            "autorangeoptions": {"clipmin": 0, "clipmax": 1.02},
        },
    )


def rounds_alt(made: Sequence[Round]) -> str:
    return say("charts.rounds.alt", rounds=listed([_told("charts.rounds.round", one) for one in made[-MOST_SPOKEN:]]))


def _told(key: str, one: Round) -> str:
    labelled, share, low, high = one
    return say(key, n=labelled, share=percent(share), low=percent(low), high=percent(high))
