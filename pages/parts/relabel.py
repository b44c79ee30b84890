"""Mending the label of a photo that a run was tested on, where its data set is still there."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b

import streamlit as st

from core.data import datasets, mending
from core.data.datasets import Dataset
from core.errors import CoreError
from core.inference.metrics import Answer, Results
from core.runs import RunDirectory
from core.words import say
from pages.parts import history, panels, state

KEY = "judge_mend"


@dataclass(frozen=True)
class Mendable:
    """A run's data set as it is now. ``labels`` has every photo's, None where nobody knows it any more."""

    dataset: Dataset
    classes: tuple[str, ...]
    labels: Mapping[str, str | None]
    aside: frozenset[str]


def find(run: RunDirectory, root: str, identifier: str | None = None) -> Mendable | None:
    """None where the data set is gone, isn't ready, or holds other photos than those below ``root``.

    ``identifier`` is that of the data set, where it isn't the run's own.
    """
    identifier = identifier or str(run.info().dataset.get("id") or "")
    if not identifier:
        return None
    try:
        dataset = datasets.open_dataset(state.workspace(), identifier)
        report = state.look_at(dataset).report
    except CoreError:
        return None
    if report is None or report.root != root:
        return None
    labels: dict[str, str | None] = {photo.path: photo.label or None for photo in (*report.photos, *report.aside)}
    labels |= {photo.path: None for photo in report.unlabelled}
    return Mendable(dataset, report.classes, labels, frozenset(photo.path for photo in report.aside))


def line(run: RunDirectory, results: Results, found: Mendable | None, *, later: bool) -> None:
    """What can be done here; once a label differs from what the run was scored by, what that means for the score."""
    if found is None:
        st.caption(say("judge.mend.gone"))
        return
    st.caption(say("judge.mend.how"))
    history.line(found.dataset, KEY)
    changed = sum(
        found.labels.get(answer.path, results.classes[answer.target]) != results.classes[answer.target]
        for answer in results.answers
    )
    if changed and later:
        st.info(say("later.labels_changed"), icon=":material/info:")
    elif changed:
        st.info(say("judge.mend.changed", n=changed), icon=":material/info:")
        st.page_link(
            st.session_state["pages"]["model"], label=say("judge.mend.repeat"), icon=":material/arrow_forward:",
            query_params={state.DATASET: found.dataset.id, state.RUN: run.id},
        )  # fmt: skip


def controls(found: Mendable, answer: Answer, was: str) -> None:
    """What the photo really shows, and the button that says so; ``was`` is its class in the run."""
    if answer.path not in found.labels:
        st.caption(say("judge.mend.missing"))
        return
    if answer.path in found.aside:
        st.caption(say("judge.mend.aside"))
        return
    now = found.labels[answer.path]
    if now != was:
        st.caption(panels.shown("judge.mend.now", label=now) if now else say("judge.mend.no_label"))
    name = blake2b(answer.path.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()
    # Its key holds the label of now: after a mend or an undo the box shows that, and not what was chosen before.
    place = found.classes.index(now) if now in found.classes else None
    key = f"{KEY}_{name}_{place}"
    chosen = st.selectbox(say("judge.mend.shows"), found.classes, index=place, key=key)
    st.button(
        say("judge.mend.button"), key=f"{KEY}_do_{name}", disabled=chosen in (None, now),
        on_click=_move, args=(found.dataset, answer.path, chosen),
    )  # fmt: skip


def _move(dataset: Dataset, path: str, label: str) -> None:
    history.do(KEY, lambda: mending.move(dataset, [path], label))
