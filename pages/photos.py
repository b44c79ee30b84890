"""Photos: bring them in, see what is wrong with them, mend it, and see how they will be divided."""

from collections.abc import Callable

import streamlit as st

from core.data import datasets
from core.data.datasets import Dataset
from core.data.report import DatasetReport, Split
from core.errors import CoreError
from core.words import say
from pages.parts import (
    backbones,
    delete,
    division,
    doctor,
    history,
    labelling,
    mend,
    panels,
    report,
    sets,
    state,
    table,
    ways_in,
)

SECTION = "section"  # query key: which part of the page is open, by its name


def main() -> None:
    chosen = state.dataset()
    if chosen is None:
        st.title(say("photos.bring_title"), anchor=False)
        delete.told()
        ways_in.show(None)
        _demo()
        return
    state.choose_dataset(chosen.id)
    backbones.work_ahead(chosen)
    state.show_place(state.DATASET)
    sets.title(chosen)
    known = state.look_at(chosen)
    if known.status in ("waiting", "scanning"):
        sets.scanning(chosen)
    elif sets.is_adding(chosen):
        sets.adding(chosen)
    elif known.report is not None and known.status == "ready":
        _ready(chosen, known.report, known.error)
    else:
        sets.failed(chosen, known)


def _demo() -> None:
    """Photos for whoever has none at hand."""
    if st.button(say("start.demo"), icon=":material/eco:", key="demo", help=say("start.demo_help")):
        state.choose_dataset(datasets.make_demo(state.workspace()).id)
        state.choose_run(None)
        st.rerun()


def _ready(chosen: Dataset, known: DatasetReport, problem: CoreError | None) -> None:
    """The numbers, the one way on, and the parts of the page."""
    if problem is not None:  # what came last could not be added; the rest is as it was
        panels.error_box(problem)
    report.numbers(known)
    divided = _divided(known)
    with st.container(horizontal=True):
        if divided is not None:
            panels.next_step("model", say("photos.next"))
        sets.add_button(chosen)
    report.classes(known)
    parts: dict[str, Callable[[], None]] = {"doctor": lambda: _checkup(chosen, known)}
    if known.unlabelled:
        parts["label"] = lambda: labelling.panel(chosen, known)
    parts |= {
        "photos": lambda: _photos(chosen, known),
        "division": lambda: division.panel(chosen, known, divided),
        "history": lambda: _history(chosen),
    }
    section = st.segmented_control(
        say("photos.sections"), list(parts), default="doctor", required=True, key=SECTION, bind="query-params",
        format_func=lambda name: say(f"photos.section.{name}"), label_visibility="collapsed",
    )  # fmt: skip
    parts.get(str(section), parts["doctor"])()


def _checkup(chosen: Dataset, known: DatasetReport) -> None:
    report.findings(known)
    doctor.panel(chosen, known)


def _photos(chosen: Dataset, known: DatasetReport) -> None:
    table.show(chosen, known)
    mend.panel(chosen, known, shown=None, key="photos")


def _history(chosen: Dataset) -> None:
    history.line(chosen, SECTION)
    history.panel(chosen, SECTION)


def _divided(known: DatasetReport) -> Split | None:
    try:
        return state.split_of(known)
    except CoreError as error:
        panels.error_box(error)
        return None


main()
