"""A plotly figure on a page that keeps its zoom, its legend and its node while new points arrive.

``st.plotly_chart`` builds its node anew at every change of data (Streamlit 1.67), which flickers and forgets the
zoom. This element keeps one node and hands it the new figure. plotly.js comes from this server, once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from core.words import say
from pages.parts import palette
from pages.server.routes import plotly_address

if TYPE_CHECKING:
    import plotly.graph_objects as go

HERE = Path(__file__).parent
PLAIN_HEIGHT = 360  # pixels, for a figure that doesn't say


def plot(
    figure: go.Figure,
    *,
    key: str,
    alt: str,
    height: int | None = None,
    on_click: Callable[[list[Any]], None] | None = None,
    on_select: Callable[[list[list[Any]]], None] | None = None,
) -> list[Any] | None:
    """Show ``figure``, made in the light theme's colours; ``alt`` says in a sentence or two what it shows.

    Returns the ``customdata`` of the point that was clicked just now, where there is an ``on_click`` (which gets the
    same, before the script runs). ``on_select`` gets that of all points inside a lasso or box, none after a
    double-click. Both are a mouse's ways only: offer the same by widgets as well.
    """
    pixels = int(height or figure.layout.height or PLAIN_HEIGHT)

    def clicked() -> None:
        point = st.session_state[key].clicked
        if on_click is not None and point is not None:
            on_click(point)

    def selected() -> None:
        told = st.session_state[key].selected
        if on_select is not None and isinstance(told, Mapping) and isinstance(told.get("points"), list):
            on_select([point for point in told["points"] if isinstance(point, list)])

    result = _element()(
        key=key,
        data={
            "figure": figure.to_json(),
            "alt": alt,
            "height": pixels,
            "clickable": on_click is not None,
            "selectable": on_select is not None,
            "library": plotly_address(),
            "swaps": palette.swaps(),
            "words": _words(),
        },
        on_clicked_change=clicked,
        on_selected_change=selected,
    )
    return result.clicked


@cache
def _element() -> Any:
    return st.components.v2.component(
        "graft_plot",
        js=(HERE / "plot.js").read_text("utf-8"),
        css=(HERE / "plot.css").read_text("utf-8"),
        isolate_styles=False,  # plotly writes its own style rules into the document; they must reach the node
    )


def _words() -> dict[str, str]:
    """plotly's own English to ours: the titles of its buttons and the hints it shows."""
    return {
        "Zoom": say("charts.element.zoom"),
        "Pan": say("charts.element.pan"),
        "Lasso Select": say("charts.element.lasso"),
        "Box Select": say("charts.element.box"),
        "Reset axes": say("charts.element.reset"),
        "Download plot as a PNG": say("charts.element.download"),
        "Double-click to zoom back out": say("charts.element.zoomed"),
        "Double-click on legend to isolate one trace": say("charts.element.legend"),
        "scroll": say("charts.element.scroll"),
    }
