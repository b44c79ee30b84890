"""A press that changes a data set: one step of its history, told where it was pressed, with the way back beside it."""

from collections.abc import Callable

import streamlit as st

from core.data import mending
from core.data.datasets import Dataset
from core.data.history import Step
from core.errors import CoreError
from core.words import say
from pages.parts import panels


def do(chosen: Dataset, place: str, act: Callable[[], Step]) -> bool:
    """For a widget's callback. ``place`` names where on the page ``done`` tells what was done."""
    try:
        step = act()
    except CoreError as error:
        st.session_state[_problem(place)] = error
        return False
    _steps(chosen)[place] = step.number
    return True


def done(chosen: Dataset, place: str) -> bool:
    """What the latest press here did and its undo, for as long as it is the latest step; or why it couldn't be done."""
    error = st.session_state.pop(_problem(place), None)
    if error is not None:
        panels.error_box(error)
    step = latest(chosen, place)
    if step is None:
        return False
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"done_{place}"):
        st.markdown(f":green[:material/check: {panels.plain(step.text)}]", width="content")
        st.button(
            say("doctorpage.undo"), key=f"undo_{place}", icon=":material/undo:", type="tertiary",
            on_click=_back, args=(chosen, place),
        )  # fmt: skip
    return True


def latest(chosen: Dataset, place: str) -> Step | None:
    """The step that was made here, if undoing would take back that one."""
    history = mending.history(chosen)
    step = history.step(history.version)
    return step if step is not None and step.number == _steps(chosen).get(place) else None


def places(chosen: Dataset) -> tuple[str, ...]:
    """Where steps were made in this session, the earliest first."""
    return tuple(_steps(chosen))


def _back(chosen: Dataset, place: str) -> None:
    _steps(chosen).pop(place, None)
    try:
        mending.undo(chosen)
    except CoreError as error:
        st.session_state[_problem(place)] = error


def _steps(chosen: Dataset) -> dict[str, int]:
    """By place the version that its latest press made."""
    return st.session_state.setdefault(f"steps_{chosen.id}", {})


def _problem(place: str) -> str:
    return f"problem_{place}"
