"""Pieces that several pages show: errors, waiting steps, photo grids, a run's name and what became of it."""

import re
import time
from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from core.data.image import UnusablePhoto
from core.data.thumbnails import thumbnail
from core.errors import CoreError
from core.runs import RunDirectory, RunInfo, RunState, notes
from core.words import say
from pages.parts import state

# Everything that Markdown, Streamlit's colour and icon directives or LaTeX could read as markup. A class called
# "![](//elsewhere)" must be shown, not fetched.
MARKUP = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|$:~^&])")
SPACES = re.compile(r"[^\S\u00a0]+")  # a number stays beside its unit


def plain(text: str) -> str:
    """A user's text as Markdown that shows exactly that text on one line."""
    return MARKUP.sub(r"\\\1", SPACES.sub(" ", text).strip())


def shown(key: str, /, **values: object) -> str:
    """``say`` for Markdown: texts among the values are shown as they are, never read as markup."""
    return say(key, **{name: plain(value) if isinstance(value, str) else value for name, value in values.items()})


def error_box(error: CoreError) -> None:
    """What is wrong and what to do next."""
    message = shown(f"{error.key}.message", **error.values)
    hint = shown(f"{error.key}.hint", **error.values)
    st.error(f"**{message}**  \n{hint}", icon=":material/error:")


def waiting_for(step: str, text: str) -> None:
    """This page can't do anything yet: say what it waits for, lead there, and end the page."""
    st.info(text, icon=":material/hourglass_empty:")
    st.page_link(
        st.session_state["pages"][step],
        label=say("common.go_to", step=say(f"frame.{step}")),
        icon=":material/arrow_back:",
        query_params=state.place(),
    )
    st.stop()


def next_step(step: str, label: str) -> None:
    """The page's one main action, where it only leads on."""
    if st.button(label, type="primary", key=f"next_{step}", icon=":material/arrow_forward:", icon_position="right"):
        st.switch_page(st.session_state["pages"][step], query_params=state.place())


def picture(root: str, path: str, sha256: str, side: int = 160) -> bytes | None:
    """A photo's thumbnail of ``side`` pixels; None if it is gone since the scan."""
    try:
        return thumbnail(Path(root), path, sha256, state.workspace().cache / "thumbnails", side)
    except (UnusablePhoto, CoreError, OSError):
        return None


def photo_grid(root: str, photos: Sequence[tuple[str, str]], captions: Sequence[str], alts: Sequence[str]) -> None:
    """Thumbnails of (path, sha256) in a wrapping row. A photo that is gone since the scan is passed over."""
    pictures, kept = [], []
    for place, (path, sha256) in enumerate(photos):
        found = picture(root, path, sha256)
        if found is not None:
            pictures.append(found)
            kept.append(place)
    if pictures:
        st.image(pictures, caption=[captions[i] for i in kept], width=150, alt=[alts[i] for i in kept])


def run_label(run: RunDirectory, info: RunInfo) -> str:
    """``leaves · Fast · 21 Nov 05:15``, with the name that the run was given instead of its photos'."""
    name = plain(notes.title(info, notes.read(run)))
    return f"{name} · {say(f'model.preset.{info.config.preset}')} · {moment(info.created)}"


def ending(known: RunState) -> str:
    """What ended a run, or what it is doing, in words."""
    match known.status:
        case "starting":
            return say("train.starting")
        case "running":
            return say(f"train.phase.{known.phase}") if known.phase else say("train.starting")
        case "failed" | "lost":
            return say(f"train.ended.{known.status}")
        case _:
            reason = known.ended.reason if known.ended else "complete"
            if reason == "stopped" and known.best is None:
                return say("train.ended.stopped_early")
            return say(f"train.ended.{reason}")


def duration(seconds: float) -> str:
    """``45 seconds``, ``3 minutes``, ``1.5 hours``: rounded as a person would say it."""
    if seconds < 90:
        return say("common.seconds", n=max(1, round(seconds)))
    if seconds < 5400:
        return say("common.minutes", n=round(seconds / 60))
    return say("common.hours", hours=f"{seconds / 3600:.1f}")


def percent(share: float) -> str:
    """Whole percents; nobody's forty photos are worth a decimal."""
    return f"{100 * share:.0f}\u00a0%"  # no break before the sign


def megabytes(size: int) -> str:
    """``42 MB``, ``6 kB``: of a file."""
    if size < 1e6:
        return f"{max(1, round(size / 1e3))}\u00a0kB"
    return f"{size / 1e6:,.0f}\u00a0MB" if size >= 1e7 else f"{size / 1e6:.1f}\u00a0MB"


def moment(created: float) -> str:
    """``21 Nov 05:15``, in the server's time."""
    return time.strftime("%d %b %H:%M", time.localtime(created))
