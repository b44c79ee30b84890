"""Results: the score on photos the model never saw, how sure that score is, and where it goes wrong."""

from pathlib import Path

import streamlit as st

from core import runs
from core.inference.later import LaterTest
from core.inference.metrics import Results
from core.runs import RunDirectory
from core.words import say
from pages.parts import attention_choice, epochs, groups, imported, judged, later, panels, scores, state, trust


def main() -> None:
    st.title(say("results.title"), anchor=False)
    run = state.current_run()
    if run is None:
        if not runs.list_runs(state.workspace().runs):
            imported.button()
            imported.panel()
            panels.waiting_for("model", say("results.waits"))
        _all_runs(None)
        return
    state.choose_run(run.id)
    state.show_place(state.RUN)
    st.caption(panels.run_label(run, run.info()))
    for note in run.split().notes:
        if note.kind == "split_guessed":  # always told: the user didn't say so
            st.info(panels.shown(f"data.finding.{note.kind}", **note.values), icon=":material/info:")
    results = state.results_of(run)
    has_own = results is not None and results.total > 0
    if not has_own and not run.has_model:
        panels.waiting_for("train", say("results.not_ready"))
    test = later.choose(run, has_own=has_own)
    if test is not None:
        _tested_later(run, test)
    elif results is not None and has_own:
        _tested(run, results)
    else:
        st.info(say("results.no_test"), icon=":material/info:")
        panels.next_step("try_it", say("results.next"))
    later.panel(run)
    _all_runs(run)


def _all_runs(run: RunDirectory | None) -> None:
    """The others, and the way for one from elsewhere."""
    scores.all_runs(run)
    imported.button()
    imported.panel()


def _tested(run: RunDirectory, results: Results) -> None:
    """The score on the run's own test part."""
    divided = run.split()
    root = divided.root_of("test")
    if imported.is_imported(state.state_of(run)):
        st.info(say("imported.no_photos"), icon=":material/upload_file:")
    _score(run, results, root)
    if Path(root).is_dir():
        attention_choice.link()
    identifier = str(run.info().dataset.get("id") or "")
    found = groups.source(identifier, root) if identifier else None
    groups.panel(results, divided.test, divided.test_groups, found)
    _trust(results)


def _tested_later(run: RunDirectory, test: LaterTest) -> None:
    """The score on other photos."""
    results = later.score(run, test)
    if not results.total:
        return
    source = later.dataset_of(test.dataset)
    root = str(source.root) if source is not None else test.root
    _score(run, results, root, dataset=test.dataset)
    groups.panel(results, test.samples, test.groups, groups.source(test.dataset, root))
    _trust(results)


def _score(run: RunDirectory, results: Results, root: str, *, dataset: str | None = None) -> None:
    scores.headline(results)
    panels.next_step("try_it", say("results.next"))
    judged.confusion(run, results, root, dataset=dataset)
    epochs.link(run)
    scores.per_class(results)
    if Path(root).is_dir():
        judged.surest(results, root)


def _trust(results: Results) -> None:
    trust.threshold(results)
    trust.calibration(results)


main()
