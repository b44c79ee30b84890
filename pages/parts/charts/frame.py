"""What all charts share: clear ground, quiet grid, rows of bars, and a class's name as plotly shows it literally."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from core.words import say
from pages.parts.palette import LIGHT

if TYPE_CHECKING:
    import plotly.graph_objects as go

CLEAR = "rgba(0,0,0,0)"
LONGEST_NAME = 22  # characters of a class's name on an axis; the whole name is in the hover text and the sentence
MOST_NAMED = 40  # rows whose names all fit; beyond, every second, third … is named
MOST_SPOKEN = 12  # classes that a sentence lists one by one


def draw(traces: Sequence[Mapping[str, Any]], title: str = "", **layout: Any) -> go.Figure:
    """Clear ground, quiet grid, legend above on the left; ``layout`` adds to it or changes it, at any depth.

    Checked by the tests and not at each call: plotly's checks took 8 of a live curve's 10 milliseconds.
    """
    import plotly.graph_objects as go

    return go.Figure(list(traces), _merged(_ground(title), layout), _validate=False)


def _ground(title: str) -> dict[str, Any]:
    def axis() -> dict[str, Any]:
        return {
            "gridcolor": LIGHT.line,
            "linecolor": LIGHT.line,
            "zeroline": False,
            "automargin": True,
            "ticks": "",
            "tickfont": {"color": LIGHT.muted, "size": 13},
            "title": {"font": {"color": LIGHT.muted, "size": 13}, "standoff": 8},
        }

    return {
        "template": {},
        "uirevision": "kept",  # zoom and legend outlive updates while this stays the same
        "paper_bgcolor": CLEAR,
        "plot_bgcolor": CLEAR,
        "font": {"color": LIGHT.ink, "size": 14},
        "margin": {"l": 8, "r": 8, "t": 8, "b": 8},
        "xaxis": axis(),
        "yaxis": axis(),
        # The title is the legend's where there is one, so that neither covers the other when entries wrap.
        "legend": {
            "orientation": "h",
            "x": 0,
            "xanchor": "left",
            "y": 1.02,
            "yanchor": "bottom",
            "traceorder": "normal",
            "title": {"text": title, "side": "top", "font": {"size": 15, "color": LIGHT.ink, "weight": 600}},
        },
        "hoverlabel": {
            "bgcolor": LIGHT.surface,
            "bordercolor": LIGHT.line,
            "font": {"color": LIGHT.ink, "size": 13},
            "align": "left",
        },
        "modebar": {"bgcolor": CLEAR, "color": LIGHT.muted, "activecolor": LIGHT.accent, "orientation": "h"},
    }


def _merged(base: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with ``changes`` in it, dictionaries in dictionaries joined and not replaced."""
    for name, value in changes.items():
        inner = base.get(name)
        base[name] = _merged(inner, value) if isinstance(inner, dict) and isinstance(value, Mapping) else value
    return base


def draw_rows(traces: Sequence[Mapping[str, Any]], labels: Sequence[str], **layout: Any) -> go.Figure:
    """Horizontal bars, one row a class, the first on top."""
    row = max(5, min(32, 1200 // max(1, len(labels))))
    rows: dict[str, Any] = {
        "height": 90 + row * len(labels),
        "bargap": 0.3 if row > 12 else 0.1,
        "dragmode": False,
        "hovermode": "closest",
        "xaxis": {"fixedrange": True},
        "yaxis": {
            **named(labels),
            "range": [len(labels) - 0.5, -0.5],
            "fixedrange": True,
            "showgrid": False,
            "tickfont": {"color": LIGHT.ink, "size": 14 if row > 18 else 11},
        },
    }
    return draw(traces, **_merged(rows, layout))


def named(labels: Sequence[str]) -> dict[str, Any]:
    """Ticks with the classes' names: places, not texts, for "10" would be read as a number and "1/2" as a date."""
    step = -(-len(labels) // MOST_NAMED)
    places = list(range(0, len(labels), max(1, step)))
    return {"tickmode": "array", "tickvals": places, "ticktext": [f"{safe(_short(labels[i]))} " for i in places]}


def _short(label: str) -> str:
    return label if len(label) <= LONGEST_NAME else f"{label[: LONGEST_NAME - 1]}…"


def safe(label: str) -> str:
    """A class's name as plotly shows it literally: plotly reads tags and entities in its texts."""
    return html.escape(" ".join(label.split()), quote=False)


def percent(share: float) -> str:
    return say("charts.common.percent", value=f"{100 * share:.0f}")


def listed(items: Sequence[str]) -> str:
    """``a, b and c``."""
    if len(items) < 2:
        return "".join(items)
    return say("charts.common.list", items=", ".join(items[:-1]), last=items[-1])
