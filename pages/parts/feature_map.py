"""The map of a run's photos: drawn in a process of its own, then looked at before and after training."""

from collections import Counter
from collections.abc import Sequence

import streamlit as st

from core.data.report import PARTS
from core.inference import map_worker
from core.inference.feature_map import MOST_PHOTOS, FeatureMap, Layout, Method, Point
from core.inference.map_folder import MapFolder
from core.inference.map_worker import Drawing
from core.inference.metrics import Results
from core.runs import RunDirectory
from core.words import say
from pages.parts import map_photos, panels
from pages.parts.charts import feature_map as chart
from pages.parts.plot import plot

POLL_SECONDS = 0.7
COLOURS = ("class", "part", "answer")


def panel(run: RunDirectory, results: Results | None) -> None:
    """Everything of the map, from the button that draws it to the photos behind its dots."""
    st.subheader(say("map.title"), anchor=False)
    st.markdown(say("map.how"))
    folder = MapFolder(run)
    if not run.has_model:
        st.caption(say("map.no_model"))
        return
    made = _read(str(folder.map), folder.stamp(), _changed(folder), folder)
    if made is not None:
        _show(run, made, results)
    elif any(run.split().part(part) for part in PARTS):
        _draw(folder)
    else:
        st.caption(say("map.without_photos"))


@st.cache_resource(max_entries=8, show_spinner=False)
def _read(path: str, stamp: str, changed: int, _folder: MapFolder) -> FeatureMap | None:
    """Shared by all sessions, and never changed."""
    del path, stamp, changed  # the cache's key
    return _folder.read()


def _changed(folder: MapFolder) -> int:
    try:
        return folder.map.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


# While there is no map


def _draw(folder: MapFolder) -> None:
    """What ended the last try, and the button that draws."""
    known = map_worker.watch(folder)
    if known.status == "working":
        _working(folder)
        return
    if known.status == "failed" and known.error is not None:
        panels.error_box(known.error)
    elif known.status == "stopped":
        st.info(say("map.stopped"), icon=":material/pause_circle:")
    elif known.status == "lost":
        st.warning(say("map.lost"), icon=":material/warning:")
        if known.log:
            with st.expander(say("map.log")):
                st.code(known.log, language=None)
    label = {"waiting": "map.draw", "stopped": "map.go_on"}.get(known.status, "map.again")
    st.button(
        say(label), key="map_draw", icon=":material/scatter_plot:",
        on_click=map_worker.start, args=(folder,),
    )  # fmt: skip
    st.caption(say("map.draw_how", most=f"{MOST_PHOTOS:,}"))


@st.fragment(run_every=POLL_SECONDS)
def _working(folder: MapFolder) -> None:
    """How far it is; the page is drawn again when it has ended."""
    known = map_worker.watch(folder)
    if known.status != "working":
        st.rerun()
    share = known.done / known.total if known.total else 0.0
    st.progress(min(1.0, share), text=_how_far(known))
    st.button(say("map.stop"), key="map_stop", icon=":material/stop_circle:", on_click=map_worker.stop, args=(folder,))


def _how_far(known: Drawing) -> str:
    match known.step:
        case "before" | "after":
            return say(f"map.progress.{known.step}", done=known.done, n=known.total)
        case "map":
            return say("map.progress.map")
        case _:
            return say("map.progress.load")


# The map


def _show(run: RunDirectory, made: FeatureMap, results: Results | None) -> None:
    st.markdown(say(f"map.kind.{made.kind}" if made.before is not None else "map.kind.only_after"))
    _neighbours(made)
    with st.container(horizontal=True, gap="medium"):
        method, layout, moment = _which(made)
        groups = _groups(made)
    left, right = st.columns([5, 3], gap="medium")
    with left:
        _plot(run, made, method, layout, groups, say(f"map.chart.title.{method}_{moment}"))
        st.caption(say(f"map.caution.{method}", share=panels.percent(layout.explained)))
        if made.kind == "head" and moment == "after" and len(made.classes) == 2 and _is_line(layout.pca):
            st.caption(say("map.caution.line"))
        if made.of > len(made.photos) + made.unreadable:
            st.caption(say("map.drawn", n=len(made.photos), of=f"{made.of:,}"))
        if made.unreadable:
            st.caption(say("map.unreadable", n=made.unreadable))
    with right:
        map_photos.opened(run, made, results)
    map_photos.selection(run, made)


