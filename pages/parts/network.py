"""The picture of a network as a grafted shoot: frozen stages are the rootstock, copied ones that train the scion.

Stages that start from noise are a seedling: they were learnt by nobody yet.

The cut between them can be dragged, clicked and moved by arrow keys; Python hears of it when it has settled.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

from core.words import say

HERE = Path(__file__).parent
StageRow = tuple[str, int, Sequence[int]]  # name, parameters, output shape of one photo


def network_picture(
    stages: Sequence[StageRow],
    frozen: int,
    *,
    key: str,
    interactive: bool,
    copied: int | None = None,
    classes: int | None = None,
    on_change: Callable[[int], None] | None = None,
) -> int | None:
    """Draw ``stages`` in order from the photo, the first ``frozen`` of them frozen, then the head.

    All but the first ``copied`` start from noise; where the cut moves beyond them, as many are copied as are frozen.

    Returns the new number of frozen stages right after the user has moved the cut, else None. ``on_change`` gets the
    same before the script runs, so that a page can draw with it at once.
    """

    def moved() -> None:
        depth = _depth(st.session_state[key].depth, len(stages))
        if on_change is not None and depth is not None:
            on_change(depth)

    result = _element()(key=key, data=picture(stages, frozen, interactive, classes, copied), on_depth_change=moved)
    return _depth(result.depth, len(stages))


def picture(
    stages: Sequence[StageRow], frozen: int, interactive: bool, classes: int | None, copied: int | None = None
) -> dict[str, Any]:
    """Everything the drawing needs, words included: the browser only draws."""
    count = len(stages)
    depth = min(max(0, frozen), count)
    from_start = count if copied is None else min(max(depth, copied), count)
    return {
        "stages": [_stage(name, parameters, shape) for name, parameters, shape in stages],
        "frozen": depth,
        "copied": from_start,
        "interactive": interactive,
        "captions": [caption(count, at, max(at, from_start)) for at in range(count + 1)],
        "words": {
            **{name: say(f"network.{name}") for name in ("photo", "head", *REGIONS, "slider", "hint")},
            "classes": say("network.your_classes") if classes is None else say("network.classes", n=classes),
        },
    }


REGIONS = ("frozen", "trains", "new")


def caption(stages: int, frozen: int, copied: int | None = None) -> str:
    """The picture in a sentence, by the scope's name; it stands below and is what a screen reader says."""
    if copied is not None and copied < stages:
        if copied == 0:
            return say("network.caption.scratch", n=stages)
        return say("network.caption.local", n=stages - copied, copied=copied, frozen=frozen, stages=stages)
    if frozen >= stages:
        return say("network.caption.all", n=stages)
    if frozen == 0:
        return say("network.caption.nothing", n=stages)
    return say("network.caption.some", n=stages - frozen, frozen=frozen, stages=stages)


def _stage(name: str, parameters: int, shape: Sequence[int]) -> dict[str, Any]:
    resolution, channels = grid(shape)
    key = "network.stage.numbers" if resolution is None else "network.stage.grid"
    told = say(key, name=name, parameters=parameters, resolution=resolution, channels=channels)
    return {
        "name": name,
        "amount": short(parameters),
        "resolution": resolution or 1,
        "channels": channels,
        "told": told,
    }


def grid(shape: Sequence[int]) -> tuple[int | None, int]:
    """Places along one side (None for a plain list of numbers), and numbers at each place.

    Read from ``(channels, rows, columns)``, Swin's ``(rows, columns, channels)``, ViT's ``(1 + places, numbers)`` or
    ``(numbers,)``.
    """
    if len(shape) == 3:
        first, middle, last = shape
        return (middle, last) if first == middle != last else (middle, first)
    if len(shape) == 2:
        return math.isqrt(shape[0]), shape[1]
    return None, shape[0]


def short(parameters: int) -> str:
    """``1,824`` → ``1.8 k``, ``14175744`` → ``14 M``."""
    for size, unit in ((1_000_000, "millions"), (1_000, "thousands")):
        if parameters >= size:
            value = parameters / size
            return say(f"network.short.{unit}", value=f"{value:.1f}" if value < 9.95 else f"{value:.0f}")
    return str(parameters)


def _depth(told: object, stages: int) -> int | None:
    """What the browser sent, if it is a depth of this network."""
    if isinstance(told, bool) or not isinstance(told, int | float):
        return None
    return int(told) if told == int(told) and 0 <= told <= stages else None


@cache
def _element() -> Any:
    return st.components.v2.component(
        "graft_network",
        js="\n".join((HERE / name).read_text("utf-8") for name in ("network_draw.js", "network.js")),
        css=(HERE / "network.css").read_text("utf-8"),
    )
