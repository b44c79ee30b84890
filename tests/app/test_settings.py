"""The Model page: every setting reaches the run, what is changed is told, and one button takes it back."""

import json
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from core import recipes
from core.config import CHOICES, TrainConfig
from core.machine import machine
from core.models import registry
from core.runs import RunDirectory
from core.words import has, say
from core.workspace import Workspace
from pages.parts import scope, settings
from tests.app.conftest import Recorder, finish, make_photos, make_run

Visit = Callable[..., AppTest]
LITE = "efficientnet_lite0"
# Fields that "all settings" leaves out, and where on the page they are chosen instead.
ELSEWHERE = {
    "backbone": "the cards",
    "freeze_depth": "the picture of the network",
    "copied_stages": "the slider below it",
    "weights": "the list of starts",
    "start_from": "the list of starts",
    "preset": "the buttons on top",
}
# One value for each that differs from what every preset suggests. Those that bring others along come first.
CHANGED: dict[str, object] = {
    "head": "hidden", "loss": "focal", "regularizer": "l2sp", "optimizer": "momentum", "augment": "standard",
    "seed": 7, "hidden_layers": 2, "hidden_units": 99, "dropout": 0.3, "center_features": False, "head_epochs": 41,
    "head_batch_size": 77, "head_learning_rate": 0.002, "head_schedule": "step", "epochs": 3, "batch_size": 17,
    "learning_rate": 0.0007, "stage_decay": 0.25, "head_boost": 3.0, "schedule": "constant", "warm_up": 0.2,
    "momentum": 0.8, "weight_decay": 0.02, "clip_norm": 2.0, "label_smoothing": 0.2, "focal_gamma": 3.0,
    "regularization": 0.05, "class_balance": "sampling", "views": 3, "mixup": 0.3, "cutmix": 0.9,
    "normalization": "symmetric", "ema": 0.9, "patience": 9, "head_patience": 8, "refit": "all",
    "norm_statistics": "batch", "precision": "bfloat16", "kept_gigabytes": 2.5, "pseudo_labels": 0.9,
    "device": "cpu", "head_first": False,
}  # fmt: skip
BRING_OTHERS = ("head", "loss", "regularizer", "optimizer", "augment")


def opened(visit: Visit, photos: Any, preset: str = "fast", frozen: int | None = None) -> AppTest:
    """The page with "all settings" open, and so many stages frozen."""
    page = visit("model", set=photos.id)
    page.session_state["all_settings"] = True
    if frozen is not None:
        stages = len(registry.backbone(LITE).stages)
        page.session_state["scopes"] = {(LITE, preset): (frozen, stages)}
    return page.run()


def widget(page: AppTest, name: str, preset: str = "fast") -> Any:
    for kind in (page.number_input, page.selectbox, page.toggle):
        for one in kind:
            if one.key.startswith(f"set_{name}_{preset}_"):
                return one
    raise AssertionError(f"{name} isn't on the page")


def on_page(page: AppTest, preset: str = "fast") -> set[str]:
    keys = [one.key or "" for kind in (page.number_input, page.selectbox, page.toggle) for one in kind]
    return {name for name in settings.FIELDS if any(key.startswith(f"set_{name}_{preset}_") for key in keys)}


def started(page: AppTest, recorder: Recorder) -> TrainConfig:
    """The settings of the run that the button starts."""
    page.button(key="start_training").click().run()
    assert not page.exception
    told = json.loads((recorder.started[-1].path / "config.json").read_text("utf-8"))
    return TrainConfig.from_json(told["config"])


def fast(**changes: Any) -> TrainConfig:
    """What the Fast preset suggests; it looks at nothing but the stages."""
    facts = recipes.Facts(photos=10, classes=3, stages=8, gpu=False)
    return replace(recipes.recipe("fast", facts, backbone=LITE).config, **changes)


def test_every_field_of_a_run_is_on_the_page() -> None:
    assert {field.name for field in fields(TrainConfig)} == set(settings.FIELDS) | set(ELSEWHERE)
    assert set(ELSEWHERE) == set(settings.ELSEWHERE)


def test_every_choice_has_words_and_none_is_a_raw_name() -> None:
    options = {name: CHOICES[name] for name in settings.FIELDS if name in CHOICES} | {"device": settings.DEVICES}
    assert [f"{name}.{one}" for name, many in options.items() for one in many if not has(f"options.{name}.{one}")] == []
    assert settings.option_words("optimizer", "gradient_descent") == "Gradient descent, all photos at once"
    assert settings.option_words("device", "cuda:1") == "cuda:1"


