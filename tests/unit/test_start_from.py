"""Going on from a model that was trained earlier: its stages are taken, its classes replaced."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from core.config import TrainConfig
from core.data.report import Split
from core.data.scan import scan
from core.data.split import split
from core.errors import CoreError, ModelError, RunError
from core.events import PhaseStarted, WeightsReady
from core.models.build import build
from core.models.files import WeightsFile, hashed
from core.models.registry import backbone
from core.models.weights import find
from core.runs.store import RunDirectory
from core.training.obtain import earlier_model
from tests.photos import make_folder
from tests.trained import PLAIN, assert_same, new_run, train

PROJECT = Path(__file__).parent.parent.parent
FIRST = replace(
    PLAIN, freeze_depth=7, head_epochs=2, head_first=False, epochs=2, batch_size=4, learning_rate=0.01, optimizer="sgd"
)
SECOND = replace(PLAIN, head_epochs=3, head_learning_rate=1e-2)


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def earlier(tmp_path_factory, cache, runs) -> RunDirectory:
    """Two classes, the last stage fine-tuned."""
    two = split(scan(make_folder(tmp_path_factory.mktemp("two"), per_class=5, classes=("cat", "dog"))))
    run = new_run(runs, FIRST, two)
    train(run, cache)
    return run


@pytest.fixture(scope="module")
def three(tmp_path_factory) -> Split:
    return split(scan(make_folder(tmp_path_factory.mktemp("three"), per_class=5)))


def stages(run: RunDirectory) -> dict[str, torch.Tensor]:
    return {name: value for name, value in load_file(run.model).items() if name.startswith("stages.")}


def test_an_earlier_models_stages_carry_a_new_head_for_other_classes(cache, runs, earlier, three):
    run = new_run(runs, replace(SECOND, start_from=earlier.id), three)
    events = train(run, cache)
    assert_same(stages(run), stages(earlier))
    assert load_file(earlier.model)["head.layers.output.weight"].shape == (2, 1280)
    assert load_file(run.model)["head.layers.output.weight"].shape == (3, 1280)
    ready = next(event for event in events if isinstance(event, WeightsReady))
    assert (ready.source, ready.sha256) == ("run", hashed(earlier.model))
    assert [event.phase for event in events if isinstance(event, PhaseStarted)] == ["photos", "head", "test"]
    card = json.loads(run.model_card.read_text("utf-8"))
    assert (card["classes"], card["weights"]["source"]) == (list(three.classes), "run")


def test_its_features_are_its_own_and_not_imagenets(cache, runs, earlier, three):
    """The head's mean is the mean of the features it learnt on; the plain networks give what it should be."""
    config = replace(SECOND, center_features=True, head_epochs=1)
    imagenet, ours = new_run(runs, config, three), new_run(runs, replace(config, start_from=str(earlier.path)), three)
    for run in (imagenet, ours):
        train(run, cache)
    row = backbone("efficientnet_lite0")
    pretrained = build("efficientnet_lite0", 3, weights=find(row, cache / "weights")).state_dict()
    assert any(not torch.equal(value, pretrained[name]) for name, value in stages(earlier).items())
    ours_mean, imagenet_mean = (load_file(run.model)["head.mean"].numpy() for run in (ours, imagenet))
    assert np.abs(ours_mean - imagenet_mean).max() > 1e-3


def test_fine_tuning_goes_on_from_the_earlier_stages(cache, runs, earlier, three):
    """At a rate of next to nothing everything ends where it began."""
    config = replace(FIRST, start_from=earlier.id, epochs=1, learning_rate=1e-8, optimizer="sgd")
    run = new_run(runs, config, three)
    train(run, cache)
    for name, value in stages(run).items():
        if value.dim() == 4:
            torch.testing.assert_close(value, stages(earlier)[name], atol=1e-6, rtol=1e-5)


def test_another_backbone_is_refused_by_both_names(runs, earlier, three):
    run = new_run(runs, replace(SECOND, start_from=earlier.id, backbone="resnet18"), three)
    with pytest.raises(CoreError) as error:
        earlier_model(run.info().config, run)
    assert "efficientnet_lite0" in error.value.message
    assert "resnet18" in error.value.message
    assert "efficientnet_lite0" in error.value.hint


@pytest.mark.parametrize(
    "name", ["20200101-000000-00000000", "nowhere/at/all", "a\0b", "x" * 5000, "../..", "/etc/passwd", "~", "\udcff"]
)
def test_a_run_that_is_not_there_or_could_not_be_is_refused_kindly(runs, three, name):
    config = replace(SECOND, start_from=name)
    with pytest.raises(RunError) as error:
        earlier_model(config, RunDirectory(runs / "new"))
    assert error.value.hint
    assert len(error.value.message) < 300


@pytest.mark.parametrize("card", ["", "[]", "{}", '"text"', "\xff not json"])
def test_a_card_that_is_none_is_refused_kindly(tmp_path, card):
    (tmp_path / "model.safetensors").write_bytes(b"anything")
    (tmp_path / "model.json").write_bytes(card.encode("latin-1"))
    with pytest.raises(RunError):
        earlier_model(replace(SECOND, start_from=str(tmp_path)), RunDirectory(tmp_path / "new"))


def test_a_model_file_that_was_cut_short_is_refused_by_name(tmp_path, earlier):
    cut = tmp_path / "model.safetensors"
    cut.write_bytes(earlier.model.read_bytes()[:100_000])
    with pytest.raises(ModelError, match=r"model\.safetensors"):
        build("efficientnet_lite0", 3, weights=WeightsFile(cut, "run", hashed(cut)))


@pytest.mark.slow
def test_the_terminal_starts_from_a_folder(tmp_path, earlier, three):
    command = [sys.executable, "-m", "core", "train", three.root, "--out", str(tmp_path / "out"),
               "--set", f"start_from={earlier.path}", "--set", "head_epochs=2"]  # fmt: skip
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    assert (answer["weights"]["source"], answer["weights"]["sha256"]) == ("run", hashed(earlier.model))
    assert_same(stages(RunDirectory(tmp_path / "out")), stages(earlier))


def test_the_setting_is_written_down(runs, earlier, three):
    run = new_run(runs, TrainConfig(start_from=earlier.id), three)
    assert run.info().config.start_from == earlier.id
