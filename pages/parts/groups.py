"""Where a model does worse: its score by groups of test photos that are known anyway, the worst first."""

import math
from collections.abc import Sequence

import streamlit as st

from core.data import datasets
from core.data.datasets import Dataset
from core.data.report import DatasetReport, Sample
from core.data.store import columns_of, facts_of
from core.errors import CoreError
from core.inference.groups import FEWEST, MEASURED, Grouping, GroupScore, Worse, groupings, scores, worse
from core.inference.metrics import Results
from core.words import say
from pages.parts import panels, state

Source = tuple[Dataset, DatasetReport]


def source(identifier: str, root: str) -> Source | None:
    """The data set of this id as it stands now; None where it is gone, isn't ready, or lies elsewhere than ``root``."""
    try:
        dataset = datasets.open_dataset(state.workspace(), identifier)
        report = state.look_at(dataset).report
    except CoreError:
        return None
    return (dataset, report) if report is not None and report.root == root else None


def panel(
    results: Results,
    samples: Sequence[Sample],
    rule: Sequence[tuple[str, str]],
    known: Source | None,
) -> None:
    """Nothing where no groups are known. ``known`` is the data set that the photos are from, if it is still there."""
    chosen, report = known or (None, None)
    found = groupings(
        samples,
        rule=dict(rule),
        report=report,
        facts=facts_of(chosen) if chosen else None,
        columns=columns_of(chosen) if chosen else None,
    )
    if not found:
        return
    st.subheader(say("groups.title"), anchor=False)
    st.markdown(say("groups.how", n=results.total))
    compared, clearly = worse(results.answers, found)
    _in_words(compared, clearly)
    labels = [_kind(grouping) for grouping in found]
    first = found.index(clearly[0].grouping) if clearly else 0
    place = st.selectbox(
        say("groups.by"), range(len(found)), index=first, format_func=labels.__getitem__, key="groups_by"
    )
    grouping = found[place if place in range(len(found)) else 0]
    rows = [_row(grouping, score) for score in scores(results.answers, grouping)]
    if all(not row[say("groups.note")] for row in rows):
        rows = [{name: value for name, value in row.items() if name != say("groups.note")} for row in rows]
    st.dataframe(rows, hide_index=True, key="groups_table")
    st.caption(say("groups.caution"))


def _in_words(compared: int, clearly: Sequence[Worse]) -> None:
    if not compared:
        return
    if not clearly:
        st.markdown(say("groups.none_worse", n=compared, fewest=FEWEST))
        return
    told: list[str] = []
    for one in clearly:
        score = one.score
        low, high = map(panels.percent, score.interval)
        rest_low, rest_high = map(panels.percent, score.rest_interval)
        told.append(
            panels.shown(
                "groups.worse", group=_name(one.grouping, score), right=score.right, n=score.photos, low=low, high=high,
                rest_right=score.rest_right, rest=score.rest_photos, rest_low=rest_low, rest_high=rest_high,
            )
        )  # fmt: skip
    st.markdown("\n".join(f"- {text}" for text in told))
    st.caption(say("groups.guarded", n=compared))


def _kind(grouping: Grouping) -> str:
    return say(f"groups.kind.{grouping.kind}", column=grouping.column)


def _name(grouping: Grouping, score: GroupScore) -> str:
    """The group as a part of a sentence."""
    if grouping.kind not in MEASURED:
        return say(f"groups.in.{grouping.kind}", group=score.name, column=grouping.column)
    return say(f"groups.{grouping.kind}.{score.name}", **_limits(grouping))


def _limits(grouping: Grouping) -> dict[str, str]:
    low, high = grouping.limits or (0.0, 0.0)
    return {"low": _measure(grouping, low), "high": _measure(grouping, high)}


def _measure(grouping: Grouping, limit: float) -> str:
    """Light as a share of white, size in megapixels to two digits."""
    if grouping.kind == "light":
        return panels.percent(limit)
    if grouping.kind == "size":
        megapixels = limit / 1e6
        return f"{megapixels:.{max(0, 1 - math.floor(math.log10(megapixels)))}f}" if megapixels else "0"
    return ""


def _row(grouping: Grouping, score: GroupScore) -> dict[str, object]:
    low, high = map(panels.percent, score.interval)
    name = score.name
    if grouping.kind in MEASURED:
        name = say(f"groups.row.{grouping.kind}.{score.name}", **_limits(grouping))
    return {
        say("groups.group"): name,
        say("groups.right"): f"{panels.percent(score.share)} ({score.right}/{score.photos})",
        say("groups.interval"): f"{low} – {high}",
        say("groups.photos"): score.photos,
        say("groups.note"): "" if score.compared else say("groups.too_few"),
    }
