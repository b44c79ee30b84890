"""Train: the run as it happens. Everything shown is read from the run's directory, so any tab shows the same."""

import time

import streamlit as st

from core import runs
from core.errors import CoreError
from core.runs import RunDirectory, RunState
from core.words import say
from pages.parts import epochs, imported, live, panels, state

QUICK_SECONDS = 4.0  # a head on kept features is there within the first of them


def main() -> None:
    run = state.current_run()
    if run is None:
        st.title(say("train.title"), anchor=False)
        panels.waiting_for("model", say("train.waits"))
        return
    state.choose_run(run.id)
    state.show_place(state.RUN)
    st.title(panels.plain(run.info().title), anchor=False)
    if state.state_of(run).open:
        _watch(run)
    else:
        _over(run, state.state_of(run))


def _watch(run: RunDirectory) -> None:
    """The live part: looked at four times a second at first, then once, only as long as the run is open."""
    young = _is_young(run)

    @st.fragment(run_every=0.25 if young else 1.0)
    def panel() -> None:
        known = state.state_of(run)
        live.status(known)
        live.facts(known)
        if _stop_button(run):
            runs.stop(run)
            st.toast(say("train.stopping"))
        live.curves(known, run.info().config.loss)
        epochs.live(run, known)
        if not known.open or young != _is_young(run):
            st.rerun()

    panel()


def _is_young(run: RunDirectory) -> bool:
    return time.time() - max(run.info().created, run.asked_to_resume_at) < QUICK_SECONDS


def _over(run: RunDirectory, known: RunState) -> None:
    """What ended it, and what to do now: see the results, go on, or read what went wrong."""
    if imported.is_imported(known):
        st.info(say("imported.no_curve"), icon=":material/upload_file:")
        panels.next_step("results", say("train.next"))
        return
    live.status(known)
    live.problems(run, known)
    with st.container(horizontal=True, key="after"):
        if run.has_model and known.status != "lost":
            panels.next_step("results", say("train.next"))
        if known.status != "finished" and st.button(say("train.resume"), key="resume", icon=":material/play_arrow:"):
            _resume(run)
    live.facts(known)
    live.curves(known, run.info().config.loss)
    epochs.over(run, known)
    live.record(run, known)


def _stop_button(run: RunDirectory) -> bool:
    asked = run.stop_flag.exists()
    return st.button(
        say("train.stopping" if asked else "train.stop"), key="stop", icon=":material/stop:", disabled=asked
    )


def _resume(run: RunDirectory) -> None:
    try:
        runs.resume(run)
    except CoreError as error:
        panels.error_box(error)
        return
    st.rerun()


main()
