"""Photos: bring them in, see what is wrong with them, mend it, and see how they will be divided."""

from collections.abc import Callable
from pathlib import Path

import streamlit as st

from core.data import datasets
from core.data.datasets import Dataset, DatasetState
from core.data.report import DatasetReport, Split
from core.errors import CoreError
from core.words import say
from pages.parts import (
    backbones,
    delete,
    division,
    history,
    mend,
    panels,
    report,
    sets,
    state,
)
from pages.parts.uploader import uploader

SECTION = "section"  # query key: which part of the page is open, by its name


def main() -> None:
    chosen = state.dataset()
    if chosen is None:
        st.title(say("photos.bring_title"), anchor=False)
        delete.told()
        _bring()
        return
    state.choose_dataset(chosen.id)
    backbones.work_ahead(chosen)
    state.show_place(state.DATASET)
    sets.title(chosen)
    known = state.look_at(chosen)
    if known.status in ("waiting", "scanning"):
        _progress(chosen)
    elif known.report is not None and known.status == "ready":
        _ready(chosen, known.report, known.error)
    else:
        _failed(chosen, known)


def _bring() -> None:
    st.markdown(say("photos.how"))
    upload = state.upload("dataset")
    arrived = uploader("photos_upload", upload=upload, mode="dataset")
    if arrived is not None and arrived.problem:
        st.warning(arrived.problem, icon=":material/warning:")
    if arrived is not None and arrived.ready:
        _open(lambda: datasets.adopt(state.workspace(), arrived.upload))
    with st.container(horizontal=True):
        if st.button(say("start.demo"), icon=":material/eco:", key="demo", help=say("start.demo_help")):
            _open(lambda: datasets.make_demo(state.workspace()))
    if datasets.allowed_folders():
        _server_folder()


def _server_folder() -> None:
    with st.expander(say("photos.server"), icon=":material/folder_open:"), st.form("server_folder", border=False):
        folder = st.text_input(say("photos.server_path"), key="server_path", help=say("photos.server_help"))
        if st.form_submit_button(say("photos.server_use"), key="server_use") and folder.strip():
            allowed = datasets.allowed_folders()
            _open(lambda: datasets.from_server_folder(state.workspace(), Path(folder.strip()), allowed))


def _open(make) -> None:
    """Make a data set and show it; a mistake of the user's is shown where it was made."""
    try:
        made = make()
    except CoreError as error:
        panels.error_box(error)
        return
    state.forget_upload("dataset")
    state.choose_dataset(made.id)
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
    report.classes(known)
    parts: dict[str, Callable[[], None]] = {"doctor": lambda: _checkup(chosen, known)}
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


def _photos(chosen: Dataset, known: DatasetReport) -> None:
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


@st.fragment(run_every=0.5)
def _progress(chosen: Dataset) -> None:
    known = state.look_at(chosen)
    if known.status not in ("waiting", "scanning"):
        st.rerun()
    share = known.done / known.total if known.total else 0.0
    text = say(f"photos.phase.{known.phase or 'waiting'}", done=known.done, total=known.total)
    st.progress(min(1.0, share), text=text)


def _failed(chosen: Dataset, known: DatasetState) -> None:
    if known.error is not None:
        panels.error_box(known.error)
    else:
        st.error(say("photos.lost"), icon=":material/error:")
    if st.button(say("photos.again"), type="primary", key="scan_again", icon=":material/refresh:"):
        datasets.start_scan(chosen)
        st.rerun()


main()
