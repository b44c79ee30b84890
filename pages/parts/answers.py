"""The model's answers for the photos that were dropped on Try it."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from core.data import intake
from core.data.image import UnusablePhoto
from core.data.intake import Upload
from core.errors import CoreError
from core.runs import RunDirectory
from core.words import say
from pages.parts import answer_card, likely, panels
from pages.server.models import MODELS, model_stamp

if TYPE_CHECKING:  # it brings torch along
    from core.inference.predictor import Prediction

SHOWN = 24  # answers on one page, newest first
NEAR = 4  # training photos that an answer is compared with


@dataclass(frozen=True)
class Answers:
    """What was said of each photo, newest first; a text says why one can't be read."""

    photos: list[intake.Received]
    told: "list[Prediction | str]"

    @property
    def judged(self) -> bool:
        """Whether the model tells photos that are unlike its own. True as long as there is no answer to say so."""
        answers = [answer for answer in self.told if not isinstance(answer, str)]
        return not answers or any(answer.strangeness is not None for answer in answers)


@st.cache_data(max_entries=512, show_spinner=False)
def _answer(path: str, stamp: tuple[int, int], sha256: str, _photo: Path) -> "Prediction | str":
    """The answer, or why the photo can't be read; remembered by the photo's hash."""
    del stamp, sha256  # parts of the cache's key
    answer = next(iter(MODELS.get(RunDirectory(Path(path))).predict([_photo], near=NEAR)))
    return answer.message if isinstance(answer, UnusablePhoto) else answer


def show(run: RunDirectory, upload: Upload) -> None:
    """What to show of the answers, then one card a photo."""
    photos = list(intake.arrived(upload))
    if not photos:
        return
    stamp = model_stamp(run)
    newest = photos[: -SHOWN - 1 : -1]
    try:
        with st.spinner(say("try.thinking"), show_time=True):
            told = [_answer(str(run.path), stamp, one.sha256, upload.photos / one.path) for one in newest]
    except CoreError as error:  # of the model, not of a photo
        panels.error_box(error)
        return
    answers = Answers(newest, told)
    strict = unknown_switch(answers.judged)
    named = likely.choose(run)
    for one, answer in zip(answers.photos, answers.told, strict=True):
        answer_card.show(run, upload, one, answer, strict=strict, named=named)
    if len(photos) > SHOWN:
        st.caption(say("try.newest", shown=SHOWN, n=len(photos)))


def unknown_switch(judged: bool) -> bool:
    """Whether to say "I don't know"; one quiet line where the model can't."""
    if not judged:
        st.caption(say("unknown.none_yet"))
        return False
    st.session_state.setdefault("try_unknown", True)
    return st.toggle(say("unknown.say_it"), key="try_unknown", help=say("unknown.say_it_help"))
