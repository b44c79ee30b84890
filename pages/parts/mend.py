"""Mending: photos to choose from, and a verb for everything that can be done with them, each undone by one press."""

from collections.abc import Sequence
from functools import partial

import streamlit as st

from core.data import mending
from core.data.datasets import Dataset
from core.data.report import DatasetReport, Photo
from core.data.store import read_report
from core.errors import CoreError
from core.words import has, say
from pages.parts import grid, history, panels
from pages.parts.grid import Action, Deed, Offer, Tile

PAGE_PHOTOS = 120  # divides by 2 to 6 and 8, so that most rows are full
CLASS = "class:"  # before the name of a class among the views
DEEDS: dict[str, tuple[Deed, ...]] = {"aside": ("back",), "unlabelled": ("move", "aside")}
USUAL_DEEDS: tuple[Deed, ...] = ("move", "aside", "forget")
REASONS = ("chosen", "other", "poor", "copy", "unsure")  # below ``mend.reason`` on buttons, ``mend.why`` afterwards


def panel(dataset: Dataset, report: DatasetReport, *, shown: Sequence[str] | None = None, key: str) -> None:
    """The photos of ``report``, or only those ``shown``, in that order; names of classes below.

    No fragment: a server that was started again doesn't know the fragments of a page that is still open, so nothing in
    one would answer until the page is loaded again (Streamlit 1.67).
    """
    history.line(dataset, key)
    if shown is None:
        view, query = _filter(report, key)
        photos = listed(report, view, query)
    else:
        view, query = "shown", ""
        photos = _some(report, shown)
    _photos(dataset, report, photos, view, query, key)
    if shown is None:
        _classes(dataset, report, key)


# What is shown


def listed(report: DatasetReport, view: str, query: str = "") -> list[Photo]:
    """The photos of a view whose path holds ``query``, whatever its letters' case."""
    match view:
        case "aside":
            photos = report.aside
        case "unlabelled":
            photos = report.unlabelled
        case "all":
            photos = (*report.photos, *report.unlabelled)
        case _:
            photos = tuple(photo for photo in report.photos if photo.label == view.removeprefix(CLASS))
    wanted = query.strip().casefold()
    return [photo for photo in photos if wanted in photo.path.casefold()] if wanted else list(photos)


def _some(report: DatasetReport, paths: Sequence[str]) -> list[Photo]:
    known = {photo.path: photo for photo in (*report.photos, *report.unlabelled)}
    return [known[path] for path in paths if path in known]


def _filter(report: DatasetReport, key: str) -> tuple[str, str]:
    views = ["all", *(f"{CLASS}{label}" for label in report.classes)]
    views += ["unlabelled"] if report.unlabelled else []
    views += ["aside"] if report.aside else []
    if st.session_state.get(f"{key}_view", "all") not in views:  # renamed or emptied since
        del st.session_state[f"{key}_view"]
    with st.container(horizontal=True, gap="small", vertical_alignment="bottom"):
        # Without counts: Streamlit knows an option by what it says, so one that says something else is another one.
        view = st.selectbox(say("mend.view"), views, key=f"{key}_view", format_func=_named)
        query = st.text_input(say("mend.search"), key=f"{key}_query", icon=":material/search:", max_chars=200)
    return str(view), query


def _named(view: str) -> str:
    """A class in quotes, so that one called “Set aside” is told from what is set aside."""
    if view.startswith(CLASS):
        return say("mend.views.class", label=view.removeprefix(CLASS))
    return say(f"mend.views.{view}")


# The grid


