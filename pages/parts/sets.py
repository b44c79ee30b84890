"""A data set as a thing of its own: its name, its siblings, adding to it, and taking it away."""

import streamlit as st

from core.data import datasets
from core.data.datasets import Dataset, DatasetState
from core.errors import CoreError
from core.words import say
from pages.parts import delete, panels, state, ways_in

LISTED = 8  # other data sets in the menu, the newest first


def title(chosen: Dataset) -> None:
    """The name, and beside it what can be done with the data set as a whole."""
    with st.container(horizontal=True, vertical_alignment="center", key="set_title"):
        st.title(panels.plain(chosen.name), anchor=False, width="content")
        with st.popover(say("photos.this_set"), icon=":material/more_horiz:", type="tertiary", key="this_set"):
            _menu(chosen)


def add_button(chosen: Dataset) -> None:
    """More photos for this data set. A folder on the server is looked at again instead."""
    if chosen.kind == "server":
        if st.button(say("photos.look_again"), key="look_again", icon=":material/refresh:"):
            datasets.start_scan(chosen)
            st.rerun()
        return
    icon = ":material/add_photo_alternate:"
    st.button(say("photos.add"), key="add_photos", icon=icon, on_click=_adding, args=(chosen, True))


def is_adding(chosen: Dataset) -> bool:
    """Whether somebody is about to bring more photos into this data set."""
    return st.session_state.get(f"adding_{chosen.id}", False)


def adding(chosen: Dataset) -> None:
    """The ways in, for this data set, and the way back."""
    st.markdown(say("photos.adding", n=chosen.summary.photos if chosen.summary else 0))
    ways_in.show(into=chosen)
    st.button(say("photos.back"), key="add_back", icon=":material/arrow_back:", on_click=_adding, args=(chosen, False))


def stop_adding(chosen: Dataset) -> None:
    """The photos have come: what follows is the page as it was."""
    _adding(chosen, False)


def _adding(chosen: Dataset, now: bool) -> None:
    st.session_state[f"adding_{chosen.id}"] = now


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


# Until there is something to show


@st.fragment(run_every=0.5)
def scanning(chosen: Dataset) -> None:
    """How far the look at the photos is; the page is drawn again when it is over."""
    stop_adding(chosen)
    known = state.look_at(chosen)
    if known.status not in ("waiting", "scanning"):
        st.rerun()
    share = known.done / known.total if known.total else 0.0
    text = say(f"photos.phase.{known.phase or 'waiting'}", done=known.done, total=known.total)
    st.progress(min(1.0, share), text=text)


def failed(chosen: Dataset, known: DatasetState) -> None:
    """Why there is nothing to show, and once more."""
    if known.error is not None:
        panels.error_box(known.error)
    else:
        st.error(say("photos.lost"), icon=":material/error:")
    if st.button(say("photos.again"), type="primary", key="scan_again", icon=":material/refresh:"):
        datasets.start_scan(chosen)
        st.rerun()
