"""Results: the score on photos the model never saw, how sure that score is, and where it goes wrong."""

import streamlit as st

from core import runs
from core.inference.metrics import Results
from core.runs import RunDirectory
from core.words import say
from pages.parts import judged, panels, scores, state, trust


def main() -> None:
    st.title(say("results.title"), anchor=False)
    run = state.current_run()
    if run is None:
        if not runs.list_runs(state.workspace().runs):
            panels.waiting_for("model", say("results.waits"))
        scores.all_runs(None)
        return
    state.choose_run(run.id)
    state.show_place(state.RUN)
    st.caption(panels.run_label(run, run.info()))
    for note in run.split().notes:
        if note.kind == "split_guessed":  # always told: the user didn't say so
            st.info(panels.shown(f"data.finding.{note.kind}", **note.values), icon=":material/info:")
    results = state.results_of(run)
    if results is not None and results.total:
        _show(run, results, run.split().root_of("test"))
    elif run.has_model:
        st.info(say("results.no_test"), icon=":material/info:")
        panels.next_step("try_it", say("results.next"))
    else:
        panels.waiting_for("train", say("results.not_ready"))
    scores.all_runs(run)


def _show(run: RunDirectory, results: Results, root: str) -> None:
    scores.headline(results)
    panels.next_step("try_it", say("results.next"))
    judged.confusion(run, results, root)
    scores.per_class(results)
    judged.surest(results, root)
    trust.threshold(results)
    trust.calibration(results)


main()
