"""One photo's answer on Try it: the photo, the class or "I don't know", why, and the training photos nearest to it."""

from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from core.data.intake import Received, Upload
from core.data.thumbnails import thumbnail
from core.runs import RunDirectory
from core.words import say
from pages.parts import charts, likely, nearest, panels, state
from pages.parts.plot import plot

if TYPE_CHECKING:  # it brings torch along
    from core.inference.predictor import Prediction

TOP = 5  # classes in the chart
PHOTO_SIDE = 320  # pixels, of the photo in question


def show(
    run: RunDirectory,
    upload: Upload,
    one: Received,
    answer: "Prediction | str",
    *,
    strict: bool,
    named: likely.Likely | None,
) -> None:
    """``strict``: say "I don't know" where the model is beyond its limit."""
    key = one.sha256[:12]
    with st.container(border=True, key=f"answer_{key}"):
        left, right = st.columns([1, 2], vertical_alignment="center")
        name = Path(one.path).name
        if isinstance(answer, str):
            with right:
                st.warning(f"**{panels.plain(name)}** — {panels.plain(answer)}", icon=":material/broken_image:")
            return
        unknown = strict and answer.unknown
        said = say("unknown.title") if unknown else answer.label
        with left:
            picture = thumbnail(upload.photos, one.path, one.sha256, state.workspace().cache / "thumbnails", PHOTO_SIDE)
            alt = say("unknown.alt", name=name) if unknown else say("try.alt", name=name, label=said)
            st.image(picture, caption=panels.plain(name), alt=alt)
        with right:
            if unknown:
                _unknown(run, answer)
            else:
                _known(run, answer, key, named)


def _unknown(run: RunDirectory, answer: "Prediction") -> None:
    st.markdown(f"### {say('unknown.title')}")
    st.markdown(_why())
    if answer.near:
        st.markdown(say("unknown.near_unknown"))
        nearest.show(run, answer.near)


def _known(run: RunDirectory, answer: "Prediction", key: str, named: likely.Likely | None) -> None:
    st.markdown(f"### {panels.plain(answer.label)}")
    st.markdown(say("try.sure", share=panels.percent(answer.confidence)))
    if answer.unknown:
        st.warning(f"{say('unknown.guess')} {_why()}", icon=":material/help:")
    else:
        likely.line(named, answer)
    top = answer.top[:TOP]
    plot(charts.probabilities(top), key=f"chances_{key}", alt=charts.probabilities_alt(top), height=40 + 34 * len(top))
    if not answer.near:
        return
    with st.expander(say("unknown.near"), key=f"near_{key}", on_change="rerun") as near:
        if near.open:  # nobody else waits for their pictures
            nearest.show(run, answer.near)


def _why() -> str:
    """What the limit stands for: it is where this share of known photos, which the network hadn't seen, stay below."""
    from core.training.known import COVERAGE

    return say("unknown.why", share=round(100 * COVERAGE))
