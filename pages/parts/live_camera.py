"""A camera on Try it: the model's answer to what it sees, several times a second, and nothing of it kept.

The frames go from the browser to ``pages/server/live.py`` and never pass through Streamlit.
"""

import json
from pathlib import Path

import streamlit as st

from core.runs import RunDirectory
from core.words import say
from pages.parts import answers, state
from pages.parts.webcam import PROBLEMS
from pages.server.live import TOP, live_address, live_token
from pages.server.routes import PREFIX

HERE = Path(__file__).parent

MARKUP = """
<section class="webcam live" role="group">
  <div class="both" hidden>
    <div class="square"><video muted playsinline></video></div>
    <div class="answer">
      <p class="said"></p>
      <p class="sure"></p>
      <p class="why"></p>
      <ol class="rows"></ol>
      <p class="note"></p>
      <p class="speed"></p>
      <p class="spoken" role="status"></p>
    </div>
  </div>
  <template>
    <li class="row"><span class="name"></span><span class="track"><span class="fill"></span></span><span
      class="percent"></span></li>
  </template>
  <label class="camera" hidden><span></span><select></select></label>
  <div class="buttons">
    <button type="button" class="turn-on main"></button>
    <button type="button" class="turn-off" hidden></button>
  </div>
  <p class="problem" role="alert"></p>
</section>
"""

_ELEMENT = st.components.v2.component(
    "graft_live_camera",
    html=MARKUP,
    css="\n".join((HERE / name).read_text("utf-8") for name in ("webcam.css", "live_camera.css")),
    js="\n".join((HERE / name).read_text("utf-8") for name in ("camera.js", "live_camera.js")),
)


def panel(run: RunDirectory) -> None:
    """The switch for "I don't know", the camera, and what becomes of its pictures."""
    strict = answers.unknown_switch(run.known.exists())
    live_camera("live", run=run, strict=strict)
    st.caption(say("live.private"))


def live_camera(key: str, *, run: RunDirectory, strict: bool) -> None:
    """``strict``: say "I don't know" where the model is beyond its limit, instead of its best guess."""
    card = json.loads(run.model_card.read_text("utf-8"))
    resize, crop = (int(card["preprocessing"][name]) for name in ("resize", "crop"))
    classes = card["classes"]
    _ELEMENT(
        key=key,
        data={
            "key": key,
            "address": live_address(PREFIX, run),
            "token": live_token(state.workspace(), run),
            "side": resize,
            "zoom": resize / crop,  # the preview shows the middle that the model cuts out
            "classes": classes if len(classes) <= TOP else None,  # few enough to be always shown
            "strict": strict,
            "text": _texts(),
        },
    )


def _texts() -> dict[str, object]:
    """Every visible string of the element, as patterns for its script to fill."""
    plain = (
        "label", "picture", "start", "stop", "camera", "getting_ready", "unknown", "unknown_why", "guess", "busy",
        "lost",
    )  # fmt: skip
    texts: dict[str, object] = {name: say(f"live.{name}") for name in plain}
    for name, place in (("camera_number", "n"), ("sure", "share"), ("speed", "n")):
        texts[name] = say(f"live.{name}", **{place: f"{{{place}}}"})
    problems = {name: say(f"ways.webcam.problem.{name}", why="{why}", port="{port}") for name in PROBLEMS}
    return {**texts, "problem": problems}
