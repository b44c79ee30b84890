"""Which photo to look into: a test photo, mistakes first, or one of one's own."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from core.data import intake
from core.inference.metrics import Answer, Results
from core.runs import RunDirectory
from core.words import say
from pages.parts import panels, state
from pages.parts.uploader import uploader

SHOWN = 6  # photos to choose from at a time
WIDTH = 150  # pixels of each
EVERY = -1  # no class in particular


@dataclass(frozen=True)
class Candidate:
    """A photo that can be looked into. ``name`` is what its thumbnails are kept under, a SHA-256."""

    root: Path
    path: str
    name: str
    words: str  # what its button says
    true: str | None = None  # what it shows, where that is known


def link() -> None:
    """The way here from a run's scores."""
    pages = st.session_state["pages"]
    st.page_link(pages["why"], label=say("why.from_results"), icon=":material/visibility:", query_params=state.place())


def of_test(run: RunDirectory, results: Results, root: str) -> Candidate | None:
    """One of the test photos; None where none is like what was asked for."""
    rights = {False: say("why.wrong", n=results.total - results.correct), True: say("why.right", n=results.correct)}
    key, forget = f"why_right_{run.id}", f"why_photo_{run.id}"
    st.session_state.setdefault(key, results.correct == results.total)
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        right = st.segmented_control(
            say("why.answers"), list(rights), format_func=lambda one: rights[one], key=key, required=True,
            on_change=_forget, args=(forget,),
        )  # fmt: skip
        target = st.selectbox(
            say("why.class"), [EVERY, *range(len(results.classes))], key=f"why_true_{run.id}", width=260,
            format_func=lambda place: say("why.every_class") if place == EVERY else results.classes[place],
            on_change=_forget, args=(forget,),
        )  # fmt: skip
    surest = results.best(results.total) if right else results.worst(results.total)
    answers = [answer for answer in surest if target in (EVERY, answer.target)]
    return _chosen([_candidate(results, root, answer) for answer in answers], forget)


def _forget(key: str) -> None:
    """Another selection starts with its first photo, on its first page."""
    for one in (key, f"{key}_page"):
        st.session_state.pop(one, None)


def _candidate(results: Results, root: str, answer: Answer) -> Candidate:
    true, said = results.classes[answer.target], results.classes[answer.predicted]
    confidence = panels.percent(answer.confidence)
    key = "judge.best.photo" if answer.right else "results.mistake"
    words = say(key, true=true, predicted=said, confidence=confidence)
    return Candidate(Path(root), answer.path, _name(Path(root) / answer.path), words, true)


def _name(photo: Path) -> str:
    """As long as the file stays the same, this does; a photo that is gone has a name that nothing is kept under."""
    changed = photo.stat().st_mtime_ns if photo.exists() else 0
    return hashlib.sha256(f"{photo} {changed}".encode("utf-8", "surrogateescape")).hexdigest()


def of_mine(run: RunDirectory) -> Candidate | None:
    """One of the photos that were brought here or to Try it; None while there is none."""
    upload = state.upload("try")
    arrived = uploader("why_upload", upload=upload, mode="photos")
    if arrived is not None and arrived.problem:
        st.warning(arrived.problem, icon=":material/warning:")
    newest = list(intake.arrived(upload))[::-1]
    return _chosen(
        [Candidate(upload.photos, one.path, one.sha256, Path(one.path).name) for one in newest], f"why_mine_{run.id}"
    )


def _chosen(candidates: Sequence[Candidate], key: str) -> Candidate | None:
    """A page of pictures, each with its button, and the one that was chosen; at first the first."""
    if not candidates:
        return None
    pages = -(-len(candidates) // SHOWN)
    page = min(st.session_state.get(f"{key}_page", 1), pages)
    by_name = {one.name: one for one in candidates}
    chosen = by_name.get(st.session_state.get(key, ""), candidates[0])
    if len(candidates) > 1:
        with st.grid("auto", min_column_width=WIDTH, gap="small"):
            for one in candidates[(page - 1) * SHOWN : page * SHOWN]:
                with st.container(gap="xsmall"):
                    _tile(one, key, one is chosen)
        if pages > 1:
            st.pagination(pages, key=f"{key}_page")
    return chosen


def _tile(one: Candidate, key: str, is_chosen: bool) -> None:
    picture = panels.picture(str(one.root), one.path, one.name)
    if picture is None:
        st.caption(say("judge.matrix.no_picture"))
    else:
        st.image(picture, width=WIDTH, alt=one.words)
    st.button(
        panels.plain(one.words), key=f"{key}_{one.name[:16]}", width="stretch",
        type="primary" if is_chosen else "secondary", icon=":material/visibility:" if is_chosen else None,
        on_click=_choose, args=(key, one.name),
    )  # fmt: skip


def _choose(key: str, name: str) -> None:
    st.session_state[key] = name
