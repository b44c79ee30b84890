"""A model's score shown: in words with its uncertainty, as a matrix, by class, and by its worst mistakes."""

import hashlib
from pathlib import Path

import streamlit as st

from core import runs
from core.inference.metrics import Answer, Results
from core.runs import RunDirectory, RunInfo
from core.words import say
from pages.parts import charts, panels, state
from pages.parts.cards import stat_row
from pages.parts.plot import plot

WORST = 12


def headline(results: Results) -> None:
    """``38 of 40 right: between 83 % and 99 % on new photos like these.``"""
    low, high = results.interval
    stat_row([(say("results.accuracy"), panels.percent(results.accuracy), say("results.accuracy_help"))])
    st.markdown(
        say(
            "results.in_words",
            correct=results.correct,
            n=results.total,
            low=panels.percent(low),
            high=panels.percent(high),
        )
    )


def confusion(results: Results) -> None:
    st.subheader(say("results.confusion"), anchor=False)
    st.markdown(say("results.confusion_how"))
    matrix = results.confusion()
    plot(
        charts.confusion(matrix, results.classes),
        key="confusion",
        alt=charts.confusion_alt(matrix, results.classes),
        height=min(900, 220 + 34 * len(results.classes)),
    )


def per_class(results: Results) -> None:
    st.subheader(say("results.per_class"), anchor=False)
    rows = [
        {
            say("results.class"): score.label,
            say("results.photos"): score.photos,
            say("results.recall"): _share(score.recall),
            say("results.interval"): f"{panels.percent(score.interval[0])} – {panels.percent(score.interval[1])}",
            say("results.precision"): _share(score.precision),
            say("results.f1"): _share(score.f1),
        }
        for score in results.class_scores()
    ]
    st.dataframe(rows, hide_index=True, key="per_class")
    st.caption(say("results.per_class_how"))


def worst(results: Results, root: str) -> None:
    """The mistakes it was surest of, with their photos."""
    st.subheader(say("results.worst"), anchor=False)
    mistakes = results.worst(WORST)
    if not mistakes:
        st.markdown(say("results.no_mistakes"))
        return
    st.markdown(say("results.worst_how"))
    captions = [_caption(results, answer) for answer in mistakes]
    keys = [(answer.path, _key(root, answer)) for answer in mistakes]
    panels.photo_grid(root, keys, [panels.plain(text) for text in captions], captions)


def all_runs(now: RunDirectory | None) -> None:
    """Every run with its settings and score; choosing a row opens it."""
    listed = runs.list_runs(state.workspace().runs)
    if not listed:
        return
    st.subheader(say("results.all_runs"), anchor=False)
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
        say("results.run"): ("● " if now and run.id == now.id else "") + info.title,
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


def _caption(results: Results, answer: Answer) -> str:
    return say(
        "results.mistake",
        true=results.classes[answer.target],
        predicted=results.classes[answer.predicted],
        confidence=panels.percent(answer.confidence),
    )


def _key(root: str, answer: Answer) -> str:
    """A thumbnail's cache key where the photo's own hash isn't stored: its path and time of change."""
    path = Path(root) / answer.path
    changed = path.stat().st_mtime_ns if path.exists() else 0
    return hashlib.sha256(f"{path} {changed}".encode()).hexdigest()
