"""The scope of transfer and of training: how many stages are copied and how many stay frozen, drawn and costed."""

from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import streamlit as st

from core.config import FreezeDepth, TrainConfig
from core.data.report import Split
from core.models import registry, speed
from core.models.registry import Backbone
from core.words import say
from pages.parts import panels, state
from pages.parts.network import network_picture
from pages.parts.settings import head_learns_alone

DEFAULT_EPOCHS = 12  # of fine-tuning, where the user unfreezes stages in a preset that has none


class Scope(NamedTuple):
    """Counted from the photo: the first ``frozen`` stages keep their weights, all but ``copied`` start from noise.

    Frozen noise learns nothing: ``frozen`` is never above ``copied``.
    """

    frozen: int
    copied: int

    def freezing(self, frozen: int) -> "Scope":
        return Scope(frozen, max(self.copied, frozen))

    def copying(self, copied: int) -> "Scope":
        return Scope(min(self.frozen, copied), copied)


def chosen(suggested: TrainConfig, backbone: Backbone, scratch: bool) -> Scope:
    """What was chosen for this preset and backbone, else what the preset suggests; from noise, nothing is copied."""
    stages = len(backbone.stages)
    if scratch:
        return Scope(0, 0)
    known = state.scope(backbone.name, suggested.preset)
    return Scope(*known) if known is not None else suggestion(suggested, stages)


def suggestion(suggested: TrainConfig, stages: int) -> Scope:
    copied = _counted(suggested.copied_stages, stages)
    return Scope(min(_counted(suggested.freeze_depth, stages), copied), copied)


def _counted(depth: FreezeDepth, stages: int) -> int:
    return {"all": stages, "none": 0}[depth] if isinstance(depth, str) else min(depth, stages)


def applied(config: TrainConfig, scope: Scope, stages: int) -> TrainConfig:
    """With everything frozen only the head trains; with less, there must be epochs to train the rest in."""
    frozen, copied = (_named(count, stages) for count in (scope.frozen, scope.copied))
    epochs = 0 if frozen == "all" else config.epochs or DEFAULT_EPOCHS
    return replace(config, freeze_depth=frozen, copied_stages=copied, epochs=epochs)


def _named(count: int, stages: int) -> FreezeDepth:
    return "all" if count == stages else count or "none"


def show(config: TrainConfig, scope: Scope, backbone: Backbone, divided: Split) -> None:
    """The network's picture with its movable cut, how much is copied, and what that means in weights and time."""
    stages, classes = len(backbone.stages), len(divided.classes)
    remember = partial(state.remember_scope, backbone.name, config.preset)
    scratch = config.weights == "scratch"
    rows = [(stage.name, stage.parameters, stage.output_shape) for stage in backbone.stages]
    network_picture(
        rows,
        scope.frozen,
        copied=scope.copied,
        key=f"picture_{backbone.name}_{config.preset}",
        interactive=not scratch,
        classes=classes,
        on_change=lambda depth: remember(scope.freezing(depth)),
    )
    if not scratch:
        _copied(scope, stages, f"copied_{backbone.name}_{config.preset}", remember)
    if scope.copied == 0:
        st.warning(say("model.scratch_warning"), icon=":material/warning:")
    learning = trainable_parameters(config, backbone, scope.frozen, classes)
    share = f"{100 * learning / backbone.parameters:.1f}"
    key = "model.depth_means" if scope.copied == stages else "model.scope_means"
    st.markdown(say(key, trainable=f"{learning:,}", share=share))
    _estimate(config, backbone, scope.frozen, divided)


def _copied(scope: Scope, stages: int, key: str, remember: partial[None]) -> None:
    # The cut in the picture may have moved it. Set only then: a slider that is set jumps back under a moving hand.
    if st.session_state.get(key) != scope.copied:
        st.session_state[key] = scope.copied
    st.slider(
        say("model.copied"), 0, stages, key=key, help=say("settings.copied_stages.help"), width=360,
        on_change=lambda: remember(scope.copying(st.session_state[key])),
    )  # fmt: skip


def trainable_parameters(config: TrainConfig, backbone: Backbone, frozen: int, classes: int) -> int:
    """How many numbers learn, the chosen kind of head included."""
    linear = (backbone.feature_width + 1) * classes
    body = registry.trainable_parameters(backbone, frozen, classes) - linear
    return body + head_parameters(config, backbone.feature_width, classes)


def head_parameters(config: TrainConfig, width: int, classes: int) -> int:
    """As core.models.head builds it, counted without torch."""
    if config.head == "cosine":
        return width * classes + 1
    widths = [width, *([config.hidden_units] * config.hidden_layers if config.head == "hidden" else []), classes]
    return sum((before + 1) * after for before, after in pairwise(widths))


def _estimate(config: TrainConfig, backbone: Backbone, frozen: int, divided: Split) -> None:
    measured = speed.load(state.workspace().speeds, backbone.name)
    if measured is None:
        st.caption(say("model.no_estimate"))
        return
    seconds = speed.estimate_seconds(
        measured,
        frozen_stages=frozen,
        train_photos=len(divided.train),
        val_photos=len(divided.val),
        views=config.views,
        epochs=config.epochs,
        head_epochs=config.head_epochs if head_learns_alone(config) else 0,
    )
    st.markdown(say("model.estimate", time=panels.duration(seconds)))
