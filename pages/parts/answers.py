"""The model's answers for the photos that were dropped on Try it."""

from pathlib import Path

import streamlit as st

from core.data import intake
from core.data.image import UnusablePhoto
from core.data.intake import Upload
from core.data.journal import Received
from core.data.thumbnails import thumbnail
from core.runs import RunDirectory
from core.words import say
from pages.parts import charts, panels, state
from pages.parts.plot import plot

TOP = 5
SHOWN = 24  # answers on one page, newest first


@st.cache_resource(max_entries=3, show_spinner=False)
def _predictor(path: str, changed: float):
    """A model in memory, shared by all sessions. Torch is imported here, at the first prediction, and not before."""
    from core.inference.predictor import Predictor

    del changed  # part of the cache's key: a resumed run has a new model
    return Predictor.load(RunDirectory(Path(path)))


@st.cache_data(max_entries=512, show_spinner=False)
def _answer(path: str, changed: float, sha256: str, _photo: Path) -> tuple[tuple[str, float], ...] | str:
    """The likeliest classes, or why the photo can't be read; remembered by the photo's hash."""
    del sha256
    answer = next(iter(_predictor(path, changed).predict([_photo])))
    return answer.message if isinstance(answer, UnusablePhoto) else answer.top[:TOP]


def show(run: RunDirectory, upload: Upload) -> None:
    """One row a photo: the picture, the answer in words, the probabilities."""
    photos = list(intake.arrived(upload))
    if not photos:
        return
    changed = run.model.stat().st_mtime
    with st.spinner(say("try.thinking"), show_time=True):
        told = [_answer(str(run.path), changed, one.sha256, upload.photos / one.path) for one in photos[-SHOWN:]]
    for one, answer in reversed(list(zip(photos[-SHOWN:], told, strict=True))):
        with st.container(border=True, key=f"answer_{one.sha256[:12]}"):
            _row(upload, one, answer)
    if len(photos) > SHOWN:
        st.caption(say("try.newest", shown=SHOWN, n=len(photos)))


def _row(upload: Upload, one: Received, answer: tuple[tuple[str, float], ...] | str) -> None:
    left, right = st.columns([1, 2], vertical_alignment="center")
    name = Path(one.path).name
    if isinstance(answer, str):
        with right:
            st.warning(f"**{panels.plain(name)}** — {panels.plain(answer)}", icon=":material/broken_image:")
        return
    label, chance = answer[0]
    with left:
        picture = thumbnail(upload.photos, one.path, one.sha256, state.workspace().cache / "thumbnails", side=320)
        st.image(picture, caption=panels.plain(name), alt=say("try.alt", name=name, label=label))
    with right:
        st.markdown(f"### {panels.plain(label)}")
        st.markdown(say("try.sure", share=panels.percent(chance)))
        figure = charts.probabilities(answer)
        plot(
            figure, key=f"chances_{one.sha256[:12]}", alt=charts.probabilities_alt(answer), height=40 + 34 * len(answer)
        )


def bundle_bytes(run: RunDirectory) -> bytes:
    """The download, made when it is asked for."""
    from core.inference.bundle import bundle

    return bundle(run)
