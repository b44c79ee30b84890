"""One photo from inside: where the network looked for any class, what it thinks of it, what it takes it to be like."""

import io
from pathlib import Path

import numpy as np
import streamlit as st
from PIL import Image

from core.data.image import UnusablePhoto, open_rgb
from core.data.thumbnails import whole
from core.errors import CoreError
from core.inference import heat as drawing
from core.inference.heat import Heat
from core.runs import RunDirectory
from core.words import say
from pages.parts import charts, nearest, panels
from pages.parts.attention_choice import Candidate
from pages.parts.plot import plot
from pages.server.models import model_stamp

TOP = 5  # classes in the chart
NEAR = 6  # training photos
SIDE = 560  # pixels of the longer side of the photo as it is shown
OPACITY = 75  # percent, where the slider stands first


@st.cache_resource(max_entries=2, show_spinner=False)
def _explainer(path: str, stamp: tuple[int, int]):
    """A model in memory, shared by all sessions. Torch is imported here, at the first look, and not before."""
    from core.inference.attention import Explainer

    del stamp  # part of the cache's key: a resumed run has a new model
    return Explainer.load(RunDirectory(Path(path)))


@st.cache_data(max_entries=128, show_spinner=False)
def _heat(path: str, stamp: tuple[int, int], name: str, target: str | None, _photo: Path) -> Heat | str:
    """The heat, or why the photo can't be read; remembered by run, photo and class."""
    del name
    try:
        return _explainer(path, stamp).heat(_photo, target, near=NEAR)
    except UnusablePhoto as error:
        return f"{error.message} {error.hint}"


def show(run: RunDirectory, chosen: Candidate) -> None:
    """The photo, its heat, the probabilities and the nearest training photos."""
    try:
        photo = _shown(chosen)
    except (UnusablePhoto, OSError) as error:
        gone = not (chosen.root / chosen.path).exists()
        text = say("why.gone") if gone or not isinstance(error, UnusablePhoto) else f"{error.message} {error.hint}"
        st.warning(panels.plain(text), icon=":material/broken_image:")
        return
    stamp, source = model_stamp(run), chosen.root / chosen.path
    try:
        with st.spinner(say("why.thinking")):
            answer = _heat(str(run.path), stamp, chosen.name, None, source)
    except CoreError as error:  # of the model, not of a photo
        panels.error_box(error)
        return
    if isinstance(answer, str):
        st.warning(panels.plain(answer), icon=":material/broken_image:")
        return
    _said(chosen, answer)
    target = _target(run, chosen, answer)
    asked = answer if target == answer.answered else _heat(str(run.path), stamp, chosen.name, target, source)
    if isinstance(asked, Heat):  # the photo was there a moment ago
        _pictures(chosen, photo, asked)
        _means(asked)
    _thoughts(run, answer)


def _shown(chosen: Candidate) -> Image.Image:
    """The photo as people see it; one of very few pixels is enlarged, each staying a square."""
    photo = open_rgb(whole(chosen.root, chosen.path, SIDE))
    times = SIDE // max(photo.size)
    return photo.resize((photo.width * times, photo.height * times), Image.Resampling.NEAREST) if times > 1 else photo


def _said(chosen: Candidate, answer: Heat) -> None:
    """What the model said of it, and what it shows where that is known."""
    values = {"said": answer.answered, "share": panels.percent(answer.top[0][1])}
    if chosen.true is None:
        text = panels.shown("why.said", **values)
    elif chosen.true == answer.answered:
        text = panels.shown("why.said_right", true=chosen.true, share=values["share"])
    else:
        text = panels.shown("why.said_wrong", true=chosen.true, **values)
    st.markdown(f"#### {text}")
    if answer.unknown:
        st.warning(say("unknown.guess"), icon=":material/help:")


def _target(run: RunDirectory, chosen: Candidate, answer: Heat) -> str:
    """The class that is asked about: why this one, or why not that one."""
    shares = {label: panels.percent(share) for label, share in answer.top}
    return st.selectbox(
        say("why.target"), list(shares), key=f"why_class_{run.id}_{chosen.name[:16]}", width=360,
        format_func=lambda label: say("why.option", label=label, share=shares[label]),
    )  # fmt: skip


def _pictures(chosen: Candidate, photo: Image.Image, asked: Heat) -> None:
    """Photo and heat side by side, the one below the other on a phone; what the colours mean."""
    st.session_state.setdefault("why_opacity", OPACITY)
    name = Path(chosen.path).name
    target = panels.plain(asked.target)
    box = drawing.seen(photo.width, photo.height, asked.preprocessing)
    left, right = st.columns(2)
    with left:
        st.image(photo, caption=say("why.photo"), alt=say("why.photo_alt", name=name))
    with right:
        heated = drawing.on_photo(photo, asked.values, box, st.session_state["why_opacity"] / 100)
        st.image(_jpeg(heated), caption=say("why.heat", target=target), alt=_alt(name, asked))
        if asked.empty:
            st.info(say("why.empty", target=target), icon=":material/info:")
        elif asked.target != asked.answered:
            _strength(asked)
    st.slider(say("why.opacity"), 0, 100, step=5, format="%d %%", key="why_opacity", width=360)
    st.image(_jpeg(drawing.scale(240, 14)), width=240, alt=say("why.scale_alt"))
    st.caption(say("why.legend"))


def _strength(asked: Heat) -> None:
    hottest = float(asked.values.max())
    key = "why.fainter" if hottest < 1 else "why.hotter"
    share = panels.percent(hottest)
    st.caption(panels.shown(key, target=asked.target, answered=asked.answered, share=share))


def _alt(name: str, asked: Heat) -> str:
    if asked.empty:
        return say("why.empty_alt", name=name, target=asked.target)
    row, column = np.unravel_index(int(asked.values.argmax()), asked.values.shape)
    rows, columns = asked.values.shape
    across = ("left", "middle", "right")[int((column + 0.5) / columns * 3)]
    down = ("top", "middle", "bottom")[int((row + 0.5) / rows * 3)]
    return say("why.heat_alt", name=name, target=asked.target, where=say(f"why.where.{across}_{down}"))


def _means(asked: Heat) -> None:
    """What to make of it, in few words."""
    rows, columns = asked.values.shape
    with st.expander(say("why.means.title"), key="why_means"):
        st.markdown(panels.shown("why.means.how", rows=rows, columns=columns, target=asked.target))
        st.markdown("\n".join(f"- {say(f'why.means.{one}')}" for one in ("where", "elsewhere", "estimate")))


def _thoughts(run: RunDirectory, answer: Heat) -> None:
    """The probabilities, and what the photo looks like to the network."""
    left, right = st.columns(2)
    top = answer.top[:TOP]
    with left:
        st.subheader(say("why.chances"), anchor=False)
        plot(charts.probabilities(top), key="why_chances", alt=charts.probabilities_alt(top), height=40 + 34 * len(top))
    with right:
        st.subheader(say("why.near"), anchor=False)
        if answer.near:
            nearest.show(run, answer.near)
        else:
            st.caption(say("why.no_near"))


def _jpeg(picture: Image.Image) -> bytes:
    """st.image would make a PNG of it, five times as large."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=88)
    return buffer.getvalue()
