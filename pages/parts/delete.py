"""Deleting a data set: the one thing on the Photos page that can't be undone. It says first what goes and stays."""

import streamlit as st

from core.data.datasets import Dataset
from core.data.deleting import delete, size_bytes
from core.errors import CoreError
from core.runs.uses import at_work, dependants
from core.words import say
from pages.parts import panels, state

TOLD, PROBLEM = "deleted_set", "deleting_failed"
NAMED_RUNS = 12


def button(dataset: Dataset) -> None:
    """The way to the question; nothing is deleted by it."""
    if st.button(say("mend.delete.open"), key="delete_set", icon=":material/delete:", type="tertiary"):
        st.dialog(say("mend.delete.title"))(_ask)(dataset)


def told() -> None:
    """Once, where the photos would be: that they are deleted."""
    name = st.session_state.pop(TOLD, None)
    if name is not None:
        st.success(panels.shown("mend.delete.done", name=name), icon=":material/check:")


def _ask(dataset: Dataset) -> None:
    if not dataset.folder.exists():
        st.rerun()  # it has just been deleted: the page has something else to show
    workspace = state.workspace()
    report = state.look_at(dataset).report
    photos = len((*report.photos, *report.unlabelled, *report.aside)) if report is not None else 0
    megabytes = size_bytes(dataset) / 1e6
    words = "elsewhere" if dataset.kind == "server" else "holds"
    size = f"{megabytes:,.0f}" if megabytes >= 10 else f"{megabytes:.1f}"
    st.markdown(panels.shown(f"mend.delete.{words}", name=dataset.name, n=photos, size=size))
    _runs(dataset)
    busy = at_work(workspace.runs, dataset)
    if busy:
        st.warning(panels.shown("mend.delete.busy", name=busy[0].title), icon=":material/warning:")
    problem = st.session_state.pop(PROBLEM, None)
    if isinstance(problem, CoreError):
        panels.error_box(problem)
    with st.container(horizontal=True):
        st.button(
            say("mend.delete.sure"), key="delete_sure", type="primary", disabled=bool(busy),
            on_click=_delete, args=(dataset,),
        )  # fmt: skip
        if st.button(say("mend.delete.keep"), key="delete_keep"):
            st.rerun()


def _delete(dataset: Dataset) -> None:
    """A callback, so that nothing breaks it off."""
    workspace = state.workspace()
    if at_work(workspace.runs, dataset):  # begun since the question was asked: it will be told
        return
    try:
        delete(workspace, dataset)
    except CoreError as error:
        st.session_state[PROBLEM] = error
        return
    st.session_state[TOLD] = dataset.name
    state.choose_dataset(None)


def _runs(dataset: Dataset) -> None:
    """What depends on it, by name, and what becomes of that."""
    used = dependants(state.workspace().runs, dataset)
    if not used:
        st.markdown(say("mend.delete.no_runs"))
        return
    st.markdown(say("mend.delete.runs", n=len(used)))
    lines = [f"- {panels.run_label(run, info)}" for run, info in used[:NAMED_RUNS]]
    if len(used) > NAMED_RUNS:
        lines.append(f"- {say('mend.delete.more_runs', n=len(used) - NAMED_RUNS)}")
    st.markdown("\n".join(lines))
