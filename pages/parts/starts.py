"""Where a network starts from: what its makers taught it, an earlier model of the same owner, or noise."""

from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import streamlit as st

from core.config import TrainConfig
from core.errors import CoreError
from core.models import registry
from core.models.registry import Backbone
from core.runs.store import RunDirectory, all_runs
from core.words import say
from pages.parts import backbones, panels, state

PRETRAINED, SCRATCH = "pretrained", "scratch"
MOST = 200  # earlier models to choose from, newest first


@dataclass(frozen=True)
class Earlier:
    """A finished run whose model can be built on."""

    run: str
    label: str
    backbone: str
    classes: tuple[str, ...]


def earlier() -> tuple[Earlier, ...]:
    """This owner's own runs that have a model, newest first."""
    models = (run for run in all_runs(state.workspace().runs) if run.has_model)
    return tuple(known for run in islice(models, MOST) if (known := _known(str(run.path))) is not None)


@st.cache_resource(max_entries=5 * MOST, show_spinner=False)
def _known(path: str) -> Earlier | None:
    """What is fixed about a run is read once; half a run, or one whose backbone is gone, is nothing to start from."""
    run = RunDirectory(Path(path))
    try:
        info, classes = run.info(), run.split().classes
        title = registry.backbone(info.config.backbone).title
    except CoreError:
        return None
    label = f"{info.title} · {panels.moment(info.created)} · {title} · {say('network.classes', n=len(classes))}"
    return Earlier(run.id, label, info.config.backbone, classes)


def applied(config: TrainConfig, models: tuple[Earlier, ...]) -> TrainConfig:
    """The settings with the chosen start; an earlier model of another backbone is none."""
    start = state.start()
    if start == SCRATCH:
        return replace(config, weights="scratch")
    fits = any(one.run == start and one.backbone == config.backbone for one in models)
    return replace(config, start_from=start) if fits else config


def needs_pretrained(config: TrainConfig) -> bool:
    """Whether the makers' weights are taken at all."""
    return config.weights == "pretrained" and config.copied_stages != "none" and not config.start_from


def choose(config: TrainConfig, backbone: Backbone, known: tuple[Earlier, ...]) -> None:
    """One list of all starts; an earlier model brings its backbone along."""
    models = {one.run: one for one in known}
    now = config.start_from or (SCRATCH if config.weights == "scratch" else PRETRAINED)
    if st.session_state.get("start") != now:
        st.session_state["start"] = now  # another backbone has ended an earlier model's choice
    words = {
        PRETRAINED: say("model.start_pretrained", name=backbone.title),
        SCRATCH: say("model.start_scratch"),
        **{run: one.label for run, one in models.items()},
    }

    def note() -> None:
        picked = st.session_state["start"]
        state.remember_start(picked)
        if picked in models:
            backbones.choose(models[picked].backbone)

    st.selectbox(
        say("settings.weights.label"), [PRETRAINED, *models, SCRATCH], key="start", format_func=lambda one: words[one],
        help=say("model.start_help"), on_change=note,
    )  # fmt: skip
    if (used := models.get(now)) is not None and config.copied_stages != "none":
        names = ", ".join(used.classes[:5]) + ("…" if len(used.classes) > 5 else "")
        st.markdown(panels.shown("model.start_means", n=len(used.classes), classes=names))
