"""A grid of photos to choose from, and what can be done with the chosen ones.

Streamlit draws pictures that can't be chosen, or a checkbox for each. Here the choice lives in the browser and costs no
run; only what is done with it comes to Python, each deed once, however often the page is drawn meanwhile.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, Literal
from uuid import uuid4

import streamlit as st

from core.data.report import Photo
from core.data.store import Dataset
from core.words import say
from pages.parts import state
from pages.server.routes import PREFIX
from pages.server.thumbs import photos_token

HERE = Path(__file__).parent
SESSION = "grid_session"
REMEMBERED = 200  # deeds whose numbers are kept, so that one told twice is done once
MOST_PATHS = 20_000  # in one deed from a browser
Deed = Literal["move", "aside", "back", "forget", "undo", "redo"]
_ONE_AT_A_TIME = Lock()
DEEDS: tuple[Deed, ...] = ("move", "aside", "back", "forget")

MARKUP = """
<section class="grid">
  <div class="bar">
    <p class="count"></p>
    <div class="buttons" role="group">
      <button type="button" class="everything" hidden></button>
      <button type="button" class="all"></button>
      <button type="button" class="none"></button>
      <button type="button" class="look"></button>
      <button type="button" class="move" aria-expanded="false"></button>
      <button type="button" class="aside" aria-expanded="false"></button>
      <button type="button" class="back"></button>
      <button type="button" class="forget"></button>
    </div>
  </div>
  <form class="moving" hidden>
    <input class="name" type="text" autocomplete="off" maxlength="200">
    <button type="submit" class="main"></button>
    <p class="going" aria-live="polite"></p>
    <div class="classes"></div>
  </form>
  <div class="reasons" role="group" hidden></div>
  <div class="photos" role="listbox" aria-multiselectable="true"></div>
  <p class="nothing" hidden></p>
  <p class="keys"></p>
  <p class="spoken" role="status" aria-live="polite"></p>
  <dialog class="closer">
    <img alt="">
    <p class="what"></p>
    <p class="size"></p>
    <div class="ways">
      <button type="button" class="before"><svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2"
        aria-hidden="true"><path d="M15 5l-7 7 7 7"/></svg></button>
      <button type="button" class="after"><svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2"
        aria-hidden="true"><path d="M9 5l7 7-7 7"/></svg></button>
      <button type="button" class="pick main"></button>
      <button type="button" class="close"><svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2"
        aria-hidden="true"><path d="M6 6l12 12M18 6L6 18"/></svg></button>
    </div>
  </dialog>
</section>
"""


@dataclass(frozen=True)
class Tile:
    """One photo of the grid. ``badge`` is a word or two on the picture, ``caption`` a line below it."""

    path: str
    sha256: str
    alt: str
    caption: str = ""
    badge: str = ""
    tone: Literal["plain", "aside", "suggestion"] = "plain"
    size: str = ""


@dataclass(frozen=True)
class Action:
    """What a person did with the chosen photos. ``everything``: with all photos of the view, shown or not."""

    name: Deed
    paths: tuple[str, ...]
    value: str = ""  # the class for "move", the reason for "aside"
    everything: bool = False


@dataclass(frozen=True)
class Offer:
    """What can be done with the chosen photos."""

    deeds: tuple[Deed, ...] = ()
    classes: Mapping[str, int] | None = None  # to move to, with their photos
    reasons: tuple[tuple[str, str], ...] = ()  # word and text, to set aside
    undo: bool = False
    redo: bool = False


NOTHING = Offer()


def tile(photo: Photo, *, caption: str = "", badge: str = "", tone: Literal["plain", "aside", "suggestion"] = "plain"):
    """The tile of a photo, with its text for people who don't see it."""
    alt = say("mend.alt", label=photo.label, path=photo.path) if photo.label else say("mend.alt_none", path=photo.path)
    return Tile(photo.path, photo.sha256, alt, caption, badge, tone, size=f"{photo.width} × {photo.height}")


