"""The map of feature space: a dot a photo, its class, part or rightness told by colour and by shape."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.data.report import PARTS
from core.words import say
from pages.parts.charts.frame import MOST_SPOKEN, draw, listed, percent, safe
from pages.parts.charts.photos import PART_COLOURS
from pages.parts.palette import LIGHT

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from core.inference.feature_map import MapPhoto, Point

# Shapes that are told apart at 9 pixels; each class has its own, colours begin again after six.
SYMBOLS = (
    "circle", "square", "diamond", "triangle-up", "cross", "triangle-down", "x", "star", "pentagon", "hourglass",
    "hexagon2", "bowtie",
)  # fmt: skip
MOST_CLASSES = len(SYMBOLS)  # with a colour and shape of their own; the others are small dots together
OTHERS = "circle-open"
PART_SYMBOLS = {"train": "circle", "val": "diamond", "test": "square"}
MANY = 800  # dots from which they are drawn smaller
MARGIN = 1.08  # so that the outermost dots aren't cut
HEIGHT = 520  # pixels
MOVE_MILLISECONDS = 700  # from before to after: long enough to follow a dot with the eye


@dataclass(frozen=True)
class Group:
    """Dots that look alike: their name in the legend, and the places of their photos."""

    name: str
    colour: str
    symbol: str
    places: tuple[int, ...]


def by_class(photos: Sequence[MapPhoto], classes: Sequence[str], shown: Sequence[int]) -> list[Group]:
    """A group for each class in ``shown`` (at most ``MOST_CLASSES`` numbers), and one for all others."""
    groups = [
        Group(
            classes[number], LIGHT.series[place % len(LIGHT.series)], SYMBOLS[place],
            tuple(i for i, photo in enumerate(photos) if photo.target == number),
        )
        for place, number in enumerate(shown)
    ]  # fmt: skip
    others = tuple(i for i, photo in enumerate(photos) if photo.target not in shown)
    if others:
        groups.insert(0, Group(say("map.chart.others"), LIGHT.muted, OTHERS, others))  # below the others
    return groups


def by_part(photos: Sequence[MapPhoto]) -> list[Group]:
    """A group for each part that has photos."""
    groups = [
        Group(
            say(f"charts.part.{part}"), PART_COLOURS[part], PART_SYMBOLS[part],
            tuple(i for i, photo in enumerate(photos) if photo.part == part),
        )
        for part in PARTS
    ]  # fmt: skip
    return [group for group in groups if group.places]


def by_answer(photos: Sequence[MapPhoto]) -> list[Group]:
    """What the model says rightly and wrongly; mistakes lie on top."""
    looks = ((True, LIGHT.right, "circle"), (False, LIGHT.wrong, "x"))
    groups = [
        Group(
            say("map.chart.right" if right else "map.chart.wrong"), colour, symbol,
            tuple(i for i, photo in enumerate(photos) if photo.right is right),
        )
        for right, colour, symbol in looks
    ]  # fmt: skip
    return [group for group in groups if group.places]


def photo_map(
    points: Sequence[Point],
    groups: Sequence[Group],
    told: Sequence[str],
    *,
    title: str,
    reach: float,
    chosen: Collection[int] = (),
    view: str = "",
) -> go.Figure:
    """A dot a photo; ``told`` is shown when it is pointed at, its place is its customdata.

    ``reach`` is how far the axes go from the middle, ``view`` names what is drawn: the zoom belongs to it.
    """
    size = 6 if len(points) > MANY else 9
    return draw(
        [_dots(group, points, told, size, chosen) for group in groups],
        title,
        height=HEIGHT,
        hovermode="closest",
        dragmode="lasso",
        showlegend=True,
        uirevision=view,
        transition={"duration": MOVE_MILLISECONDS, "easing": "cubic-in-out"},
        # What is chosen is drawn from here, so a lasso's line goes once it has chosen.
        selectionrevision=f"{view} {hash(frozenset(chosen))}",
        newselection={"line": {"color": LIGHT.ink, "width": 2, "dash": "dot"}},
        xaxis=_axis(reach),
        yaxis={**_axis(reach), "scaleanchor": "x"},  # a distance is the same in every direction
    )


def _axis(reach: float) -> dict[str, Any]:
    ends = [-reach * MARGIN, reach * MARGIN]
    return {"range": ends, "showticklabels": False, "showgrid": True, "dtick": reach / 2, "tick0": 0}


def _dots(
    group: Group, points: Sequence[Point], told: Sequence[str], size: int, chosen: Collection[int]
) -> dict[str, Any]:
    open_ring = group.symbol == OTHERS
    size = size - 2 if open_ring else size
    dots: dict[str, Any] = {
        "type": "scatter",
        "mode": "markers",
        "name": safe(group.name),
        "x": [points[place][0] for place in group.places],
        "y": [points[place][1] for place in group.places],
        "customdata": [[place] for place in group.places],
        "hovertext": [told[place] for place in group.places],
        "hoverinfo": "text",
        "marker": {
            "color": group.colour,
            "symbol": group.symbol,
            "size": size,
            "opacity": 0.85,
            "line": {"width": 1 if open_ring else 0.5, "color": group.colour if open_ring else LIGHT.background},
        },
        "selected": {"marker": {"opacity": 1, "size": size + 2}},
        "unselected": {"marker": {"opacity": 0.2}},
    }
    if chosen:
        dots["selectedpoints"] = [number for number, place in enumerate(group.places) if place in chosen]
    return dots


def photo_map_alt(groups: Sequence[Group], *, title: str, chosen: int) -> str:
    """Which map it is, and how many dots each group has."""
    named = [say("map.chart.alt.group", name=group.name, n=len(group.places)) for group in groups[:MOST_SPOKEN]]
    text = say("map.chart.alt.map", title=title, n=sum(len(group.places) for group in groups), groups=listed(named))
    return f"{text} {say('map.chart.alt.chosen', n=chosen)}" if chosen else text


def hover(photo: MapPhoto, classes: Sequence[str]) -> str:
    """What is said of a dot that is pointed at."""
    return say(
        "map.chart.hover_right" if photo.right else "map.chart.hover_wrong", path=safe(photo.path),
        label=safe(classes[photo.target]), part=say(f"charts.part.{photo.part}"), said=safe(classes[photo.said]),
        confidence=percent(photo.confidence),
    )  # fmt: skip
