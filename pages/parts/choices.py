"""The choices of the Model page: a preset fills everything in, the picture and the table change single settings."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import streamlit as st

from core import recipes
from core.config import BOUNDS, CHOICES, TrainConfig
from core.data.report import Split
from core.errors import ConfigError
from core.machine import machine
from core.models import registry, speed
from core.models.registry import Backbone
from core.words import say
from pages.parts import panels, state
from pages.parts.network import network_picture


def preset(divided: Split, backbone: Backbone) -> TrainConfig:
    """The preset's buttons and reasons; returns its settings for these photos."""
    chosen = st.segmented_control(
        say("model.preset_label"),
        recipes.PRESETS,
        default="fast",
        required=True,
        format_func=lambda name: say(f"model.preset.{name}"),
        key="preset",
        bind="query-params",
    )
    facts = recipes.Facts(
        photos=len(divided.train),
        classes=len(divided.classes),
        stages=len(backbone.stages),
        gpu=machine().gpu is not None,
    )
    made = recipes.recipe(chosen or "fast", facts, backbone=backbone.name)
    st.markdown("\n".join(f"- {reason.text}" for reason in made.reasons))
    return made.config


def depth(config: TrainConfig, backbone: Backbone, classes: int, divided: Split) -> TrainConfig:
    """The network's picture with its movable boundary, and what the chosen depth means in parameters and time."""
    stages = len(backbone.stages)
    suggested = stages if config.freeze_depth == "all" else min(stages, int(config.freeze_depth))
    key = f"depth_{backbone.name}_{config.preset}"
    frozen = st.session_state.get(key, suggested)
    rows = [(stage.name, stage.parameters, stage.output_shape) for stage in backbone.stages]
    moved = network_picture(rows, frozen, key=f"picture_{key}", interactive=True, classes=classes)
    if moved is not None and moved != frozen:
        st.session_state[key] = moved
        st.rerun()
    config = _with_depth(config, frozen, stages)
    trainable = registry.trainable_parameters(backbone, frozen, classes)
    st.markdown(
        say("model.depth_means", trainable=f"{trainable:,}", share=f"{100 * trainable / backbone.parameters:.1f}")
    )
    _estimate(config, backbone, frozen, divided)
    return config


def _with_depth(config: TrainConfig, frozen: int, stages: int) -> TrainConfig:
    """With everything frozen only the head trains; with less, there must be epochs to train the rest in."""
    if frozen == stages:
        return replace(config, freeze_depth="all", epochs=0)
    epochs = config.epochs or DEFAULT_EPOCHS
    return replace(config, freeze_depth=frozen or "none", epochs=epochs)


DEFAULT_EPOCHS = 12  # of fine-tuning, where the user unfreezes stages in a preset that has none


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
        head_epochs=config.head_epochs,
    )
    st.markdown(say("model.estimate", time=panels.duration(seconds)))


@dataclass(frozen=True)
class Field:
    """One row of "all settings": which widget shows a field of TrainConfig."""

    name: str
    widget: Callable[..., object]
    step: float | None = None
    shape: str | None = None  # how a number is written


FIELDS = (
    Field("seed", st.number_input, step=1),
    Field("head_epochs", st.number_input, step=10),
    Field("head_learning_rate", st.number_input, step=1e-3, shape="%.1e"),
    Field("epochs", st.number_input, step=1),
    Field("learning_rate", st.number_input, step=1e-5, shape="%.1e"),
    Field("batch_size", st.number_input, step=8),
    Field("optimizer", st.selectbox),
    Field("weight_decay", st.number_input, step=1e-3, shape="%.1e"),
    Field("augment", st.selectbox),
    Field("views", st.number_input, step=1),
    Field("label_smoothing", st.number_input, step=0.05, shape="%.2f"),
    Field("dropout", st.number_input, step=0.05, shape="%.2f"),
    Field("patience", st.number_input, step=1),
    Field("weights", st.selectbox),
    Field("device", st.text_input),
)


def all_settings(config: TrainConfig) -> TrainConfig:
    """Every setting in a table of widgets, filled in by the preset; what is changed here wins."""
    with st.expander(say("model.all_settings"), icon=":material/tune:"):
        columns = st.columns(2)
        changes: dict[str, object] = {}
        for place, field in enumerate(FIELDS):
            with columns[place % 2]:
                changes[field.name] = _widget(field, config)
    try:
        changed = replace(config, **changes)  # type: ignore[arg-type]
    except ConfigError as error:
        panels.error_box(error)
        return config
    if config.weights == "pretrained" and changed.weights == "scratch":
        st.warning(say("model.scratch_warning"), icon=":material/warning:")
    return changed


def _widget(field: Field, config: TrainConfig) -> object:
    label, told = say(f"settings.{field.name}.label"), say(f"settings.{field.name}.help")
    value = getattr(config, field.name)
    # A new preset or backbone brings new suggestions, so its widgets are new ones.
    key = f"set_{field.name}_{config.preset}_{config.backbone}_{value}"
    if field.name in CHOICES:
        options = CHOICES[field.name]
        return field.widget(label, options, index=options.index(value), help=told, key=key)
    if field.name in BOUNDS:
        low, high = (type(value)(bound) for bound in BOUNDS[field.name])
        return field.widget(
            label, min_value=low, max_value=high, value=value, step=type(value)(field.step or 1), format=field.shape,
            help=told, key=key,
        )  # fmt: skip
    return str(field.widget(label, value=value, help=told, key=key)).strip() or "auto"
