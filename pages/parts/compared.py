"""Runs side by side: which were chosen, curves, scores, whether those differ by chance, and what differs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import streamlit as st

from core.errors import CoreError
from core.inference.compare import NotComparable, Pairing, Scored, differing, pair
from core.runs import RunDirectory, RunInfo, RunState, notes
from core.runs.notes import Note
from core.words import say
from pages.parts import charts, panels, state
from pages.parts.charts.compared import RunCurve, together, together_alt
from pages.parts.live import LONGEST_CURVE
from pages.parts.plot import plot
from pages.parts.values import spoken_value

LETTERS = "ABCD"
MEASURES = ("loss", "label_smoothing", "focal_gamma")  # settings that change what the loss means


@dataclass(frozen=True)
class Side:
    """One of the runs that stand beside each other; the page calls it by its letter."""

    letter: str
    run: RunDirectory
    info: RunInfo
    note: Note

    @property
    def name(self) -> str:
        return notes.title(self.info, self.note)


def sides(listed: Sequence[tuple[RunDirectory, RunInfo, Note]], wanted: Sequence[str]) -> tuple[tuple[Side, ...], int]:
    """The wanted runs that are there, in the order they were wanted, and how many aren't."""
    known = {run.id: (run, info, note) for run, info, note in listed}
    found = [identifier for identifier in wanted if identifier in known]
    chosen = zip(LETTERS, found, strict=False)
    return tuple(Side(letter, *known[identifier]) for letter, identifier in chosen), len(wanted) - len(found)


def curves(runs: Sequence[Side], known: Sequence[RunState]) -> None:
    """Validation accuracy or loss of all of them on one chart."""
    st.subheader(say("compare.chart.heading"), anchor=False)
    drawn = [
        RunCurve(side.letter, side.name, charts.thinned(one.epochs, LONGEST_CURVE))
        for side, one in zip(runs, known, strict=True)
    ]
    if not any(point.val_loss is not None for one in drawn for point in one.points):
        st.markdown(say("compare.chart.nothing"))
        return
    words = {"accuracy": say("compare.chart.accuracy_short"), "loss": say("compare.chart.loss_short")}
    picked = st.segmented_control(
        say("compare.chart.metric"), list(words), default="accuracy", key="compare_metric", required=True,
        format_func=lambda one: words[one], label_visibility="collapsed",
    )  # fmt: skip
    metric: Literal["loss", "accuracy"] = "loss" if picked == "loss" else "accuracy"
    plot(together(drawn, metric), key="compare_curves", alt=together_alt(drawn, metric), height=340)
    st.caption(say("compare.chart.how"))
    configs = [side.info.config for side in runs]
    if metric == "loss" and any(one.name in MEASURES for one in differing(configs)):
        st.info(say("compare.chart.other_losses"), icon=":material/info:")
    if len({_validation(str(side.run.path)) for side in runs}) > 1:
        st.info(say("compare.chart.other_photos"), icon=":material/info:")


def scores(runs: Sequence[Side], known: Sequence[RunState]) -> None:
    """What each came to, and at what price."""
    st.subheader(say("compare.scores.heading"), anchor=False)
    rows = [_row(side, one) for side, one in zip(runs, known, strict=True)]
    st.dataframe(rows, hide_index=True, key="compare_scores")
    st.caption(say("compare.scores.how"))


def chance(runs: Sequence[Side]) -> None:
    """For each two neighbours, whether the one is better by more than chance."""
    st.subheader(say("compare.chance.heading"), anchor=False)
    for first, second in pairwise(runs):
        try:
            told = _pair(str(first.run.path), str(second.run.path), (_tested_at(first.run), _tested_at(second.run)))
        except CoreError as error:  # a run that has lost a file
            panels.error_box(error)
            continue
        st.markdown(in_words(first.letter, second.letter, told))
    st.caption(say("compare.chance.how"))


