"""Several runs on one chart: how each did on its validation photos, epoch by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.words import say
from pages.parts.charts.curves import SHARE, EpochPoint, Metric, best_of, places_of, spoken, value_of
from pages.parts.charts.frame import draw, safe
from pages.parts.palette import LIGHT

if TYPE_CHECKING:
    import plotly.graph_objects as go

# The colour isn't all that tells them apart.
DASHES = ("solid", "dot", "dash", "dashdot")
SYMBOLS = ("circle", "square", "diamond", "triangle-up")
LONGEST_NAME = 24  # characters in the legend: four of them find room on a phone


@dataclass(frozen=True)
class RunCurve:
    """``letter`` is what the page calls the run; ``name`` is the user's text."""

    letter: str
    name: str
    points: Sequence[EpochPoint]


def together(runs: Sequence[RunCurve], metric: Metric) -> go.Figure:
    """One line a run; fine-tuning goes on counting where the head ended, the best epoch is marked."""
    traces: list[dict[str, Any]] = []
    for number, run in enumerate(runs):
        traces.append(_line(number, run, metric))
        best = best_of(run.points)
        if best is not None and (value := value_of(best, metric, "val")) is not None:
            places = zip(places_of(run.points), run.points, strict=True)
            traces.append(_best(number, next(place for place, point in places if point is best), value))
    longest = max((place for run in runs for place in places_of(run.points)), default=0)
    x_axis: dict[str, Any] = {"title": {"text": say("charts.axis.epoch")}, "showgrid": False, "tickformat": "d"}
    if 0 < longest <= 12:
        x_axis["dtick"] = 1
    y_axis = {"loss": {"rangemode": "tozero"}, "accuracy": {"tickformat": ".0%", "autorangeoptions": SHARE}}[metric]
    title = say(f"compare.chart.{metric}")
    return draw(traces, title, height=340, hovermode="x unified", showlegend=True, xaxis=x_axis, yaxis=y_axis)


def together_alt(runs: Sequence[RunCurve], metric: Metric) -> str:
    """``Line chart of … . A, “leaves”: from 50 % to 90 % over 12 epochs; B …``."""
    told = []
    for run in runs:
        _, values = _known(run.points, metric)
        if not values:
            told.append(say("compare.chart.none", letter=run.letter, name=run.name))
            continue
        first, last = spoken(values[0], metric), spoken(values[-1], metric)
        told.append(say("compare.chart.line", letter=run.letter, name=run.name, first=first, last=last, n=len(values)))
    return say("compare.chart.alt", chart=say(f"compare.chart.{metric}"), lines=" ".join(told))


def _known(points: Sequence[EpochPoint], metric: Metric) -> tuple[list[int], list[float]]:
    """Places and values of the epochs that have a validation value."""
    pairs = zip(places_of(points), (value_of(point, metric, "val") for point in points), strict=True)
    known = [(place, round(value, 5)) for place, value in pairs if value is not None]
    return [place for place, _ in known], [value for _, value in known]


def _line(number: int, run: RunCurve, metric: Metric) -> dict[str, Any]:
    places, values = _known(run.points, metric)
    colour = _colour(number)
    # The letter alone: plotly fills in what looks like a place of its own in a hover text, also in a user's name.
    hover = say(f"charts.curves.hover.{metric}", name=run.letter)
    short = run.name if len(run.name) <= LONGEST_NAME else f"{run.name[: LONGEST_NAME - 1]}…"
    return {
        "type": "scatter",
        "uid": f"run_{number}",
        "legendgroup": f"run_{number}",
        "name": f"{run.letter} · {safe(short)}",
        "x": places,
        "y": values,
        "mode": "lines+markers" if len(places) <= 20 else "lines",
        "line": {"color": colour, "width": 2.5, "dash": DASHES[number % len(DASHES)]},
        "marker": {"color": colour, "size": 6, "symbol": SYMBOLS[number % len(SYMBOLS)]},
        "hovertemplate": f"{hover}<extra></extra>",
    }


def _best(number: int, place: int, value: float) -> dict[str, Any]:
    symbol = f"{SYMBOLS[number % len(SYMBOLS)]}-open"
    return {
        "type": "scatter",
        "uid": f"best_{number}",
        "legendgroup": f"run_{number}",
        "showlegend": False,
        "x": [place],
        "y": [round(value, 5)],
        "mode": "markers",
        "marker": {"color": _colour(number), "size": 13, "symbol": symbol, "line": {"width": 2}},
        "hoverinfo": "skip",
    }


def _colour(number: int) -> str:
    return LIGHT.series[number % len(LIGHT.series)]
