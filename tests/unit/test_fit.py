"""Training: what is frozen stays, a resume ends where an uninterrupted run ends, what is scored is what is saved."""

import itertools
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from core.config import TrainConfig
from core.data.pixels import centre, square
from core.data.report import Split
from core.data.scan import scan
from core.data.split import split
from core.errors import ConfigError, CoreError
from core.events import Ended, EpochEnded, Event, Notice, PhaseStarted, Progress, WeightsReady
from core.inference.predictor import Predictor
from core.models import registry
from core.models.build import build, restore
from core.models.fetch import FetchStopped
from core.models.weights import find
from core.runs import store
from core.runs.store import EventWriter, RunDirectory, read_events
from core.training.fit import fit
from core.training.kept import normalised
from core.training.objective import Objective
from core.training.run import Folders
from core.training.score import Best, Score
from tests.photos import make_folder

HEAD = TrainConfig(head_epochs=6, device="cpu", patience=100, head_patience=100)
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


@pytest.fixture(scope="module")
def whole(tmp_path_factory, divided, cache) -> RunDirectory:
    """A run that nothing interrupted."""
    run = new_run(tmp_path_factory.mktemp("whole"), TUNE, divided)
    writer = EventWriter(run)
    for event in train(run, cache):
        writer.append(event)
    writer.close()
    return run


def test_the_same_seed_gives_the_same_model_to_the_bit_and_another_seed_another(tmp_path, divided, cache, whole):
    again = new_run(tmp_path, TUNE, divided)
    train(again, cache)
    assert_same(weights(again), weights(whole))
    other = new_run(tmp_path, TrainConfig(**{**TUNE.__dict__, "seed": 5}), divided)
    train(other, cache)
    assert not torch.equal(weights(other)["head.layers.output.weight"], weights(whole)["head.layers.output.weight"])


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
def test_a_run_that_was_killed_anywhere_ends_with_the_weights_of_one_that_was_not(
    tmp_path, divided, cache, whole, killed_at
):
    killed = new_run(tmp_path, TUNE, divided)
    assert not isinstance(train(killed, cache, until=killed_at)[-1], Ended)
    assert isinstance(train(killed, cache)[-1], Ended)
    assert_same(weights(killed), weights(whole))
    assert killed.results() == whole.results()


def test_frozen_stages_keep_every_bit_and_trainable_ones_change(divided, cache, whole):
    run, ended = whole, read_events(whole)[0][-1]
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


def test_a_head_learning_rate_that_explodes_is_named_with_the_next_step(tmp_path, divided, cache, monkeypatch):
    monkeypatch.setattr(Objective, "judge", lambda *_: torch.full((1,), math.nan))
    with pytest.raises(ConfigError, match="head_learning_rate") as error:
        train(new_run(tmp_path, HEAD, divided), cache)
    assert "tenth" in error.value.hint


def test_a_loss_that_becomes_infinite_in_fine_tuning_keeps_the_last_good_model(tmp_path, divided, cache):
    """Weights thrown to infinity by a wild rate: a decay of 10 at a rate of 10 does it in a few steps."""
    wild = replace(
        TUNE, optimizer="sgd", learning_rate=10.0, weight_decay=10.0, head_boost=1000.0, clip_norm=0.0, warm_up=0.0,
        head_learning_rate=1e-3, epochs=40, precision="float32",
    )  # fmt: skip
    run = new_run(tmp_path, wild, divided)
    events = train(run, cache)
    assert isinstance(events[-1], Ended)
    assert (events[-1].reason, run.has_model) == ("diverged", True)
    assert any(isinstance(event, Notice) for event in events)
    assert all(bool(torch.isfinite(value).all()) for value in weights(run).values() if value.is_floating_point())


def test_scratch_without_epochs_is_refused(tmp_path, divided, cache):
    run = new_run(tmp_path, TrainConfig(weights="scratch", device="cpu"), divided)
    with pytest.raises(CoreError, match="scratch"):
        train(run, cache)


def test_a_device_that_is_not_there_is_named(tmp_path, divided, cache):
    run = new_run(tmp_path, TrainConfig(device="cuda:77"), divided)
    with pytest.raises(ConfigError, match="cuda:77"):
        train(run, cache)


