"""Is the certainty true, and what does silence buy: the calibration curve, and answers given against answers right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from core.words import say
from pages.parts.charts.frame import draw, listed, percent
from pages.parts.palette import LIGHT

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from core.inference.calibration import Answering, Bin

MOST_POINTS = 200  # of a curve: more can't be told apart
BEYOND = 1.03  # so that a mark at 100 % isn't cut


def calibration(before: Sequence[Bin], after: Sequence[Bin] | None) -> go.Figure:
    """How often it was right, over how sure it was; on the dashed line both are the same."""
    traces = [_agreement(), _bins(before, "before", LIGHT.series[0], "circle", "solid")]
    if after is not None:
        traces.append(_bins(after, "after", LIGHT.series[1], "diamond-open", "dot"))
    return draw(
        traces,
        say("judge.chart.calibration"),
        height=360,
        hovermode="closest",
        dragmode=False,
        margin={"r": 16, "t": 12},
        meta={"maximum_width": 620},
        xaxis=_shares("certainty"),
        yaxis=_shares("right"),
    )


def _shares(axis: str) -> dict[str, Any]:
    title = {"text": say(f"judge.chart.axis.{axis}")}
    return {"title": title, "range": [0, BEYOND], "tickformat": ".0%", "fixedrange": True, "dtick": 0.2}


def _agreement() -> dict[str, Any]:
    return {
        "type": "scatter",
        "x": [0, 1],
        "y": [0, 1],
        "mode": "lines",
        "name": say("judge.chart.agreement"),
        "line": {"color": LIGHT.muted, "width": 1, "dash": "dash"},
        "hoverinfo": "skip",
    }


def _bins(bins: Sequence[Bin], name: str, colour: str, symbol: str, dash: str) -> dict[str, Any]:
    known = [one for one in bins if one.photos]
    return {
        "type": "scatter",
        "name": say(f"judge.chart.{name}"),
        "x": [one.certainty for one in known],
        "y": [one.accuracy for one in known],
        "mode": "lines+markers",
        "line": {"color": colour, "width": 2, "dash": dash},
        "marker": {"color": colour, "size": 9, "symbol": symbol},
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": [one.interval[1] - one.accuracy for one in known],
            "arrayminus": [one.accuracy - one.interval[0] for one in known],
            "color": colour,
            "thickness": 1,
            "width": 3,
        },
        "hovertext": [_told("judge.chart.hover_bin", one) for one in known],
        "hoverinfo": "text",
    }


def _told(key: str, one: Bin) -> str:
    return say(
        key, right=one.right, n=one.photos, certainty=percent(one.certainty), accuracy=percent(one.accuracy),
        low=percent(one.interval[0]), high=percent(one.interval[1]),
    )  # fmt: skip


def calibration_alt(before: Sequence[Bin], after: Sequence[Bin] | None) -> str:
    told = [say("judge.chart.alt.calibration", bins=_listed(before))]
    if after is not None:
        told.append(say("judge.chart.alt.after", bins=_listed(after)))
    return " ".join(told)


def _listed(bins: Sequence[Bin]) -> str:
    return listed([_told("judge.chart.alt.bin", one) for one in bins if one.photos])


def trade(points: Sequence[Answering], now: Answering) -> go.Figure:
    """How many of the answers are right, over how many photos get one; ``now`` is marked where it answers any."""
    step = -(-len(points) // MOST_POINTS)
    shown = [point for place, point in enumerate(points) if place % step == 0 or place == len(points) - 1]
    shares = [point.share for point in shown]
    edge = {"type": "scatter", "x": shares, "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
    lines: list[dict[str, Any]] = [
        {**edge, "y": [point.interval[0] for point in shown], "showlegend": False},
        {
            **edge,
            "y": [point.interval[1] for point in shown],
            "fill": "tonexty",
            "fillcolor": LIGHT.frozen_fill,
            "name": say("judge.chart.interval"),
        },
        {
            "type": "scatter",
            "x": shares,
            "y": [point.accuracy for point in shown],
            "mode": "lines",
            "name": say("judge.chart.trade_line"),
            "line": {"color": LIGHT.series[0], "width": 2},
            "hovertext": [_answering("judge.chart.hover_point", point) for point in shown],
            "hoverinfo": "text",
        },
    ]
    return draw(
        [*lines, *_now(now)],
        say("judge.chart.trade"),
        height=340,
        hovermode="closest",
        dragmode=False,
        margin={"r": 16, "t": 12},
        meta={"maximum_width": 620},
        xaxis=_shares("answered"),
        yaxis={**_shares("right_of_answered"), "range": [_floor(shown), BEYOND]},
    )


def _floor(points: Sequence[Answering]) -> float:
    """Where the axis begins: at the least share with some room, at a whole tenth."""
    return max(0, int(10 * min(point.interval[0] for point in points)) / 10)


def _now(now: Answering) -> list[dict[str, Any]]:
    if not now.answered:
        return []
    mark = {"color": LIGHT.series[1], "size": 13, "symbol": "diamond", "line": {"color": LIGHT.background, "width": 1}}
    return [
        {
            "type": "scatter",
            "x": [now.share],
            "y": [now.accuracy],
            "mode": "markers",
            "name": say("judge.chart.now"),
            "marker": mark,
            "hovertext": [_answering("judge.chart.hover_point", now)],
            "hoverinfo": "text",
        }
    ]


def _answering(key: str, point: Answering) -> str:
    return say(
        key, threshold=percent(point.threshold), answered=point.answered, n=point.total, share=percent(point.share),
        right=point.right, accuracy=percent(point.accuracy or 0.0),
    )  # fmt: skip


def trade_alt(points: Sequence[Answering], now: Answering) -> str:
    told = [say("judge.chart.alt.trade", all=percent(points[0].accuracy or 0.0), n=points[0].total)]
    if now.answered:
        told.append(_answering("judge.chart.alt.now", now))
    return " ".join(told)
