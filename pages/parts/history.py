"""What was done to a data set, in words: the latest step with its undo, and every version with the way back to it."""

from collections.abc import Callable

import streamlit as st

from core.data import mending
from core.data.datasets import Dataset
from core.data.history import History
from core.errors import CoreError
from core.words import say
from pages.parts import panels

SHOWN_STEPS = 12  # before "all" is asked for


def do(key: str, act: Callable[[], object]) -> bool:
    """For a widget's callback: take a step; ``line`` with the same key says what came of it."""
    st.session_state.pop(_problem(key), None)
    try:
        act()
    except CoreError as error:
        st.session_state[_problem(key)] = error
        return False
    return True


def line(dataset: Dataset, key: str) -> None:
    """The latest step with undo and redo beside it; above it why something couldn't be done."""
    error = st.session_state.get(_problem(key))
    if isinstance(error, CoreError):
        panels.error_box(error)
    known = mending.history(dataset)
    text = known.steps[-1].text if known.steps else say("mend.history.none")  # from the start: nothing jumps later
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"{key}_line"):
        st.markdown(f":material/history: {panels.plain(text)}", width="content")
        for name, possible in (("undo", known.undo), ("redo", known.redo)):
            if possible is not None:
                st.button(
                    say(f"mend.history.{name}"), key=f"{key}_{name}", icon=f":material/{name}:", type="tertiary",
                    on_click=do, args=(key, _verb(dataset, name)),
                )  # fmt: skip


def panel(dataset: Dataset, key: str) -> None:
    """Every version, the newest first."""
    known = mending.history(dataset)
    versions = range(known.version, -1, -1)
    st.caption(say("mend.history.how"))
    for version in versions[:SHOWN_STEPS]:
        _row(dataset, known, version, key)
    if len(versions) > SHOWN_STEPS and st.toggle(say("mend.history.all", n=len(versions)), key=f"{key}_all"):
        for version in versions[SHOWN_STEPS:]:
            _row(dataset, known, version, key)


def _row(dataset: Dataset, known: History, version: int, key: str) -> None:
    at = known.steps[version - 1].at if version else dataset.created
    text = known.steps[version - 1].text if version else say("mend.history.arrived")
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"{key}_row_{version}"):
        st.markdown(f"**{version}** · {panels.plain(text)}  \n:gray[{panels.moment(at)}]", width="stretch")
        if known.step(version) is known.step(known.version):
            words = "current" if version == known.version else "same"
            st.badge(say(f"mend.history.{words}"), color="green", icon=":material/check:")
        else:
            st.button(
                say("mend.history.back"), key=f"{key}_back_{version}", help=say("mend.history.back_help"),
                on_click=do, args=(key, lambda: mending.go_back(dataset, version)),
            )  # fmt: skip


def _verb(dataset: Dataset, name: str) -> Callable[[], object]:
    verb = mending.undo if name == "undo" else mending.redo
    return lambda: verb(dataset)


def _problem(key: str) -> str:
    return f"{key}_problem"