def test_every_setting_reaches_the_run(visit: Visit, workspace: Workspace, recorder: Recorder) -> None:
    assert set(CHANGED) == set(settings.FIELDS)
    page = opened(visit, make_photos(workspace), frozen=6)
    suggested = fast(freeze_depth=6, epochs=scope.DEFAULT_EPOCHS)
    for name in BRING_OTHERS:
        widget(page, name).set_value(CHANGED[name])
    page.run()
    for name, value in CHANGED.items():
        assert value != getattr(suggested, name), f"{name} wouldn't show a change"
        if name not in (*BRING_OTHERS, "head_first"):
            widget(page, name).set_value(value)
    page.run()
    wanted = replace(suggested, **{**CHANGED, "head_first": True})
    assert started(page, recorder) == wanted


def test_without_a_head_first_its_settings_are_gone(visit: Visit, workspace: Workspace, recorder: Recorder) -> None:
    page = opened(visit, make_photos(workspace), frozen=6)
    assert "head_epochs" in on_page(page)
    widget(page, "head_epochs").set_value(41).run()
    widget(page, "head_first").set_value(False).run()
    assert not on_page(page) & {"head_epochs", "head_batch_size", "head_learning_rate", "head_schedule"}
    assert started(page, recorder) == fast(freeze_depth=6, epochs=scope.DEFAULT_EPOCHS, head_first=False)


def test_what_is_hidden_keeps_the_presets_value(visit: Visit, workspace: Workspace, recorder: Recorder) -> None:
    page = opened(visit, make_photos(workspace))
    assert not on_page(page) & {"focal_gamma", "hidden_layers", "hidden_units", "momentum", "regularization", "views"}
    assert not on_page(page) & {field.name for field in settings.GROUPS["finetuning"]}
    widget(page, "loss").set_value("focal").run()
    widget(page, "focal_gamma").set_value(4.0).run()
    widget(page, "loss").set_value("mse").run()
    assert "focal_gamma" not in on_page(page)
    assert started(page, recorder) == fast(loss="mse")


def test_all_photos_at_once_need_no_batches_of_the_head(visit: Visit, workspace: Workspace) -> None:
    page = opened(visit, make_photos(workspace))
    assert "head_batch_size" in on_page(page)
    widget(page, "optimizer").set_value("gradient_descent").run()
    assert "head_batch_size" not in on_page(page)


def test_what_is_changed_is_named_and_one_button_takes_it_back(
    visit: Visit, workspace: Workspace, recorder: Recorder
) -> None:
    page = opened(visit, make_photos(workspace))
    assert not [button for button in page.button if button.key == "back"]
    widget(page, "optimizer").set_value("sgd")
    widget(page, "seed").set_value(5)
    page.slider[0].set_value(3).run()
    told = [text.value for text in page.markdown if text.value.startswith("Changed:")]
    assert told == ["Changed: Frozen stages, Copied stages, Seed, Optimiser"]
    page.button(key="back").click().run()
    assert not page.exception
    assert not [text for text in page.markdown if text.value.startswith("Changed:")]
    assert (widget(page, "optimizer").value, widget(page, "seed").value) == ("adamw", 0)
    assert page.slider[0].value == 8
    assert started(page, recorder) == fast()


def test_what_was_changed_is_still_there_after_another_page(visit: Visit, workspace: Workspace) -> None:
    page = opened(visit, make_photos(workspace))
    widget(page, "head_epochs").set_value(41).run()
    page.switch_page("photos.py").run()
    page.switch_page("model.py").run()
    assert any(text.value == "Changed: Head epochs" for text in page.markdown)
    page.session_state["all_settings"] = True
    assert widget(page.run(), "head_epochs").value == 41


@pytest.mark.parametrize(
    ("copied", "frozen", "written"), [(8, 8, ("all", "all")), (5, 5, (5, 5)), (0, 0, ("none", "none"))]
)
def test_copying_fewer_stages_thaws_those_that_are_noise(
    visit: Visit, workspace: Workspace, recorder: Recorder, copied: int, frozen: int, written: tuple[object, object]
) -> None:
    page = opened(visit, make_photos(workspace))
    page.slider[0].set_value(copied).run()
    assert page.session_state["scopes"].get((LITE, "fast"), (8, 8)) == (frozen, copied)
    assert bool(page.warning) is (copied == 0)
    config = started(page, recorder)
    assert (config.freeze_depth, config.copied_stages) == written
    assert (config.epochs > 0) is (copied < 8)


def test_starting_from_noise_copies_nothing(visit: Visit, workspace: Workspace, recorder: Recorder) -> None:
    page = visit("model", set=make_photos(workspace).id)
    page.selectbox(key="start").set_value("scratch").run()
    assert [box.value for box in page.warning] == [say("model.scratch_warning")]
    assert not page.slider
    config = started(page, recorder)
    assert (config.weights, config.freeze_depth, config.copied_stages) == ("scratch", "none", "none")
    assert config.epochs == scope.DEFAULT_EPOCHS


