"""What was taken for what, down to the photos: the matrix, the pairs that are mixed up, the surest answers."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from core.inference.metrics import Answer, Results
from core.runs import RunDirectory
from core.words import say
from pages.parts import charts, panels, relabel
from pages.parts.plot import plot

SHOWN = 12  # photos: of a cell at a time, and of the best and the worst
PAIRS = 5
PHOTO_WIDTH = 150  # pixels


def confusion(run: RunDirectory, results: Results, root: str, *, dataset: str | None = None) -> None:
    """The matrix; a cell that is clicked or chosen shows its photos, each with a way to mend its label.

    ``dataset`` is the id of the photos of a later test; else they are the run's own.
    """
    st.subheader(say("results.confusion"), anchor=False)
    st.markdown(say("judge.matrix.how"))
    matrix = results.confusion()
    plot(
        charts.confusion(matrix, results.classes),
        key="confusion",
        alt=charts.confusion_alt(matrix, results.classes),
        height=min(900, 220 + 34 * len(results.classes)),
        on_click=lambda cell: _choose(run, results, cell),
    )
    _pairs(results)
    true, predicted = _cell(run, results)
    _photos(run, results, root, dataset, true, predicted)


def _pairs(results: Results) -> None:
    """The most frequent mix-ups in words."""
    mistakes = results.mistakes()
    if not mistakes:
        return
    st.markdown(f"**{say('judge.matrix.pairs')}**")
    of_class = [sum(row) for row in results.confusion()]
    told = [
        panels.shown(
            "judge.matrix.pair", true=results.classes[mistake.true], predicted=results.classes[mistake.predicted],
            count=mistake.photos, n=of_class[mistake.true],
        )
        for mistake in mistakes[:PAIRS]
    ]  # fmt: skip
    st.markdown("\n".join(f"- {text}" for text in told))


def _choose(run: RunDirectory, results: Results, cell: list[Any]) -> None:
    """A click, as the browser tells it: class numbers, if nobody has tampered with them."""
    known = range(len(results.classes))
    if len(cell) == 2 and all(isinstance(place, int) and place in known for place in cell):
        for name, place in zip(("true", "said"), cell, strict=True):
            st.session_state[_key(run, name)] = place
        st.session_state.pop(_key(run, "page"), None)


def _key(run: RunDirectory, name: str) -> str:
    return f"judge_{name}_{run.id}"


def _cell(run: RunDirectory, results: Results) -> tuple[int, int]:
    """The chosen class and what it was taken for; at first the most frequent mistake, or else what was right."""
    mistakes = results.mistakes()
    first = (mistakes[0].true, mistakes[0].predicted) if mistakes else (results.answers[0].target,) * 2
    places = range(len(results.classes))
    chosen: list[int] = []
    with st.container(horizontal=True, gap="small", vertical_alignment="bottom"):
        for name, place in zip(("true", "said"), first, strict=True):
            key = _key(run, name)
            st.session_state.setdefault(key, place)
            chosen.append(
                st.selectbox(
                    say(f"judge.matrix.{name}"), places, key=key, format_func=results.classes.__getitem__,
                    on_change=st.session_state.pop, args=(_key(run, "page"), None),
                )
            )  # fmt: skip
    return chosen[0], chosen[1]


def _photos(run: RunDirectory, results: Results, root: str, dataset: str | None, true: int, predicted: int) -> None:
    inside = results.cell(true, predicted)
    names = {"true": results.classes[true], "predicted": results.classes[predicted]}
    words = "right" if true == predicted else "wrong"
    st.markdown(panels.shown(f"judge.matrix.{words}", n=len(inside), **names))
    found = relabel.find(run, root, dataset)
    relabel.line(run, results, found, later=dataset is not None)
    if not Path(root).is_dir():
        return  # all of them are gone, as has just been said
    pages = max(1, -(-len(inside) // SHOWN))
    key = _key(run, "page")
    page = min(st.session_state.get(key, 1), pages)
    with st.grid("auto", min_column_width=PHOTO_WIDTH, gap="small"):
        for answer in inside[(page - 1) * SHOWN : page * SHOWN]:
            with st.container(gap="xsmall"):
                _photo(results, root, answer)
                if found is not None:
                    relabel.controls(found, answer, names["true"])
    if pages > 1:
        st.pagination(pages, key=key)


def _photo(results: Results, root: str, answer: Answer) -> None:
    picture = panels.picture(root, answer.path, _name(root, answer))
    if picture is None:
        st.caption(say("judge.matrix.no_picture"))
    else:
        st.image(picture, width=PHOTO_WIDTH, alt=_caption(results, answer))
    st.caption(say("judge.matrix.sure", confidence=panels.percent(answer.confidence)))


def surest(results: Results, root: str) -> None:
    """The mistakes it was surest of, and the right answers it was surest of, with their photos."""
    st.subheader(say("results.worst"), anchor=False)
    mistakes = results.worst(SHOWN)
    if mistakes:
        st.markdown(say("results.worst_how"))
        _grid(results, root, mistakes)
    else:
        st.markdown(say("results.no_mistakes"))
    best = results.best(SHOWN)
    if best:
        st.subheader(say("judge.best.title"), anchor=False)
        st.markdown(say("judge.best.how"))
        _grid(results, root, best)


def _grid(results: Results, root: str, answers: Sequence[Answer]) -> None:
    captions = [_caption(results, answer) for answer in answers]
    photos = [(answer.path, _name(root, answer)) for answer in answers]
    panels.photo_grid(root, photos, [panels.plain(text) for text in captions], captions)


def _caption(results: Results, answer: Answer) -> str:
    return say(
        "judge.best.photo" if answer.right else "results.mistake",
        true=results.classes[answer.target],
        predicted=results.classes[answer.predicted],
        confidence=panels.percent(answer.confidence),
    )


def _name(root: str, answer: Answer) -> str:
    """A thumbnail's cache key where the photo's own hash isn't stored: its path and time of change."""
    path = Path(root) / answer.path
    changed = path.stat().st_mtime_ns if path.exists() else 0
    return hashlib.sha256(f"{path} {changed}".encode()).hexdigest()
