"""Deleting a data set: the one thing on the Photos page that can't be undone, so it says first what goes and what stays."""

import streamlit as st

from core.data.datasets import Dataset
from core.data.deleting import delete, size_bytes
from core.errors import CoreError
from core.runs.uses import at_work, dependants
from core.words import say
from pages.parts import panels, state

TOLD = "deleted_set"
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
    with st.container(horizontal=True):
        sure = st.button(say("mend.delete.sure"), key="delete_sure", type="primary", disabled=bool(busy))
        if st.button(say("mend.delete.keep"), key="delete_keep"):
            st.rerun()
    if sure:
        try:
            delete(workspace, dataset)
        except CoreError as error:
            panels.error_box(error)
            return
        st.session_state[TOLD] = dataset.name
        state.choose_dataset(None)
        st.rerun()


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
