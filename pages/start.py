"""Start: what Graft does, what it runs on, and the way back to earlier work."""

import streamlit as st

from core import runs
from core.data import datasets
from core.machine import machine
from core.words import say
from pages.parts import imported, panels, state

RECENT = 4


def main() -> None:
    words, picture = st.columns([3, 1], vertical_alignment="center")
    with words:
        st.title(say("start.title"), anchor=False)
        st.markdown(say("start.what"))
        _actions()
    with picture:
        st.image(str(state.ASSETS / "sprout.svg"), width=190, alt="")  # it only decorates
    imported.panel()
    _device()
    _recent()


def _actions() -> None:
    pages = st.session_state["pages"]
    with st.container(horizontal=True, key="start_actions"):
        if st.button(say("start.bring"), type="primary", icon=":material/add_photo_alternate:", key="bring"):
            state.choose_dataset(None)
            state.choose_run(None)
            st.switch_page(pages["photos"])
        if st.button(say("start.demo"), icon=":material/eco:", key="demo", help=say("start.demo_help")):
            chosen = datasets.make_demo(state.workspace())
            state.choose_dataset(chosen.id)
            state.choose_run(None)
            st.switch_page(pages["photos"], query_params={state.DATASET: chosen.id})
        imported.button()


def _device() -> None:
    known = machine()
    if known.gpu:
        text = say("start.gpu", name=known.gpu)
        st.info(text, icon=":material/bolt:")
    else:
        st.info(say("start.processor", name=known.processor, n=known.cores), icon=":material/memory:")


def _recent() -> None:
    workspace = state.workspace()
    sets = datasets.list_datasets(workspace)[:RECENT]
    listed = runs.list_runs(workspace.runs)[:RECENT]
    if not sets and not listed:
        return
    left, right = st.columns(2, gap="large")
    pages = st.session_state["pages"]
    with left:
        st.subheader(say("start.recent_sets"), anchor=False)
        if not sets:
            st.caption(say("start.no_sets"))
        for one in sets:
            label = panels.plain(one.name)
            st.page_link(
                pages["photos"], label=label, icon=":material/photo_library:", query_params={state.DATASET: one.id}
            )
    with right:
        st.subheader(say("start.recent_runs"), anchor=False)
        if not listed:
            st.caption(say("start.no_runs"))
        for run, info in listed:
            label = panels.run_label(run, info)
            st.page_link(pages["train"], label=label, icon=":material/show_chart:", query_params={state.RUN: run.id})
        if len(listed) > 1:
            st.page_link(pages["compare"], label=say("compare.open_start"), icon=":material/compare_arrows:")


main()
