"""Loss and accuracy over a run's epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from core.words import say
from pages.parts.charts.frame import draw, listed, percent
from pages.parts.palette import LIGHT

if TYPE_CHECKING:
    import plotly.graph_objects as go

Metric = Literal["loss", "accuracy"]
SHARE = {"clipmin": 0, "clipmax": 1.02}  # how far an axis of shares reaches, to the line at 100 % and its width


class EpochPoint(Protocol):
    """What a curve needs of an epoch: ``core.events.EpochEnded`` has it."""

    @property
    def phase(self) -> str: ...
    @property
    def epoch(self) -> int: ...
    @property
    def train_loss(self) -> float: ...
    @property
    def train_accuracy(self) -> float: ...
    @property
    def val_loss(self) -> float | None: ...
    @property
    def val_accuracy(self) -> float | None: ...
    @property
    def best(self) -> bool: ...
    @property
    def penalty(self) -> float | None: ...


Point = TypeVar("Point", bound=EpochPoint)


def thinned(points: Sequence[Point], longest: int) -> list[Point]:
    """At most about ``longest`` points: every second, third … with the ends of each phase and the best ones kept."""
    step = -(-len(points) // max(1, longest))
    if step <= 1:
        return list(points)
    best = best_of(points)
    last = len(points) - 1

    def kept(place: int) -> bool:
        point = points[place]
        ends_phase = place == last or points[place + 1].phase != point.phase
        begins_phase = place == 0 or points[place - 1].phase != point.phase
        return place % step == 0 or ends_phase or begins_phase or point is best

    return [point for place, point in enumerate(points) if kept(place)]


def curves(points: Sequence[EpochPoint], metric: Metric, loss: str | None = None) -> go.Figure:
    """Training and validation over the epochs, head first; the phases parted by a thin line, the best epoch marked.

    ``loss`` is the name of the run's L(θ); its regulariser λR(θ), where it has one, is drawn beside it.
    """
    places = places_of(points)
    train = [value_of(point, metric, "train") for point in points]
    validation = [value_of(point, metric, "val") for point in points]
    mode = "lines+markers" if len(points) <= 20 else "lines"
    hover = {name: say(f"charts.curves.hover.{metric}", name=say(f"charts.curves.{name}")) for name in _SERIES}
    traces = [_line("train", places, train, mode, hover["train"], LIGHT.train, "dot", "circle-open")]
    if any(value is not None for value in validation):
        traces.append(
            _line("validation", places, validation, mode, hover["validation"], LIGHT.validation, "solid", "circle")
        )
        traces.extend(_best_mark(points, places, validation))
    if metric == "loss" and any(point.penalty is not None for point in points):
        traces.append(_penalty(points, places, mode))
        traces.extend(_penalty_label(traces[-1], [*train, *validation], places))
    traces.extend(_end_labels(places, train, validation))
    y_axis = {"loss": {"rangemode": "tozero"}, "accuracy": {"tickformat": ".0%", "autorangeoptions": SHARE}}[metric]
    # Whole epochs only: plotly would put ticks between the first few.
    x_axis: dict[str, Any] = {"title": {"text": say("charts.axis.epoch")}, "showgrid": False, "tickformat": "d"}
    if places and places[-1] <= 12:
        x_axis["dtick"] = 1
    return draw(
        traces,
        _title(metric, loss),
        height=320,
        hovermode="x unified",
        margin={"r": 60},
        xaxis=x_axis,
        yaxis=y_axis,
        **_phases(points, "top" if metric == "loss" else "bottom"),
    )


def _title(metric: Metric, loss: str | None) -> str:
    if metric == "accuracy" or loss is None:
        return say(f"charts.curves.{metric}")
    return say("charts.curves.loss_named", name=say(f"charts.curves.of.{loss}"))


def _penalty(points: Sequence[EpochPoint], places: list[int], mode: str) -> dict[str, Any]:
    hover = say("charts.curves.hover.loss", name=say("charts.curves.penalty"))
    values = [point.penalty for point in points]
    return _line("penalty", places, values, mode, hover, LIGHT.series[3], "dashdot", "diamond-open")


def _penalty_label(line: Mapping[str, Any], others: list[float | None], places: list[int]) -> list[dict[str, Any]]:
    """Its short name at its end, unless another line ends there; the legend has the whole name."""
    values = [value for value in line["y"] if value is not None]
    known = [value for value in others if value is not None]
    ends = [value for value in (others[len(places) - 1], others[-1]) if value is not None]
    spread = max(*values, *known) - min(*values, *known)
    if line["y"][-1] is None or any(abs(values[-1] - end) <= 0.12 * spread for end in ends):
        return []
    name = say("charts.curves.penalty_short")
    return [_end_label("penalty", places[-1], values[-1], name, LIGHT.series[3], "middle", 14)]


def curves_alt(points: Sequence[EpochPoint], metric: Metric, loss: str | None = None) -> str:
    """``Line chart of the loss over 12 epochs: training went from 1.20 to 0.10, validation from …``."""
    chart = say(f"charts.curves.alt.{metric}")
    if metric == "loss" and loss is not None:
        chart = say("charts.curves.alt.loss_named", name=say(f"charts.curves.of.{loss}"))
    if not points:
        return say("charts.curves.alt.nothing", chart=chart)
    lines = []
    for series, part in (("train", "train"), ("validation", "val")):
        values = [value for point in points if (value := value_of(point, metric, part)) is not None]
        if values:
            first, last = spoken(values[0], metric), spoken(values[-1], metric)
            key = series if len(values) > 1 else f"{series}_now"
            lines.append(say(f"charts.curves.alt.{key}", first=first, last=last))
    penalties = [point.penalty for point in points if point.penalty is not None]
    if metric == "loss" and penalties:
        first, last = spoken(penalties[0], metric), spoken(penalties[-1], metric)
        lines.append(
            say(f"charts.curves.alt.{'penalty' if len(penalties) > 1 else 'penalty_now'}", first=first, last=last)
        )
    places = places_of(points)
    sentences = [say("charts.curves.alt.over", chart=chart, n=places[-1], lines=listed(lines))]
    best = best_of(points)
    if best is not None and (value := value_of(best, metric, "val")) is not None:
        place = places[next(i for i, point in enumerate(points) if point is best)]
        sentences.append(say("charts.curves.alt.best", epoch=place, value=spoken(value, metric)))
    if 0 < (boundary := _head_epochs(points)) < places[-1]:
        sentences.append(say("charts.curves.alt.finetune", epoch=boundary))
    return " ".join(sentences)


_SERIES = ("train", "validation")


def value_of(point: EpochPoint, metric: Metric, part: str) -> float | None:
    return getattr(point, f"{part}_{metric}")


def best_of(points: Sequence[EpochPoint]) -> EpochPoint | None:
    """The latest that was the best when it ended: the one whose weights are kept."""
    return next((point for point in reversed(points) if point.best), None)


def _head_epochs(points: Sequence[EpochPoint]) -> int:
    return max((point.epoch for point in points if point.phase == "head"), default=0)


def places_of(points: Sequence[EpochPoint]) -> list[int]:
    """Each epoch's place on the axis: fine-tuning goes on counting where the head ended."""
    before = _head_epochs(points)
    return [point.epoch if point.phase == "head" else before + point.epoch for point in points]