def in_words(first: str, second: str, told: Pairing | NotComparable) -> str:
    """``A`` and ``B`` beside each other in one or two sentences of Markdown."""
    names = {"first": first, "second": second}
    if isinstance(told, NotComparable):
        return say(f"compare.chance.{told.reason}", **names, n=told.shared)
    if not told.first_only + told.second_only:
        return say("compare.chance.none", **names, n=told.total)
    counts = {"first_only": told.first_only, "second_only": told.second_only, "n": told.total}
    rare = told.p_value < 0.001
    verdict = say(
        f"compare.chance.{'is_more' if told.more_than_chance else 'may_be'}",
        share=say("compare.chance.rarely") if rare else f"{100 * told.p_value:.3g}\u00a0%",
        p="< 0.001" if rare else f"= {told.p_value:.3g}",
    )
    return f"{say('compare.chance.discordant', **names, **counts)} {verdict}"


def settings(runs: Sequence[Side], names: Mapping[str, str]) -> None:
    """A table of what isn't the same, the photos included; ``names`` of all runs by id, for one may start from any."""
    st.subheader(say("compare.settings.heading"), anchor=False)
    rows = [] if len({side.info.fingerprint for side in runs}) == 1 else [_photos(runs)]
    configs = [side.info.config for side in runs]
    for difference in differing(configs):
        values = [spoken_value(difference.name, config, names) for config in configs]
        if len(set(values)) > 1:
            label = {say("compare.settings.setting"): say(f"settings.{difference.name}.label")}
            rows.append(label | {side.letter: value for side, value in zip(runs, values, strict=True)})
    if not rows:
        st.markdown(say("compare.settings.same"))
        return
    st.dataframe(rows, hide_index=True, key="compare_settings")
    st.caption(say("compare.settings.how"))


def _photos(runs: Sequence[Side]) -> dict[str, str]:
    """The fingerprint as well as the name: the same set may have been mended."""
    row = {say("compare.settings.setting"): say("compare.settings.photos")}
    for side in runs:
        name = str(side.info.dataset.get("name", side.info.title))
        row[side.letter] = say("compare.settings.set", name=name, version=side.info.fingerprint[:8])
    return row


def _row(side: Side, known: RunState) -> dict[str, str]:
    results, best, unknown = state.results_of(side.run), known.best, "–"
    scored = results is not None and results.total > 0
    row = {say("compare.scores.run"): f"{side.letter} · {side.name}"}
    row[say("compare.scores.score")] = row[say("compare.scores.interval")] = unknown
    if results is not None and scored:
        low, high = (panels.percent(share) for share in results.interval)
        share = panels.percent(results.accuracy)
        row[say("compare.scores.score")] = say(
            "compare.scores.counted", share=share, correct=results.correct, n=results.total
        )
        row[say("compare.scores.interval")] = say("compare.scores.between", low=low, high=high)
    on_validation = panels.percent(best.val_accuracy) if best and best.val_accuracy is not None else unknown
    return row | {
        say("compare.scores.best"): on_validation,
        say("compare.scores.took"): panels.duration(known.seconds) if known.seconds else unknown,
        say("compare.scores.size"): _size(side.run),
        say("compare.scores.state"): say(f"results.state.{known.status}"),
    }


def _size(run: RunDirectory) -> str:
    try:
        return say("compare.scores.megabytes", size=f"{run.model.stat().st_size / 1e6:.1f}")
    except FileNotFoundError:
        return "–"


def _tested_at(run: RunDirectory) -> float:
    return run.metrics.stat().st_mtime if run.metrics.exists() else 0.0


@st.cache_data(max_entries=64, show_spinner=False)
def _pair(first: str, second: str, tested: tuple[float, float]) -> Pairing | NotComparable:
    del tested  # part of the cache's key: a resumed run is scored again
    ours, theirs = (RunDirectory(Path(path)) for path in (first, second))
    return pair(Scored(ours.split(), state.results_of(ours)), Scored(theirs.split(), state.results_of(theirs)))


@st.cache_data(max_entries=64, show_spinner=False)
def _validation(path: str) -> int:
    """Stands for the validation photos of a run, which never change."""
    try:
        return hash(frozenset(sample.sha256 for sample in RunDirectory(Path(path)).split().val))
    except CoreError:
        return 0  # it has lost its list of photos
