"""Every setting can be typed: ``--set NAME=VALUE`` reaches the run's own file, and nothing else changes."""

import json
from dataclasses import fields, replace
from pathlib import Path

import pytest

from core import jobs
from core.__main__ import main
from core.config import BOUNDS, CHOICES, STAGE_COUNTS, SWITCHES, TrainConfig
from core.recipes import PRESETS, TEXTBOOK, Facts, recipe
from core.runs.store import RunDirectory
from tests.photos import make_folder

NAMES = [field.name for field in fields(TrainConfig)]
FREE = {"backbone": "resnet18", "start_from": "some/folder", "device": "cuda:1"}


def another(name: str) -> object:
    """A legal value that is not the default."""
    default = getattr(TrainConfig(), name)
    if name in CHOICES:
        return next(value for value in CHOICES[name] if value != default)
    if name in SWITCHES:
        return not default
    if name in STAGE_COUNTS:
        return 3
    if name in BOUNDS:
        low, high = BOUNDS[name]
        if isinstance(default, int):
            return default + 1 if default < high else int(low)
        return round((default + high) / 2, 6) if default < high else low
    return FREE[name]


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    return make_folder(tmp_path_factory.mktemp("photos"), per_class=4)


@pytest.fixture
def written(tmp_path, photos, monkeypatch, capsys):
    """Types a command up to the moment when training would begin; returns the settings in the run's file."""
    monkeypatch.setattr(jobs, "_train", lambda run: {"run": str(run.path)})

    def type_in(*typed: str) -> TrainConfig:
        out = tmp_path / f"run{len(list(tmp_path.iterdir()))}"
        assert main(["train", str(photos), "--out", str(out), *typed]) == 0, capsys.readouterr()
        return RunDirectory(out).info().config

    return type_in


@pytest.mark.parametrize("name", NAMES)
def test_a_typed_setting_is_in_the_runs_file_and_changes_no_other(written, name):
    value = another(name)
    assert value != getattr(TrainConfig(), name)
    # A preset fills in the rest as well, typed either way.
    untouched = written("--preset", str(value)) if name == "preset" else written()
    assert written("--set", f"{name}={value}") == replace(untouched, **{name: value})


def test_many_settings_at_once(written):
    typed = {name: another(name) for name in NAMES if name not in ("backbone", "freeze_depth")}
    config = written(*(part for name, value in typed.items() for part in ("--set", f"{name}={value}")))
    assert {name: getattr(config, name) for name in typed} == typed


def test_a_backbone_typed_as_a_setting_is_the_one_that_the_preset_is_made_for(written, monkeypatch):
    monkeypatch.setattr("core.recipes.FEW_PHOTOS", 1)
    by_setting = written("--preset", "balanced", "--set", "backbone=resnet18")
    by_option = written("--preset", "balanced", "--backbone", "resnet18")
    assert by_setting == by_option
    assert by_setting.freeze_depth < 4  # ResNet-18 has four stages


def test_a_seed_typed_as_a_setting_divides_the_photos_as_well(tmp_path, photos, monkeypatch):
    monkeypatch.setattr(jobs, "_train", lambda run: {"run": str(run.path)})
    for name, typed in (("a", ["--seed", "7"]), ("b", ["--set", "seed=7"]), ("c", [])):
        assert main(["train", str(photos), "--out", str(tmp_path / name), *typed]) == 0
    splits = [json.loads((tmp_path / name / "split.json").read_text("utf-8"))["train"] for name in "abc"]
    assert splits[0] == splits[1] != splits[2]


@pytest.mark.parametrize("preset", [*PRESETS, *TEXTBOOK])
@pytest.mark.parametrize("gpu", [False, True])
@pytest.mark.parametrize("photos_in_all", [30, 60_000])
def test_every_recipe_gives_each_setting_its_fields_type(preset, gpu, photos_in_all):
    """A whole number where a fraction is meant would refuse “0.5” when typed after it."""
    config = recipe(preset, Facts(photos_in_all, 3, 8, gpu), backbone="efficientnet_lite0").config
    for name in NAMES:
        if name not in STAGE_COUNTS:
            assert type(getattr(config, name)) is type(getattr(TrainConfig(), name)), name
