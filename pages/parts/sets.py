"""A data set as a thing of its own: its name, its siblings, adding to it, and taking it away."""

import streamlit as st

from core.data import datasets
from core.data.datasets import Dataset
from core.errors import CoreError
from core.words import say
from pages.parts import delete, panels, state

LISTED = 8  # other data sets in the menu, the newest first


def title(chosen: Dataset) -> None:
    """The name, and beside it what can be done with the data set as a whole."""
    with st.container(horizontal=True, vertical_alignment="center", key="set_title"):
        st.title(panels.plain(chosen.name), anchor=False, width="content")
        with st.popover(say("photos.this_set"), icon=":material/more_horiz:", type="tertiary", key="this_set"):
            _menu(chosen)


def _menu(chosen: Dataset) -> None:
    with st.form("rename", border=False):
        name = st.text_input(say("photos.name"), chosen.name, key=f"name_{chosen.id}")
        if st.form_submit_button(say("photos.rename"), key="rename_set"):
            _rename(chosen, name)
    others = [one for one in datasets.list_datasets(state.workspace()) if one.id != chosen.id][:LISTED]
    if others:
        st.caption(say("photos.other_sets"))
    for one in others:
        st.page_link(
            st.session_state["pages"]["photos"], label=panels.plain(one.name), icon=":material/photo_library:",
            query_params={state.DATASET: one.id},
        )  # fmt: skip
    if st.button(say("photos.others"), key="others", icon=":material/add_photo_alternate:"):
        state.choose_dataset(None)
        state.choose_run(None)
        st.rerun()
    delete.button(chosen)


def _rename(chosen: Dataset, name: str) -> None:
    try:
        datasets.rename(chosen, name)
    except CoreError as error:
        panels.error_box(error)
        return
    st.rerun()