def test_from_noise_a_run_needs_no_weights(visit: Visit, workspace: Workspace, recorder: Recorder) -> None:
    page = visit("model", set=make_photos(workspace).id, backbone="resnet18")
    assert page.button(key="start_training").disabled
    page.selectbox(key="start").set_value("scratch").run()
    assert not page.button(key="start_training").disabled
    assert started(page, recorder).backbone == "resnet18"


def earlier_run(workspace: Workspace, recorder: Recorder, backbone: str, **place: Any) -> RunDirectory:
    config = TrainConfig(backbone=backbone)
    return finish(make_run(workspace, make_photos(workspace, **place), recorder, config))


def test_a_run_can_start_from_an_earlier_model_of_its_backbone(
    visit: Visit, workspace: Workspace, recorder: Recorder
) -> None:
    before = earlier_run(workspace, recorder, "efficientnet_lite1", classes=("cats", "dogs"))
    make_run(workspace, make_photos(workspace), recorder)  # has no model
    stranger = Workspace(workspace.root, "someone-else")
    earlier_run(stranger, recorder, LITE)
    page = visit("model", set=make_photos(workspace).id)
    starts = page.selectbox(key="start")
    assert len(starts.options) == 3
    assert "cats" in starts.options[1]
    assert "EfficientNet-Lite1" in starts.options[1]
    starts.set_value(before.id).run()
    assert page.session_state["backbone"] == "efficientnet_lite1"
    assert any("(cats, dogs) is replaced by one for your classes" in text.value for text in page.markdown)
    config = started(page, recorder)
    assert (config.start_from, config.backbone) == (before.id, "efficientnet_lite1")


def test_another_backbone_ends_the_start_from_an_earlier_model(
    visit: Visit, workspace: Workspace, recorder: Recorder
) -> None:
    before = earlier_run(workspace, recorder, LITE)
    page = visit("model", set=make_photos(workspace).id)
    page.selectbox(key="start").set_value(before.id).run()
    page.button(key="use_efficientnet_lite2").click().run()
    assert page.selectbox(key="start").value == "pretrained"
    config = started(page, recorder)
    assert (config.start_from, config.backbone) == ("", "efficientnet_lite2")


@pytest.mark.parametrize("name", recipes.TEXTBOOK)
def test_a_textbook_set_up_brings_its_backbone_and_shows_its_values(
    visit: Visit, workspace: Workspace, name: recipes.Preset
) -> None:
    page = opened(visit, make_photos(workspace))
    page.button(key=f"use_{name}").click().run()
    assert not page.exception
    assert page.session_state["backbone"] == recipes.TEXTBOOK[name]
    assert page.button(key="fetch_weights")
    assert page.button(key="start_training").disabled
    facts = recipes.Facts(photos=15, classes=3, stages=1, gpu=machine().gpu is not None)
    config = recipes.recipe(name, facts).config
    shown = on_page(page, name)
    assert {"optimizer", "head_epochs", "head_learning_rate", "weight_decay", "dropout"} <= shown
    assert {one: widget(page, one, name).value for one in shown} == {one: getattr(config, one) for one in shown}
    assert not [text for text in page.markdown if text.value.startswith("Changed:")]


def test_a_textbook_set_up_can_be_linked_to(visit: Visit, workspace: Workspace) -> None:
    page = visit("model", set=make_photos(workspace).id, preset=say("model.preset.textbook_resnet18"))
    assert not page.exception
    assert page.session_state["preset"] == "textbook_resnet18"
    assert page.session_state["backbone"] == "resnet18"


def test_the_preview_shows_the_changes_that_training_makes(visit: Visit, workspace: Workspace) -> None:
    page = opened(visit, make_photos(workspace))
    page.session_state["preview"] = True
    page.run()
    assert not page.exception
    assert pictures(page) == [2, 2, 2]  # each photo as it is, and as numbers
    widget(page, "augment").set_value("standard").run()
    assert pictures(page) == [5, 5, 5]
    widget(page, "normalization").set_value("unit").run()
    (table,) = [text.value for text in page.markdown if "| mean |" in text.value]
    numbers = [float(cell) for line in table.splitlines()[2:] for cell in line.replace("−", "-").split("|")[2:5]]
    assert len(numbers) == 12
    assert 0 <= min(numbers) <= max(numbers) <= 1
    assert "(value / 255 − (0, 0, 0)) / (1, 1, 1)" in "".join(text.value for text in page.markdown)


def pictures(page: AppTest) -> list[int]:
    return [len(one.proto.imgs) for one in page.main if one.type == "image"]