def test_the_quick_predictor_gives_the_probabilities_of_the_plain_network(divided, whole):
    predictor = Predictor.load(whole)
    plain = restore(TUNE.backbone, len(divided.classes), weights(whole)).eval()
    paths = [Path(divided.root) / sample.path for sample in divided.test]
    preprocessing = predictor.card.preprocessing
    pixels = [
        centre(square(path, preprocessing.resize, preprocessing.interpolation), preprocessing.crop) for path in paths
    ]
    with torch.inference_mode():
        x = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2)
        expected = plain(normalised(x, preprocessing)).softmax(dim=1)
    for answer, row in zip(predictor.predict(paths), expected, strict=True):
        said = dict(answer.top)
        assert [said[name] for name in divided.classes] == pytest.approx(row.tolist(), abs=1e-4)


def test_a_stop_while_weights_are_fetched_is_a_stop_and_no_failure(tmp_path, divided, cache, monkeypatch):
    def stopped_fetch(*_):
        raise FetchStopped("models.stopped")
        yield

    monkeypatch.setattr("core.training.fit.obtain_weights", stopped_fetch)
    ended = train(new_run(tmp_path, HEAD, divided), cache)[-1]
    assert isinstance(ended, Ended)
    assert (ended.reason, ended.best_phase) == ("stopped", None)


def test_in_the_end_the_head_learns_from_validation_photos_as_well_and_just_as_long(tmp_path, divided, cache):
    run = new_run(tmp_path, replace(HEAD, refit="head"), divided)
    ended = train(run, cache)[-1]
    assert isinstance(ended, Ended)
    # The same by another way: a division without validation photos, trained for as many epochs, and nothing chosen.
    everyone = replace(divided, train=(*divided.train, *divided.val), val=())
    alone = new_run(tmp_path, replace(HEAD, refit="none", head_epochs=ended.best_epoch), everyone)
    train(alone, cache)
    assert_same(weights(run), weights(alone))
    assert isinstance(train(new_run(tmp_path, replace(HEAD, refit="none"), divided), cache)[-1], Ended)


def test_all_that_trains_can_learn_once_more_and_a_kill_in_the_middle_of_it_changes_nothing(tmp_path, divided, cache):
    config = replace(TUNE, refit="all", learning_rate=1e-3, precision="float32")
    run = new_run(tmp_path, config, divided)
    events = train(run, cache)
    refits = [event for event in events if isinstance(event, PhaseStarted) and event.phase == "refit"]
    best = events[-1]
    assert isinstance(best, Ended)
    assert len(refits) == (2 if best.best_phase == "finetune" else 1)
    killed = new_run(tmp_path, config, divided)
    train(killed, cache, until=lambda event: isinstance(event, PhaseStarted) and event.phase == "refit")
    train(killed, cache)
    assert_same(weights(killed), weights(run))
    other = new_run(tmp_path, replace(config, refit="none"), divided)
    train(other, cache)
    assert not torch.equal(weights(other)["head.layers.output.weight"], weights(run)["head.layers.output.weight"])


def test_learning_once_more_works_where_the_disk_had_room_for_fewer_versions_of_the_training_photos(
    tmp_path, divided, cache, monkeypatch
):
    rooms = iter([2])  # views of the training photos; afterwards all
    monkeypatch.setattr(
        "core.training.kept.make_room", lambda _cache, _budget, by_view, *_, **__: next(rooms, len(by_view))
    )
    # Kept versions teach in the end only where fine-tuning has won.
    config = replace(TUNE, augment="standard", views=3, refit="all", precision="float32", epochs=2)
    monkeypatch.setattr("core.training.score.Best.update", always_better)
    run = new_run(tmp_path, config, divided)
    events = train(run, cache)
    assert any(isinstance(event, Notice) and event.key == "training.notice.fewer_views" for event in events)
    assert isinstance(events[-1], Ended)
    assert (events[-1].best_phase, events[-1].reason) == ("finetune", "complete")


def always_better(best: Best, phase: str, epoch: int, score: Score) -> bool:
    best.phase, best.epoch, best.loss, best.accuracy, best.stale = phase, epoch, score.loss, score.accuracy, 0
    best.head_epoch = epoch if phase == "head" else best.head_epoch
    return True


def test_the_bar_of_learning_once_more_ends_where_it_ends(tmp_path, divided, cache, monkeypatch):
    monkeypatch.setattr("core.training.loop.REPORT_SECONDS", 0.0)
    run = new_run(tmp_path, replace(HEAD, head_epochs=30, head_patience=3, head_learning_rate=1e-2), divided)
    events = train(run, cache)
    told = [event for event in events if isinstance(event, Progress) and event.phase == "refit"]
    assert isinstance(events[-1], Ended)
    assert events[-1].best_epoch < 30
    assert told[-1].done == told[-1].total == events[-1].best_epoch * (len(divided.train) + len(divided.val))
