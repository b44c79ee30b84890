"""A camera in the browser: hold a button, and about eight photos a second arrive in the folder of a class.

The bytes go the way of all uploads and never pass through Streamlit: only a count does, when the button is let go.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import streamlit as st

from core.data.intake import Upload
from core.words import say
from pages.server.routes import upload_address, upload_token

HERE = Path(__file__).parent
RATE = 8  # photos a second, as webcam.js has it

MARKUP = """
<section class="webcam" role="group">
  <div class="stage" hidden><video muted playsinline></video></div>
  <label class="camera" hidden><span></span><select></select></label>
  <div class="buttons">
    <button type="button" class="turn-on main"></button>
    <button type="button" class="hold main" hidden></button>
    <button type="button" class="turn-off" hidden></button>
    <button type="button" class="again" hidden></button>
  </div>
  <p class="keys" hidden></p>
  <p class="counts" role="status"><span class="count"></span><span class="waiting"></span></p>
  <p class="problem" role="alert"></p>
  <div class="pictures" aria-hidden="true"></div>
</section>
"""

_ELEMENT = st.components.v2.component(
    "graft_webcam",
    html=MARKUP,
    css=(HERE / "webcam.css").read_text("utf-8"),
    js="\n".join((HERE / name).read_text("utf-8") for name in ("uploader_send.js", "camera.js", "webcam.js")),
)
PROBLEMS = ("insecure", "denied", "none", "busy", "gone", "other")


def webcam(key: str, *, upload: Upload, folder: str) -> bool:
    """Show a camera for photos of one class; whether some are being recorded or on their way now."""
    told_key, began_key = f"{key}_told", f"{key}_began"
    _ELEMENT(
        key=key,
        data={
            "key": key,
            "folder": folder,
            "upload": upload.id,
            "address": upload_address(upload),
            "token": upload_token(upload),
            "text": _texts(folder),
        },
        on_finished_change=partial(_remember, key, "finished", told_key),
        on_began_change=partial(_remember, key, "began", began_key),
    )
    told: Mapping[str, object] | None = st.session_state.get(told_key)
    began = st.session_state.get(began_key)
    return began is not None and (told is None or told.get("batch") != began)


def _remember(key: str, trigger: str, kept: str) -> None:
    """A callback is never broken off, and a trigger is there for one run only."""
    value = st.session_state[key].get(trigger)
    if value is not None:
        st.session_state[kept] = dict(value) if isinstance(value, Mapping) else value


def _texts(folder: str) -> dict[str, object]:
    """Every visible string of the element, as patterns for its script to fill."""
    plain = ("start", "hold", "recording", "stop", "camera", "camera_number", "lost", "retry", "full", "picture")
    texts: dict[str, object] = {name: _pattern(f"ways.webcam.{name}") for name in plain}
    for name in ("sent", "waiting", "failed"):
        texts[name] = {"one": _pattern(f"ways.webcam.{name}", n=1), "other": _pattern(f"ways.webcam.{name}", n="{n}")}
    return {
        **texts,
        "label": say("ways.webcam.label", name=folder),
        "keys": say("ways.webcam.keys", rate=RATE),
        "problem": {name: _pattern(f"ways.webcam.problem.{name}") for name in PROBLEMS},
    }


def _pattern(key: str, **values: object) -> str:
    """The text with its ``{places}`` left open."""
    return say(key, **({"n": "{n}", "why": "{why}", "port": "{port}"} | values))