def _line(
    uid: str, x: list[int], y: list[float | None], mode: str, hover: str, colour: str, dash: str, symbol: str
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "uid": uid,
        "legendgroup": uid,
        "name": say(f"charts.curves.{uid}"),
        "x": x,
        "y": [None if value is None else round(value, 5) for value in y],
        "mode": mode,
        "line": {"color": colour, "dash": dash, "width": 2.5},
        "marker": {"color": colour, "symbol": symbol, "size": 6},
        "hovertemplate": f"{hover}<extra></extra>",
        "connectgaps": True,
    }


def _best_mark(points: Sequence[EpochPoint], places: list[int], values: list[float | None]) -> list[dict[str, Any]]:
    best = best_of(points)
    here = [i for i, point in enumerate(points) if point is best and values[i] is not None]
    if not here:
        return []
    return [
        {
            "type": "scatter",
            "uid": "best",
            "name": say("charts.curves.best"),
            "x": [places[here[0]]],
            "y": [values[here[0]]],
            "mode": "markers",
            "marker": {
                "color": LIGHT.background,
                "symbol": "diamond",
                "size": 11,
                "line": {"color": LIGHT.ink, "width": 2},
            },
            "hoverinfo": "skip",
        }
    ]


def _end_labels(places: list[int], train: list[float | None], validation: list[float | None]) -> list[dict[str, Any]]:
    """Each line's name at its end; two that end close together lean away from each other."""
    ends: dict[str, tuple[int, float]] = {}
    for uid, values in (("train", train), ("validation", validation)):
        known = [(x, y) for x, y in zip(places, values, strict=True) if y is not None]
        if known:
            ends[uid] = known[-1]
    everything = [value for value in (*train, *validation) if value is not None]
    spread = (max(everything) - min(everything)) if everything else 0.0
    close = len(ends) == 2 and abs(ends["train"][1] - ends["validation"][1]) <= 0.1 * spread
    labels = []
    for uid, (x, y) in ends.items():
        other = ends["validation" if uid == "train" else "train"][1] if close else y
        above = y > other or (y == other and uid == "train")
        colour = LIGHT.train if uid == "train" else LIGHT.validation
        lean = ("top" if above else "bottom") if close else "middle"
        # The mark keeps the name off the line's end and the mark of the best epoch.
        name = say(f"charts.curves.{uid}")
        labels.append(_end_label(uid, x, y, name, colour, lean, 5 if close else 14))
    return labels


