"""The backbones as cards: what each is good for, how large, how accurate, how fast here, and where its weights are."""

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from core import recipes, runs
from core.config import Preset
from core.data.datasets import Dataset
from core.errors import CoreError, ModelError
from core.models import registry, speed, weights
from core.models.registry import Backbone
from core.processes import start_module
from core.runs import reserve
from core.words import say
from pages.parts import panels, state
from pages.parts.cards import card

QUERY = "backbone"
DEFAULT = "efficientnet_lite0"
COLUMNS = 3


def chosen() -> Backbone:
    """The backbone named in the address, else the one used before, else the textbook's, else the default."""
    asked = textbook_asked()
    textbook = recipes.TEXTBOOK[asked] if asked else None
    name = st.query_params.get(QUERY) or st.session_state.get("backbone") or textbook or DEFAULT
    try:
        backbone = registry.backbone(name)
    except CoreError:
        backbone = registry.backbone(DEFAULT)
    choose(backbone.name)
    return backbone


def textbooks() -> list[Preset]:
    """The set-ups of courses whose backbone Graft has."""
    names = {one.name for one in registry.backbones()}
    return [preset for preset, backbone in recipes.TEXTBOOK.items() if backbone in names]


def textbook_asked() -> Preset | None:
    """The textbook set-up in the address, which has the button's own words."""
    asked = st.query_params.get("preset")
    return next((one for one in textbooks() if say(f"model.preset.{one}") == asked), None)


def choose(name: str) -> None:
    """Use this backbone from now on."""
    st.session_state["backbone"] = name
    if name != DEFAULT or QUERY in st.query_params:
        st.query_params[QUERY] = name


def work_ahead(photos: Dataset | None) -> None:
    """Let a process stand by for a run, and keep these photos' features meanwhile. Costs nothing to ask for again."""
    if photos is not None and not _measuring().goes_on:  # two at work would measure wrong speeds
        reserve.ahead(state.workspace().home, photos.folder, st.session_state.get("backbone") or DEFAULT)


def weights_ready(backbone: Backbone) -> bool:
    """Whether its weights are at hand; where they aren't, offer to fetch or import them."""
    folder = state.workspace().weights
    found, damaged = weights.search(backbone, folder)
    if found is not None:
        return True
    if damaged:
        panels.error_box(ModelError("models.damaged", title=backbone.title, file=str(damaged[0])))
    others = ", ".join(one.title for one in registry.backbones() if _at_hand(one, folder))
    st.warning(say("model.missing", name=backbone.title, others=others), icon=":material/cloud_download:")
    label = say("model.fetch", megabytes=f"{backbone.megabytes:.0f}")
    if st.button(label, key="fetch_weights", icon=":material/download:"):
        _fetch(backbone, folder)
    with st.expander(say("model.import_title"), icon=":material/upload_file:"):
        _import(backbone, folder)
    return False


def _at_hand(backbone: Backbone, folder: Path) -> bool:
    return weights.search(backbone, folder)[0] is not None


def _fetch(backbone: Backbone, folder: Path) -> None:
    """Shows progress; leaving the page stops it, and the next try goes on from there."""
    bar = st.progress(0.0, text=say("model.fetching", name=backbone.title, done=0, total=f"{backbone.megabytes:.0f}"))

    def note(done: int, total: int) -> None:
        text = say("model.fetching", name=backbone.title, done=f"{done / 1e6:.0f}", total=f"{total / 1e6:.0f}")
        bar.progress(min(1.0, done / max(1, total)), text=text)

    try:
        weights.fetch(backbone, folder, on_progress=note)
    except CoreError as error:
        bar.empty()
        panels.error_box(error)
        return
    st.rerun()


def _import(backbone: Backbone, folder: Path) -> None:
    given = st.file_uploader(
        say("model.import_title"),
        type=["pth", "pt", "safetensors"],
        key="import_weights",
        help=say("model.import_help"),
    )
    if given is None:
        return
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / f"given{Path(given.name).suffix.lower()}"
        path.write_bytes(given.getbuffer())
        try:
            weights.import_file(path, backbone, folder)
        except CoreError as error:
            panels.error_box(error)
            return
    st.toast(say("model.imported", name=backbone.title))
    st.rerun()


