"""Look inside: where the network looked in a photo, what it takes it to be like, and the map of all photos."""

from pathlib import Path

import streamlit as st

from core.inference.metrics import Results
from core.runs import RunDirectory
from core.words import say
from pages.parts import attention, attention_choice, feature_map, panels, state


def main() -> None:
    st.title(say("why.title"), anchor=False)
    run = state.current_run()
    if run is None:
        panels.waiting_for("model", say("why.waits"))
        return
    state.choose_run(run.id)
    state.show_place(state.RUN)
    st.caption(panels.run_label(run, run.info()))
    if not run.has_model:
        panels.waiting_for("train", say("results.not_ready"))
        return
    results = state.results_of(run)
    if _way("why_way", "why.way", ("one", "all")) == "all":
        state.leave_upload("try")
        feature_map.panel(run, results)
    else:
        _one(run, results)


def _way(key: str, label: str, ways: tuple[str, str]) -> str:
    """One of two; only what is chosen is computed."""
    words = {way: say(f"why.{way}") for way in ways}
    st.session_state.setdefault(key, ways[0])
    return st.segmented_control(say(label), ways, format_func=words.get, key=key, required=True) or ways[0]


def _one(run: RunDirectory, results: Results | None) -> None:
    root = run.split().root_of("test")
    st.session_state.setdefault("why_from", "own" if state.has_upload("try") else "test")
    chosen = None
    if results is None or not results.total:
        st.info(say("why.no_test"), icon=":material/info:")
        chosen = attention_choice.of_mine(run)
    elif not Path(root).is_dir():  # deleted since, or the model was trained elsewhere
        st.info(say("why.not_here"), icon=":material/info:")
        chosen = attention_choice.of_mine(run)
    elif _way("why_from", "why.from", ("test", "own")) == "own":
        chosen = attention_choice.of_mine(run)
        if chosen is None:
            st.info(say("why.bring"), icon=":material/info:")
    else:
        state.leave_upload("try")
        chosen = attention_choice.of_test(run, results, root)
        if chosen is None:
            st.info(say("why.none"), icon=":material/info:")
    if chosen is not None:
        attention.show(run, chosen)


main()
