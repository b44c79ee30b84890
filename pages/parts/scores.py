"""A model's score shown: in words with its uncertainty, and by class; and every run with its score."""

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from core import runs
from core.inference.intervals import Estimate, Interval, Macro, macro
from core.inference.metrics import Results
from core.runs import RunDirectory, RunInfo, notes
from core.words import say
from pages.parts import panels, state
from pages.parts.cards import stat_row


def headline(results: Results) -> None:
    """``38 of 40 right: between 83 % and 99 % on new photos like these.``"""
    average = _macro(np.asarray(results.confusion()))
    stats = [(say("results.accuracy"), panels.percent(results.accuracy), say("results.accuracy_help"))]
    if average is not None:
        for name, estimate in (("balanced", average.balanced_accuracy), ("f1", average.f1)):
            stats.append((say(f"judge.{name}.label"), panels.percent(estimate.value), say(f"judge.{name}.help")))
    stat_row(stats)
    in_words(results)
    if average is not None:
        st.markdown(
            say(
                "judge.each_class_alike",
                balanced=_told(average.balanced_accuracy),
                precision=_told(average.precision),
                f1=_told(average.f1),
            )
        )
    if results.refused is not None:
        share = panels.percent(results.refused / max(1, results.total))
        st.markdown(say("known.refused", n=results.refused, total=results.total, share=share))


def in_words(results: Results) -> None:
    low, high = _ends(results.interval)
    st.markdown(say("judge.in_words", correct=results.correct, n=results.total, low=low, high=high))


@st.cache_data(max_entries=16, show_spinner=False)
def _macro(confusion: NDArray[np.int64]) -> Macro | None:
    return macro(confusion.tolist())


def _told(estimate: Estimate) -> str:
    low, high = _ends(estimate.interval)
    return say("judge.estimate", value=panels.percent(estimate.value), low=low, high=high)


def per_class(results: Results) -> None:
    st.subheader(say("results.per_class"), anchor=False)
    average = _macro(np.asarray(results.confusion()))
    f1s = average.class_f1 if average is not None else (None,) * len(results.classes)
    rows = [
        {
            say("results.class"): score.label,
            say("results.photos"): score.photos,
            say("results.recall"): _share(score.recall),
            say("results.interval"): _between(score.interval if score.photos else None),
            say("results.precision"): _share(score.precision),
            say("judge.precision_interval"): _between(score.precision_interval if score.called else None),
            say("results.f1"): _share(score.f1),
            say("judge.f1_interval"): _between(f1.interval if f1 else None),
        }
        for score, f1 in zip(results.class_scores(), f1s, strict=True)
    ]
    st.dataframe(rows, hide_index=True, key="per_class")
    st.caption(say("judge.per_class_how"))


def all_runs(now: RunDirectory | None) -> None:
    """Every run with its settings and score; choosing a row opens it."""
    listed = runs.list_runs(state.workspace().runs)
    if not listed:
        return
    st.subheader(say("results.all_runs"), anchor=False)
    if len(listed) > 1:
        st.page_link(
            st.session_state["pages"]["compare"], label=say("frame.compare"), icon=":material/compare_arrows:",
            query_params=state.place(),
        )  # fmt: skip
    rows = [_row(run, info, now) for run, info in listed]
    event = st.dataframe(rows, hide_index=True, key="all_runs", on_select="rerun", selection_mode="single-row")
    st.caption(say("results.all_runs_how"))
    chosen = event["selection"]["rows"]
    if chosen and (now is None or listed[chosen[0]][0].id != now.id):
        state.choose_run(listed[chosen[0]][0].id)
        del st.session_state["all_runs"]
        st.switch_page(st.session_state["pages"]["results"], query_params=state.place())


def _row(run: RunDirectory, info: RunInfo, now: RunDirectory | None) -> dict[str, object]:
    known = state.state_of(run)
    score = known.evaluated
    return {
        say("results.run"): ("● " if now and run.id == now.id else "") + notes.title(info, notes.read(run)),
        say("results.when"): panels.moment(info.created),
        say("results.score"): f"{panels.percent(score.accuracy)} ({score.correct}/{score.total})" if score else "–",
        say("results.status"): say(f"results.state.{known.status}"),
        say("settings.preset.label"): say(f"model.preset.{info.config.preset}"),
        say("settings.backbone.label"): info.config.backbone,
        say("settings.freeze_depth.label"): str(info.config.freeze_depth),
        say("settings.epochs.label"): info.config.epochs,
        say("settings.seed.label"): info.config.seed,
    }


def _share(value: float | None) -> str:
    return "–" if value is None else panels.percent(value)


def _ends(interval: Interval) -> tuple[str, str]:
    return panels.percent(interval[0]), panels.percent(interval[1])


def _between(interval: Interval | None) -> str:
    return "–" if interval is None else " – ".join(_ends(interval))
