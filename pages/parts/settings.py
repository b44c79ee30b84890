"""All settings of a run in groups: what is changed here wins over the preset, and what means nothing isn't shown."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import streamlit as st

from core.config import BOUNDS, CHOICES, TrainConfig
from core.errors import ConfigError
from core.words import has, say
from pages.parts import panels, state
from pages.parts.objective import formula

COLUMNS = 3
DEVICES = ("auto", "cpu", "cuda")


def _always(_: TrainConfig) -> bool:
    return True


def fine_tunes(config: TrainConfig) -> bool:
    return config.freeze_depth != "all"


def copies_all(config: TrainConfig) -> bool:
    return config.copied_stages == "all" and config.weights == "pretrained"


def head_learns_alone(config: TrainConfig) -> bool:
    """The features of a body that is partly noise mean nothing yet: there, all learn together."""
    return copies_all(config) and (config.head_first or not fine_tunes(config))


@dataclass(frozen=True)
class Field:
    """One setting: the step of its number, and when it means something."""

    name: str
    step: float = 1
    when: Callable[[TrainConfig], bool] = _always


SHAPE = "%.6g"  # numbers with a point, written without the noise of their last digits
# Settings with a place of their own: the cards, the picture, the slider below it, the starting point, the preset.
ELSEWHERE = ("backbone", "freeze_depth", "copied_stages", "weights", "start_from", "preset")
GROUPS: dict[str, tuple[Field, ...]] = {
    "photos": (
        Field("augment"),
        Field("views", when=lambda c: c.augment != "none"),
        Field("normalization"),
        Field("mixup", 0.1),
        Field("cutmix", 0.1),
        Field("class_balance"),
        Field("pseudo_labels", 0.05),
    ),
    "head": (
        Field("head"),
        Field("hidden_layers", when=lambda c: c.head == "hidden"),
        Field("hidden_units", 64, when=lambda c: c.head == "hidden"),
        Field("dropout", 0.05),
        Field("center_features", when=copies_all),
        Field("head_first", when=lambda c: fine_tunes(c) and copies_all(c)),
        Field("head_epochs", 10, when=head_learns_alone),
        Field("head_batch_size", 16, when=lambda c: head_learns_alone(c) and c.optimizer != "gradient_descent"),
        Field("head_learning_rate", 1e-4, when=head_learns_alone),
        Field("head_schedule", when=head_learns_alone),
        Field("head_patience", when=head_learns_alone),
        Field("refit", when=head_learns_alone),
    ),
    "finetuning": (
        Field("epochs", when=fine_tunes),
        Field("batch_size", 8, when=fine_tunes),
        Field("learning_rate", 1e-5, when=fine_tunes),
        Field("stage_decay", 0.1, when=fine_tunes),
        Field("head_boost", 1.0, when=fine_tunes),
        Field("schedule", when=fine_tunes),
        Field("warm_up", 0.05, when=fine_tunes),
        Field("norm_statistics", when=fine_tunes),
    ),
    "objective": (
        Field("loss"),
        Field("focal_gamma", 0.5, when=lambda c: c.loss == "focal"),
        Field("label_smoothing", 0.05),
        Field("regularizer"),
        Field("regularization", 1e-4, when=lambda c: c.regularizer != "none"),
    ),
    "optimiser": (
        Field("optimizer"),
        Field("momentum", 0.05, when=lambda c: c.optimizer == "momentum"),
        Field("weight_decay", 1e-3),
        Field("clip_norm", 0.5),
        Field("ema", 0.01),
        Field("patience"),
    ),
    "machine": (
        Field("seed"),
        Field("precision", when=fine_tunes),
        Field("kept_gigabytes", 1.0),
        Field("device"),
    ),
}
FIELDS = {field.name: field for group in GROUPS.values() for field in group}


def changed(suggested: TrainConfig) -> TrainConfig:
    """The suggested settings with what was changed here, as far as it means something beside the rest."""
    changes = {name: value for name, value in state.changes(suggested.preset).items() if name in FIELDS}
    try:
        wanted = replace(suggested, **changes)  # type: ignore[arg-type]
        kept = {name: value for name, value in changes.items() if FIELDS[name].when(wanted)}
        return replace(suggested, **kept)  # type: ignore[arg-type]
    except ConfigError as error:
        panels.error_box(error)
        return suggested


def reset(suggested: TrainConfig) -> None:
    """Forget what was changed, in the widgets that are on the page as well."""
    state.changes(suggested.preset).clear()
    for field in FIELDS.values():
        if (key := _key(field, suggested)) in st.session_state:
            st.session_state[key] = getattr(suggested, field.name)


def all_settings(config: TrainConfig, suggested: TrainConfig, classes: int) -> None:
    """Every setting in its group, filled in by the preset; what is closed is not drawn at all."""
    place = st.expander(say("model.all_settings"), icon=":material/tune:", key="all_settings", on_change="rerun")
    if not place.open:
        return
    with place:
        for name, group in GROUPS.items():
            shown = [field for field in group if field.when(config)]
            if not shown:
                continue
            st.markdown(f"##### {say(f'model.group.{name}')}")
            if name == "objective":
                st.latex(formula(config, classes))
                st.caption(say("model.objective_means"))
            _rows(shown, config, suggested)


def _rows(fields: list[Field], config: TrainConfig, suggested: TrainConfig) -> None:
    """Row by row, so that the order stays right where columns are stacked."""
    for start in range(0, len(fields), COLUMNS):
        columns = st.columns(COLUMNS, vertical_alignment="bottom")
        for column, field in zip(columns, fields[start : start + COLUMNS], strict=False):
            with column:
                _widget(field, config, suggested)


def _key(field: Field, suggested: TrainConfig) -> str:
    # Another preset, or another suggestion of it, gets a widget of its own.
    return f"set_{field.name}_{suggested.preset}_{getattr(suggested, field.name)}"


def _widget(field: Field, config: TrainConfig, suggested: TrainConfig) -> None:
    name, value, key = field.name, getattr(config, field.name), _key(field, suggested)
    if key not in st.session_state:
        st.session_state[key] = value

    def note() -> None:
        _note(name, st.session_state[key], suggested)

    label, told = say(f"settings.{name}.label"), say(f"settings.{name}.help")
    if name in CHOICES or name == "device":
        st.selectbox(
            label, CHOICES.get(name, DEVICES), key=key, help=told, on_change=note, accept_new_options=name == "device",
            format_func=lambda option: option_words(name, option),
        )  # fmt: skip
    elif isinstance(value, bool):
        st.toggle(label, key=key, help=told, on_change=note)
    else:
        low, high = (type(value)(bound) for bound in BOUNDS[name])
        if name == "epochs":
            low = 1  # where stages may learn, they need epochs to learn in
        shape = SHAPE if isinstance(value, float) else None
        st.number_input(
            label, min_value=low, max_value=high, step=type(value)(field.step), format=shape, key=key, help=told,
            on_change=note,
        )  # fmt: skip


def _note(name: str, value: object, suggested: TrainConfig) -> None:
    changes = state.changes(suggested.preset)
    if value is None or value == getattr(suggested, name):
        changes.pop(name, None)
    else:
        changes[name] = value.strip() if isinstance(value, str) else value


def option_words(name: str, option: str) -> str:
    """A value as people say it; a device that was typed stays as it is."""
    return say(f"options.{name}.{option}") if has(f"options.{name}.{option}") else option