def photo_grid(
    dataset: Dataset,
    tiles: Sequence[Tile],
    *,
    key: str,
    label: str,
    view: str = "",
    total: int | None = None,
    nothing: str = "",
    offer: Offer = NOTHING,
    on_action: Callable[[Action], bool] | None = None,
    tells: bool = False,
) -> tuple[str, ...]:
    """Show ``tiles`` (about 120 at most). With ``tells`` it returns the chosen paths, in a run soon after each choice.

    ``view`` names what is shown: another one begins with nothing chosen. ``total`` counts its photos on all pages.
    ``on_action`` is called for each deed, before the script runs; it returns whether it could be done.
    """
    session = st.session_state.setdefault(SESSION, uuid4().hex)
    done, failed = _told(key)
    result = _element()(
        key=key,
        data={
            "key": key,
            "session": session,
            "view": view,
            "tiles": [asdict(one) for one in tiles],
            "total": len(tiles) if total is None else total,
            "label": label,
            "nothing": nothing,
            "small": f"{PREFIX}/thumbs/{dataset.id}/",
            "large": f"{PREFIX}/photos/{dataset.id}/",
            "token": photos_token(state.workspace(), dataset.id),
            "actions": list(offer.deeds),
            "classes": [{"name": name, "n": count} for name, count in (offer.classes or {}).items()],
            "reasons": [{"word": word, "text": text} for word, text in offer.reasons],
            "undo": offer.undo,
            "redo": offer.redo,
            "done": [*done, *failed],
            "failed": failed,
            "tells": tells,
            "text": _texts(),
        },
        on_acted_change=lambda: _act(key, view, on_action),
        on_chosen_change=lambda: None,
    )
    chosen = result.get("chosen") if tells else None
    shown = {one.path for one in tiles}
    return tuple(path for path in chosen if path in shown) if isinstance(chosen, list) else ()


def _told(key: str) -> tuple[list[str], list[str]]:
    """Numbers of the deeds that were done, and of those that couldn't be."""
    return st.session_state.setdefault(f"{key}_told", ([], []))


def _act(key: str, view: str, on_action: Callable[[Action], bool] | None) -> None:
    """Do what the browser told, each deed once and in order.

    A callback is never broken off, unlike a run; but the next run's callbacks may begin before it ends
    (``runner.fastReruns``), and they are told the same deeds.
    """
    told = st.session_state[key].get("acted")
    with _ONE_AT_A_TIME:
        done, failed = _told(key)
        for row in told if isinstance(told, list) else ():
            identifier, action = _read(row)
            if action is None or identifier in (*done, *failed):
                continue
            worked = _timely(row, action, view) and on_action is not None and on_action(action)
            (done if worked else failed).append(identifier)
        del done[:-REMEMBERED], failed[:-REMEMBERED]


def _timely(row: Mapping[str, object], action: Action, view: str) -> bool:
    """Whether it still means what it meant when it was pressed.

    "Everything" is what was shown at that moment. Undo may be done once: a session that begins with a server that was
    started again can't know whether the one before has done it.
    """
    if action.name in ("undo", "redo"):
        return row.get("session") == st.session_state.get(SESSION)
    return not action.everything or row.get("view") == view


def _read(row: object) -> tuple[str, Action | None]:
    """A deed as a browser tells it; None for what our own page would never send."""
    if not isinstance(row, Mapping) or row.get("name") not in (*DEEDS, "undo", "redo"):
        return "", None
    paths, value = row.get("paths"), row.get("value", "")
    if not isinstance(paths, list) or len(paths) > MOST_PATHS or not isinstance(value, str):
        return "", None
    if not all(isinstance(path, str) for path in paths):
        return "", None
    return str(row.get("id"))[:40], Action(row["name"], tuple(paths), value, row.get("everything") is True)


@cache
def _element() -> Any:
    scripts = ("grid_draw.js", "grid_closer.js", "grid.js")
    return st.components.v2.component(
        "graft_grid",
        html=MARKUP,
        css=(HERE / "grid.css").read_text("utf-8"),
        js="\n".join((HERE / name).read_text("utf-8") for name in scripts),
    )


def _texts() -> dict[str, object]:
    """Every visible string of the element, as patterns for its script to fill."""
    plain = ("all", "none", "look", "move", "aside", "back", "forget", "buttons", "keys", "keys_choose", "name", "why")
    more = ("move_now", "before", "after", "close", "pick", "unpick")
    texts: dict[str, object] = {name: say(f"mend.grid.{name}") for name in (*plain, *more)}
    for name in ("chosen", "none_chosen", "everything", "moves_to", "moves_to_new"):
        one, other = (say(f"mend.grid.{name}", n=n, label="{label}") for n in (1, "{n}"))
        texts[name] = {"one": one, "other": other}
    return texts