def cards() -> None:
    """Backbones whose weights are at hand, then the others that are worth knowing, then every one by name."""
    folder = state.workspace().weights
    now = chosen()
    featured = [registry.backbone(name) for name in registry.FEATURED]
    at_hand = [one for one in featured if _at_hand(one, folder)]
    missing = _measure_missing([one.name for one in at_hand])
    _grid(at_hand, now, folder)
    with st.expander(say("model.other"), icon=":material/more_horiz:", expanded=now not in at_hand):
        _grid([one for one in featured if one not in at_hand], now, folder)
        names = [one.name for one in registry.backbones()]
        picked = st.selectbox(
            say("model.other"), names, index=names.index(now.name), key=f"any_{now.name}", help=say("model.other_help"),
            format_func=lambda name: registry.backbone(name).title,
        )  # fmt: skip
        if picked != now.name:
            choose(picked)
            st.rerun()
    if _measuring().goes_on or (missing and _works_ahead()):
        _wait_for_measuring(len(missing))


def _grid(shown: list[Backbone], now: Backbone, folder: Path) -> None:
    for start in range(0, len(shown), COLUMNS):
        for column, one in zip(st.columns(COLUMNS), shown[start : start + COLUMNS], strict=False):
            with column, card(one.name, chosen=one.name == now.name):
                _card(one, now, folder)


def _card(one: Backbone, now: Backbone, folder: Path) -> None:
    st.markdown(f"**{one.title}**")
    st.caption(say(one.good_for))
    known = speed.load(state.workspace().speeds, one.name)
    accuracy = say("model.accuracy_unknown")
    if one.imagenet_top1 is not None:
        accuracy = say("model.accuracy", accuracy=f"{one.imagenet_top1:.1f}")
    lines = [
        say("model.size", parameters=f"{one.parameters / 1e6:.1f}", megabytes=f"{one.megabytes:.0f}"),
        accuracy,
        say("model.speed", speed=f"{known.photos_per_second:.0f}") if known else _unmeasured(),
        say("model.at_hand") if _at_hand(one, folder) else say("model.to_fetch", megabytes=f"{one.megabytes:.0f}"),
    ]
    st.markdown("\n".join(f"- {line}" for line in lines), help=one.imagenet_source)
    if one.name == now.name:
        st.badge(say("model.used"), icon=":material/check:", color="green")
    elif st.button(say("model.use"), key=f"use_{one.name}"):
        choose(one.name)
        st.rerun()


def _unmeasured() -> str:
    return say("model.measuring") if _measuring().goes_on else say("model.speed_unknown")


@dataclass
class Measuring:
    """The one process that measures speeds, whichever page or tab it was begun from."""

    process: subprocess.Popen[bytes] | None = None
    tried: frozenset[str] = frozenset()  # what failed once would fail again

    @property
    def goes_on(self) -> bool:
        return self.process is not None and self.process.poll() is None


@st.cache_resource(show_spinner=False)
def _measuring() -> Measuring:
    return Measuring()


def stop_measuring() -> None:
    """Make room for a run: both would be slow, and the speed measured would be wrong. It begins again later."""
    now = _measuring()
    if now.process is not None and now.goes_on:
        now.process.terminate()
        now.process.wait()
        now.tried = frozenset()


def _works_ahead() -> bool:
    return reserve.is_busy(state.workspace().home)


def _measure_missing(names: list[str]) -> list[str]:
    """Measure in a process of its own what wasn't measured yet; never beside other work, whose speed it would share.

    Returns the names that aren't measured yet.
    """
    folder = state.workspace().speeds
    missing = [name for name in names if speed.load(folder, name) is None]
    latest = runs.list_runs(state.workspace().runs)[:3]
    if not missing or _works_ahead() or any(state.state_of(run).open for run, _ in latest):
        return missing
    now = _measuring()
    if not now.goes_on and not now.tried.issuperset(missing):
        folder.mkdir(parents=True, exist_ok=True)
        arguments = [*missing, "--into", str(folder)]
        now.process = start_module("core.models.speed", arguments, folder / "measuring.log")
        now.tried = frozenset(missing)
    return missing


@st.fragment(run_every=2.0)
def _wait_for_measuring(missing: int) -> None:
    """Draw the cards again when another backbone has been measured, and stop looking when the process has ended."""
    folder = state.workspace().speeds
    measured = sum(speed.load(folder, name) is not None for name in registry.FEATURED)
    known = st.session_state.setdefault("measured", measured)
    if measured != known or not (_measuring().goes_on or _works_ahead()):
        st.session_state["measured"] = measured
        st.rerun()
    st.caption(say("model.measuring_note", n=missing))
