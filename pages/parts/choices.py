"""The choices of the Model page together: a preset fills everything in, what is changed elsewhere wins over it."""

from dataclasses import dataclass, fields, replace
from typing import cast

import streamlit as st

from core import recipes
from core.config import Preset, TrainConfig
from core.data.report import Split
from core.machine import machine
from core.models.registry import Backbone
from core.words import say
from pages.parts import backbones, scope, settings, starts, state
from pages.parts.scope import Scope
from pages.parts.starts import Earlier

ALWAYS_SAME = ("preset", "epochs")  # named by themselves, or changed along with the frozen stages


@dataclass(frozen=True)
class Plan:
    """What the page comes to: the preset's own word, the same fitted to start and scope, and the settings to run."""

    preset: TrainConfig
    suggested: TrainConfig
    config: TrainConfig
    scope: Scope
    models: tuple[Earlier, ...]  # that can be started from


def plan(divided: Split, backbone: Backbone) -> Plan:
    """The preset's buttons and reasons, and everything that was chosen since on the page."""
    made = recipes.recipe(_preset(), _facts(divided, backbone), backbone=backbone.name)
    st.markdown("\n".join(f"- {reason.text}" for reason in made.reasons))
    preset, stages = made.config, len(backbone.stages)
    models = starts.earlier()
    suggested = starts.applied(replace(preset, backbone=backbone.name), models)
    chosen = scope.chosen(preset, backbone, scratch=suggested.weights == "scratch")
    suggested = scope.applied(suggested, chosen, stages)
    found = Plan(preset, suggested, settings.changed(suggested), chosen, models)
    _differences(found, backbone)
    return found


def _facts(divided: Split, backbone: Backbone) -> recipes.Facts:
    return recipes.Facts(
        photos=len(divided.train),
        classes=len(divided.classes),
        stages=len(backbone.stages),
        gpu=machine().gpu is not None,
    )


def _preset() -> Preset:
    """Three buttons; a textbook set-up gets one of its own once it was asked for."""
    if (asked := backbones.textbook_asked()) is not None:
        state.remember_textbook(asked)
    with st.container(horizontal=True, vertical_alignment="bottom", key="preset_row"):
        chosen = st.segmented_control(
            say("model.preset_label"),
            [*recipes.PRESETS, *(one for one in backbones.textbooks() if one == state.textbook())],
            default="fast",
            required=True,
            format_func=lambda name: say(f"model.preset.{name}"),
            key="preset",
            bind="query-params",
        )
        with st.popover(say("model.textbook"), icon=":material/menu_book:", type="tertiary", key="textbooks"):
            st.markdown(say("model.textbook_means"))
            for one in backbones.textbooks():
                _textbook(one)
    return cast(Preset, chosen or "fast")


def _textbook(one: Preset) -> None:
    def use() -> None:
        state.remember_textbook(one)
        st.session_state["preset"] = one
        state.remember_start(starts.PRETRAINED)
        backbones.choose(recipes.TEXTBOOK[one])

    st.markdown(f"**{say(f'model.preset.{one}')}**  \n{say(f'recipes.reason.{one}')}")
    st.button(say("model.use"), key=f"use_{one}", on_click=use)


def _differences(found: Plan, backbone: Backbone) -> None:
    """What is not as the preset would have it, and one button back to that."""
    labels = [say(f"settings.{name}.label") for name in differing(found, len(backbone.stages))]
    if not labels:
        return
    name = say(f"model.preset.{found.preset.preset}")

    def back() -> None:
        settings.reset(found.suggested)
        state.remember_scope(backbone.name, found.preset.preset, None)
        state.remember_start(starts.PRETRAINED)
        backbones.choose(found.preset.backbone)

    with st.container(horizontal=True, vertical_alignment="center", key="changed"):
        st.markdown(say("model.changed", names=", ".join(labels)), width="content")
        st.button(say("model.back", preset=name), key="back", icon=":material/undo:", type="tertiary", on_click=back)


def differing(found: Plan, stages: int) -> list[str]:
    """The fields in which the run would differ from its preset, in the order of the config."""
    preset, config = found.preset, found.config
    names = [field.name for field in fields(config) if field.name not in ALWAYS_SAME]
    own = [name for name in names if getattr(config, name) != getattr(preset, name)]
    # The same depth may be written as a number or as a word.
    suggestion = scope.suggestion(preset, stages)
    same = {
        "freeze_depth": suggestion.frozen == found.scope.frozen,
        "copied_stages": suggestion.copied == found.scope.copied,
    }
    own = [name for name in own if not same.get(name, False)]
    return [*own, "epochs"] if config.epochs != found.suggested.epochs else own
