"""How many photos each class has, and in which part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from core.data.report import PARTS, Split
from core.words import say
from pages.parts.charts.frame import MOST_NAMED, MOST_SPOKEN, draw_rows, listed, safe
from pages.parts.palette import LIGHT

if TYPE_CHECKING:
    import plotly.graph_objects as go

PATTERNS = {"all": "", "train": "", "val": "/", "test": "."}
PART_COLOURS = {"all": LIGHT.accent, "train": LIGHT.train, "val": LIGHT.validation, "test": LIGHT.series[3]}


def part_counts(split: Split) -> dict[str, dict[str, int]]:
    """Photos of each class in each part that has any: ``{"ants": {"train": 90, "val": 30}}``."""
    counts: dict[str, dict[str, int]] = {label: {} for label in split.classes}
    for part in PARTS:
        for sample in split.part(part):
            row = counts[split.classes[sample.target]]
            row[part] = row.get(part, 0) + 1
    return counts


def class_counts(counts: Mapping[str, Mapping[str, int]]) -> go.Figure:
    """Photos of each class as a bar, divided into parts; the total stands at its end."""
    labels = list(counts)
    parts = _parts(counts)
    bars = [_bar(part, labels, [counts[label].get(part, 0) for label in labels]) for part in parts]
    if len(labels) <= MOST_NAMED:
        bars.append(_totals([sum(counts[label].values()) for label in labels]))
    axis = {"title": {"text": say("charts.axis.photos")}, "rangemode": "tozero", "tickformat": ",d"}
    return draw_rows(bars, labels, barmode="stack", showlegend=len(parts) > 1, margin={"r": 44}, xaxis=axis)


def _bar(part: str, labels: Sequence[str], numbers: Sequence[int]) -> dict[str, Any]:
    name = say(f"charts.part.{part}")
    pattern = {"shape": PATTERNS[part], "fillmode": "overlay", "fgcolor": LIGHT.background, "fgopacity": 0.8, "size": 7}
    told = [
        say("charts.class_counts.hover", label=safe(label), part=name, n=number)
        for label, number in zip(labels, numbers, strict=True)
    ]
    return {
        "type": "bar",
        "orientation": "h",
        "name": name,
        "x": numbers,
        "y": list(range(len(labels))),
        "marker": {"color": PART_COLOURS[part], "pattern": pattern | {"solidity": 0.25}, "line": {"width": 0}},
        "hovertext": told,
        "hoverinfo": "text",
    }


def _totals(totals: Sequence[int]) -> dict[str, Any]:
    return {
        "type": "scatter",
        "x": totals,
        "y": list(range(len(totals))),
        "mode": "text",
        "text": [f"&nbsp;{total:,}" for total in totals],
        "textposition": "middle right",
        "textfont": {"size": 13, "color": LIGHT.ink},
        "cliponaxis": False,
        "hoverinfo": "skip",
        "showlegend": False,
    }


def class_counts_alt(counts: Mapping[str, Mapping[str, int]]) -> str:
    totals = {label: sum(row.values()) for label, row in counts.items()}
    if len(counts) > MOST_SPOKEN:
        least, most = min(totals, key=lambda label: totals[label]), max(totals, key=lambda label: totals[label])
        return say(
            "charts.class_counts.many", n=len(counts), least=least, low=totals[least], most=most, high=totals[most]
        )
    told = []
    for label, row in counts.items():
        parts = [
            say("charts.class_counts.share", n=row[part], part=say(f"charts.part.{part}"))
            for part in _parts(counts)
            if row.get(part) and part != "all"
        ]
        key = "charts.class_counts.class_parts" if parts else "charts.class_counts.class"
        told.append(say(key, label=label, total=totals[label], parts=", ".join(parts)))
    return say("charts.class_counts.alt", classes=listed(told))


def _parts(counts: Mapping[str, Mapping[str, int]]) -> list[str]:
    return [part for part in PART_COLOURS if any(part in row for row in counts.values())]