def _end_label(uid: str, x: int, y: float, name: str, colour: str, lean: str, gap: int) -> dict[str, Any]:
    return {
        "type": "scatter",
        "uid": f"{uid}_label",
        "legendgroup": uid,
        "showlegend": False,
        "x": [x],
        "y": [y],
        "mode": "markers+text",
        "marker": {"size": gap, "opacity": 0, "color": colour},
        "text": [name],
        "textposition": f"{lean} right",
        "textfont": {"color": colour, "size": 13},
        "cliponaxis": False,
        "hoverinfo": "skip",
    }


def _phases(points: Sequence[EpochPoint], edge: str) -> dict[str, Any]:
    """A thin line where fine-tuning began, named at the edge of the chart that its curves leave free."""
    boundary = _head_epochs(points)
    if not boundary or not any(point.phase == "finetune" for point in points):
        return {}
    place = boundary + 0.5
    line = {"color": LIGHT.muted, "width": 1, "dash": "dash"}
    name: dict[str, Any] = {"x": place, "y": int(edge == "top"), "yref": "paper", "yanchor": edge, "showarrow": False}
    name["font"] = {"size": 12, "color": LIGHT.muted}
    head, finetune = (say(f"charts.curves.{phase}") for phase in ("head", "finetune"))
    return {
        "shapes": [
            {
                "type": "line",
                "x0": place,
                "x1": place,
                "y0": 0,
                "y1": 1,
                "yref": "paper",
                "layer": "below",
                "line": line,
            }
        ],
        "annotations": [
            {**name, "xanchor": "right", "text": f"{head}&nbsp;"},
            {**name, "xanchor": "left", "text": f"&nbsp;{finetune}"},
        ],
    }


def spoken(value: float, metric: Metric) -> str:
    return percent(value) if metric == "accuracy" else f"{value:.2f}"