def _plot(
    run: RunDirectory, made: FeatureMap, method: Method, layout: Layout, groups: list[chart.Group], title: str
) -> None:
    """Before and after have the same frame, so that a photo can be followed from one to the other."""
    chosen = frozenset(map_photos.chosen(run, made))
    layouts = [one for one in (made.before, made.after) if one is not None]
    reach = max(abs(value) for one in layouts for point in one.points(method) for value in point)
    plot(
        chart.photo_map(
            layout.points(method), groups, [chart.hover(photo, made.classes) for photo in made.photos],
            title=title, reach=reach or 1.0, chosen=chosen, view=method,
        ),
        key="map_plot",
        alt=chart.photo_map_alt(groups, title=title, chosen=len(chosen)),
        on_click=lambda point: map_photos.open_photo(run, made, point),
        on_select=lambda points: map_photos.choose(run, made, points),
    )  # fmt: skip


def _is_line(points: Sequence[Point]) -> bool:
    """Whether the dots lie on one straight line through the middle: their spread across it is none."""
    across = sum(x * x for x, _ in points) * sum(y * y for _, y in points) - sum(x * y for x, y in points) ** 2
    return across < 1e-6 * len(points) ** 2


def _neighbours(made: FeatureMap) -> None:
    """What the maps can only hint at, counted where the network itself looks: in all dimensions."""
    told: list[str] = []
    for moment, layout in (("before", made.before), ("after", made.after)):
        if layout is None or (near := layout.neighbours) is None:
            continue
        low, high = near.interval
        told.append(
            say(
                f"map.near.{moment}", part=say(f"charts.part.{near.part}"), n=near.total, same=near.same,
                share=panels.percent(near.share), low=panels.percent(low), high=panels.percent(high),
            )
        )  # fmt: skip
    near = made.after.neighbours
    if near is None:
        st.caption(say("map.near.none"))
        return
    st.markdown(f"{say('map.near.what')}\n" + "".join(f"\n- {text}" for text in told))
    decimals = 0 if near.chance >= 0.01 else 1  # of 300 classes it isn't nothing
    st.caption(say("map.near.chance", chance=f"{100 * near.chance:.{decimals}f}\u00a0%"))


def _which(made: FeatureMap) -> tuple[Method, Layout, str]:
    """The method and the moment that are looked at."""
    method: Method = "pca"
    if made.after.tsne is not None:
        ways: list[Method] = ["tsne", "pca"]
        method = st.segmented_control(
            say("map.method"), ways, format_func=lambda one: say(f"map.methods.{one}"), key="map_method",
            default="tsne", required=True,
        )  # fmt: skip
    if made.before is None:
        return method, made.after, "after"
    moment = st.segmented_control(
        say("map.moment"), ["before", "after"], format_func=lambda one: say(f"map.moments.{one}"), key="map_moment",
        default="after", required=True,
    )  # fmt: skip
    return method, made.before if moment == "before" else made.after, moment


def _groups(made: FeatureMap) -> list[chart.Group]:
    """What colour and shape tell."""
    by = st.segmented_control(
        say("map.colour"), COLOURS, format_func=lambda one: say(f"map.colours.{one}"), key="map_colour",
        default="class", required=True,
    )  # fmt: skip
    if by == "part":
        return chart.by_part(made.photos)
    if by == "answer":
        st.caption(say("map.learnt"))
        return chart.by_answer(made.photos)
    numbers = range(len(made.classes))
    if len(numbers) <= chart.MOST_CLASSES:
        return chart.by_class(made.photos, made.classes, numbers)
    counts = Counter(photo.target for photo in made.photos)
    largest = sorted(numbers, key=lambda number: (-counts[number], number))[: chart.MOST_CLASSES]
    shown = st.multiselect(
        say("map.shown_classes", most=chart.MOST_CLASSES), numbers, default=sorted(largest), key="map_shown",
        format_func=lambda number: made.classes[number], max_selections=chart.MOST_CLASSES,
    )  # fmt: skip
    return chart.by_class(made.photos, made.classes, shown)
