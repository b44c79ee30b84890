"""Training itself: what is frozen stays, what resumes ends where an uninterrupted run ends, what is scored is what is saved."""

import itertools
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from core.config import TrainConfig
from core.data.report import Split
from core.data.scan import scan
from core.data.split import split
from core.errors import ConfigError, CoreError
from core.events import Ended, EpochEnded, Event, PhaseStarted, WeightsReady
from core.inference.predictor import Predictor
from core.models import registry
from core.models.build import build
from core.models.weights import find
from core.runs import store
from core.runs.store import RunDirectory
from core.training.fit import Folders, fit
from tests.photos import make_folder

HEAD = TrainConfig(head_epochs=6, device="cpu", patience=100)
TUNE = TrainConfig(
    head_epochs=4, freeze_depth=7, epochs=3, augment="flip", views=2, batch_size=8, device="cpu", patience=100
)


@pytest.fixture(scope="module")
def divided(tmp_path_factory) -> Split:
    return split(scan(make_folder(tmp_path_factory.mktemp("photos"), per_class=8)))


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    """Shared: that kept rows are found again is part of what is tested."""
    return tmp_path_factory.mktemp("cache")


def new_run(folder: Path, config: TrainConfig, divided: Split) -> RunDirectory:
    return store.create(folder, config, divided, title="t", dataset={})


def train(run: RunDirectory, cache: Path, until=None, **options) -> list[Event]:
    events = fit(run.info().config, run.split(), run, Folders(cache / "weights", cache / "kept"), **options)
    return list(itertools.takewhile(lambda event: until is None or not until(event), events))


def weights(run: RunDirectory) -> dict[str, torch.Tensor]:
    return load_file(run.model)


def assert_same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    assert first.keys() == second.keys()
    different = [name for name in first if not torch.equal(first[name], second[name])]
    assert different == []


def test_the_same_seed_gives_the_same_model_to_the_bit_and_another_seed_another(tmp_path, divided, cache):
    runs = [new_run(tmp_path, config, divided) for config in (TUNE, TUNE)]
    for run in runs:
        train(run, cache)
    assert_same(weights(runs[0]), weights(runs[1]))
    other = new_run(tmp_path, TrainConfig(**{**TUNE.__dict__, "seed": 5}), divided)
    train(other, cache)
    assert not torch.equal(weights(other)["head.1.weight"], weights(runs[0])["head.1.weight"])


@pytest.mark.parametrize(
    "killed_at",
    [
        lambda event: isinstance(event, PhaseStarted) and event.phase == "head",
        lambda event: isinstance(event, EpochEnded) and (event.phase, event.epoch) == ("head", 3),
        lambda event: isinstance(event, EpochEnded) and (event.phase, event.epoch) == ("finetune", 1),
        lambda event: isinstance(event, EpochEnded) and (event.phase, event.epoch) == ("finetune", 3),
        lambda event: isinstance(event, PhaseStarted) and event.phase == "test",
    ],
    ids=["before the head", "in the head", "first epoch", "last epoch", "before the score"],
)
def test_a_run_that_was_killed_anywhere_ends_with_the_weights_of_one_that_was_not(tmp_path, divided, cache, killed_at):
    whole, killed = new_run(tmp_path, TUNE, divided), new_run(tmp_path, TUNE, divided)
    train(whole, cache)
    assert not isinstance(train(killed, cache, until=killed_at)[-1], Ended)
    assert isinstance(train(killed, cache)[-1], Ended)
    assert_same(weights(killed), weights(whole))
    assert killed.results() == whole.results()


def test_frozen_stages_keep_every_bit_and_trainable_ones_change(tmp_path, divided, cache):
    run = new_run(tmp_path, TUNE, divided)
    ended = train(run, cache)[-1]
    backbone = registry.backbone(TUNE.backbone)
    before = build(TUNE.backbone, len(divided.classes), weights=find(backbone, cache / "weights")).state_dict()
    after = weights(run)
    frozen = tuple(f"stages.{place}." for place in range(7))
    assert [name for name in before if name.startswith(frozen) and not torch.equal(before[name], after[name])] == []
    assert isinstance(ended, Ended)
    if ended.best_phase == "finetune":
        assert any(not torch.equal(before[name], after[name]) for name in before if name.startswith("stages.7."))


def test_the_score_is_what_the_saved_model_says_about_the_test_photos(tmp_path, divided, cache):
    run = new_run(tmp_path, HEAD, divided)
    train(run, cache)
    predictor = Predictor.load(run)
    said = [answer.label for answer in predictor.predict(Path(divided.root) / sample.path for sample in divided.test)]
    right = sum(label == divided.classes[sample.target] for label, sample in zip(said, divided.test, strict=True))
    results = run.results()
    assert results is not None
    assert (results["correct"], results["total"]) == (right, len(divided.test))


def test_a_second_run_finds_the_kept_features_and_computes_none(tmp_path, divided, cache):
    train(new_run(tmp_path, HEAD, divided), cache)
    sizes = {path: path.stat().st_size for path in (cache / "kept").rglob("data")}
    train(new_run(tmp_path, TrainConfig(**{**HEAD.__dict__, "head_learning_rate": 5e-4}), divided), cache)
    assert {path: path.stat().st_size for path in (cache / "kept").rglob("data")} == sizes


def test_a_stop_ends_a_run_with_the_best_so_far(tmp_path, divided, cache):
    run = new_run(tmp_path, TUNE, divided)
    asked = []

    def after_two_looks() -> bool:
        asked.append(True)
        return len(asked) > 8

    ended = train(run, cache, should_stop=after_two_looks)[-1]
    assert isinstance(ended, Ended)
    assert (ended.reason, run.has_model) == ("stopped", True)


def test_with_everything_frozen_only_the_head_learns(tmp_path, divided, cache):
    ready = next(event for event in train(new_run(tmp_path, HEAD, divided), cache) if isinstance(event, WeightsReady))
    backbone = registry.backbone(HEAD.backbone)
    assert ready.trainable_parameters == (backbone.feature_width + 1) * len(divided.classes)
    assert ready.frozen_stages == len(backbone.stages)
    assert ready.sha256 == find(backbone, cache / "weights").sha256


def test_a_learning_rate_that_explodes_is_named_with_the_next_step(tmp_path, divided, cache):
    wild = TrainConfig(
        **{**TUNE.__dict__, "learning_rate": 10.0, "optimizer": "sgd", "weights": "scratch", "freeze_depth": "none"}
    )
    run = new_run(tmp_path, wild, divided)
    try:
        ended = train(run, cache)[-1]
    except ConfigError as error:
        assert "learning_rate" in error.message
    else:
        assert isinstance(ended, Ended)


def test_scratch_without_epochs_is_refused(tmp_path, divided, cache):
    run = new_run(tmp_path, TrainConfig(weights="scratch", device="cpu"), divided)
    with pytest.raises(CoreError, match="scratch"):
        train(run, cache)


def test_a_device_that_is_not_there_is_named(tmp_path, divided, cache):
    run = new_run(tmp_path, TrainConfig(device="cuda:77"), divided)
    with pytest.raises(ConfigError, match="cuda:77"):
        train(run, cache)