def _photos(dataset: Dataset, report: DatasetReport, photos: list[Photo], view: str, query: str, key: str) -> None:
    pages = max(1, -(-len(photos) // PAGE_PHOTOS))
    if st.session_state.get(f"{key}_page", 1) > pages:
        del st.session_state[f"{key}_page"]
    page = st.session_state.get(f"{key}_page", 1)
    here = photos[(page - 1) * PAGE_PHOTOS : page * PAGE_PHOTOS]
    known = mending.history(dataset)
    offer = Offer(
        deeds=DEEDS.get(view, USUAL_DEEDS),
        classes=report.counts,
        reasons=tuple((word, say(f"mend.reason.{word}")) for word in REASONS),
        undo=known.undo is not None,
        redo=known.redo is not None,
    )
    aside = known.state().said["aside"]
    grid.photo_grid(
        dataset,
        [_tile(photo, view, aside.get(photo.path)) for photo in here],
        key=f"{key}_grid",
        label=say("mend.grid.label", n=len(here)),
        view=f"{view} {page} {query}",
        total=len(photos),
        nothing=say("mend.nothing"),
        offer=offer,
        on_action=partial(_act, dataset, [photo.path for photo in photos], key),
    )
    if pages > 1:
        st.pagination(pages, key=f"{key}_page")


def _tile(photo: Photo, view: str, why: str | None) -> Tile:
    caption = "" if view.startswith(CLASS) else photo.label or say("mend.no_label")
    if why is None:
        return grid.tile(photo, caption=caption)
    return grid.tile(photo, caption=caption, badge=reason(why), tone="aside")


def reason(why: str) -> str:
    """Why a photo was set aside; a word that a newer or older version of Graft used is better than none."""
    return say(f"mend.why.{why}") if has(f"mend.why.{why}") else why


def _act(dataset: Dataset, every: list[str], key: str, action: Action) -> bool:
    """A deed of the grid: one verb, one step. None where another tab, or the same deed told twice, has done it."""

    def act() -> object:
        if action.name in ("undo", "redo"):
            return mending.undo(dataset) if action.name == "undo" else mending.redo(dataset)
        report = read_report(dataset)
        value = mending.class_name(report, action.value) if action.name == "move" else ""
        paths = _unlike(report, every if action.everything else action.paths, action.name, value)
        if not paths:
            return None
        match action.name:
            case "move":
                return mending.move(dataset, paths, value)
            case "aside":
                return mending.set_aside(dataset, paths, action.value if action.value in REASONS else REASONS[0])
            case "back":
                return mending.bring_back(dataset, paths)
            case _:
                return mending.forget_label(dataset, paths)

    return history.do(key, act)


def _unlike(report: DatasetReport, paths: Sequence[str], deed: Deed, label: str) -> list[str]:
    """Those of ``paths`` that aren't yet as the deed would make them."""
    aside = {photo.path for photo in report.aside}
    if deed in ("aside", "back"):
        return [path for path in paths if (path in aside) == (deed == "back")]
    already = {photo.path for photo in (*report.photos, *report.unlabelled, *report.aside) if photo.label == label}
    return [path for path in paths if path not in already]


# Classes


def _classes(dataset: Dataset, report: DatasetReport, key: str) -> None:
    """Another name for a class; the name of another one makes them one."""
    if not report.classes:
        return
    with st.expander(say("mend.classes.title"), icon=":material/label:"):
        if st.session_state.get(f"{key}_old") not in (None, *report.classes):
            del st.session_state[f"{key}_old"]
        with st.container(horizontal=True, gap="small", vertical_alignment="bottom"):
            old = str(st.selectbox(say("mend.classes.which"), report.classes, key=f"{key}_old"))
            typed = st.text_input(say("mend.classes.new"), key=f"{key}_new", max_chars=200)
        new = _meant(report, typed, old)
        merges = new in report.classes and new != old
        if new is not None and new != old:
            counts = report.counts
            together = counts[old] + counts.get(new, 0)
            words = "merge_says" if merges else "rename_says"
            values = {"old": old, "new": new, "count": counts[old], "other": counts.get(new, 0), "together": together}
            st.markdown(panels.shown(f"mend.classes.{words}", **values))
        st.button(
            say("mend.classes.merge" if merges else "mend.classes.rename"), key=f"{key}_rename",
            disabled=new is None or new == old, on_click=_rename, args=(dataset, old, new, key),
        )  # fmt: skip


def _meant(report: DatasetReport, typed: str, old: str) -> str | None:
    """The class that was typed, as it would be called; None where nothing is."""
    if not typed.strip():
        return None
    try:
        return mending.class_name(report, typed, besides=old)
    except CoreError as error:
        panels.error_box(error)
        return None


def _rename(dataset: Dataset, old: str, new: str, key: str) -> None:
    if history.do(key, lambda: mending.rename_class(dataset, old, new)):
        st.session_state[f"{key}_new"] = ""
        st.session_state[f"{key}_old"] = new
        if st.session_state.get(f"{key}_view") == f"{CLASS}{old}":
            st.session_state[f"{key}_view"] = f"{CLASS}{new}"
