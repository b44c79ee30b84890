"""Scope of transfer and of training: which stages are copied, which learn, and what is refused."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from core.config import TrainConfig
from core.errors import ConfigError, CoreError
from core.events import Ended, EpochEnded, PhaseStarted, WeightsReady
from core.models.build import build
from core.models.freeze import resolve_scope
from core.models.registry import backbone
from core.models.weights import WeightsFile, find
from tests.trained import PLAIN, assert_same, new_run, train, trained

LITE = backbone("efficientnet_lite0")
STAGES = len(LITE.stages)
LOCAL = replace(
    PLAIN, copied_stages=7, freeze_depth=6, epochs=2, batch_size=4, learning_rate=1e-3, augment="flip", views=2
)


@pytest.fixture(scope="module")
def file(cache) -> WeightsFile:
    found = find(LITE, cache / "weights")
    assert found is not None
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory, divided, cache) -> tuple[dict[str, Tensor], list]:
    """A local transfer that nothing interrupted."""
    return trained(tmp_path_factory.mktemp("whole"), LOCAL, divided, cache)


def stage(state: dict[str, Tensor], place: int) -> dict[str, Tensor]:
    return {name: value for name, value in state.items() if name.startswith(f"stages.{place}.")}


def kernels(state: dict[str, Tensor], place: int) -> dict[str, Tensor]:
    """What noise makes different: normalisation starts at ones and zeros in every new network."""
    return {name: value for name, value in stage(state, place).items() if value.dim() == 4}


@pytest.mark.parametrize("copied", [0, 3, 7, STAGES])
def test_copied_stages_are_the_pretrained_ones_and_the_others_seeded_noise(file, copied):
    pretrained = build("efficientnet_lite0", 3, weights=file).state_dict()
    noise = build("efficientnet_lite0", 3, weights=None, seed=4).state_dict()
    again, ours = (
        build("efficientnet_lite0", 3, weights=file, seed=4, copied_stages=copied).state_dict() for _ in range(2)
    )
    other = build("efficientnet_lite0", 3, weights=file, seed=5, copied_stages=copied).state_dict()
    assert_same(ours, again)
    for place in range(STAGES):
        expected = pretrained if place < copied else noise
        assert_same(stage(ours, place), stage(expected, place))
        for name, value in kernels(ours, place).items():
            assert torch.equal(value, other[name]) == (place < copied)
            assert torch.equal(value, pretrained[name]) == (place < copied)


@pytest.mark.parametrize(
    ("frozen", "copied", "expected"),
    [
        ("all", "all", (8, 8)),
        ("none", "all", (0, 8)),
        (5, "all", (5, 8)),
        ("all", 3, (3, 3)),
        (2, 3, (2, 3)),
        (3, 3, (3, 3)),
        ("none", 3, (0, 3)),
        ("none", "none", (0, 0)),
        ("all", 0, (0, 0)),
        (8, 8, (8, 8)),
    ],
)
def test_scopes_as_numbers(frozen, copied, expected):
    assert resolve_scope(frozen, copied, 8) == expected


@pytest.mark.parametrize(("frozen", "copied"), [(4, 3), (1, "none"), (8, 7)])
def test_freezing_noise_is_refused_with_both_numbers(frozen, copied):
    with pytest.raises(ConfigError) as error:
        resolve_scope(frozen, copied, 8)
    assert str(frozen) in error.value.message
    assert str(0 if copied == "none" else copied) in error.value.message
    assert error.value.hint


def test_more_copied_stages_than_there_are_is_refused():
    with pytest.raises(ConfigError, match="9"):
        resolve_scope(0, 9, 8)


@pytest.mark.parametrize("settings", [{"copied_stages": 4}, {"copied_stages": "none"}, {"weights": "scratch"}])
def test_new_stages_without_epochs_are_refused_with_the_next_step(tmp_path, divided, cache, settings):
    run = new_run(tmp_path, replace(PLAIN, **settings), divided)
    with pytest.raises(CoreError) as error:
        train(run, cache)
    assert "epochs" in error.value.hint


def test_freezing_more_than_was_copied_ends_before_any_photo_is_read(tmp_path, divided, cache):
    run = new_run(tmp_path, replace(LOCAL, freeze_depth=8), divided)
    with pytest.raises(ConfigError, match="8"):
        train(run, cache)


@pytest.mark.slow
def test_in_a_local_transfer_frozen_copied_stages_keep_every_bit_and_the_others_learn(whole, file):
    state, events = whole
    pretrained = build("efficientnet_lite0", 3, weights=file).state_dict()
    noise = build("efficientnet_lite0", 3, weights=None, seed=LOCAL.seed).state_dict()
    for place in range(6):
        assert_same(stage(state, place), stage(pretrained, place))
    for place, start in ((6, pretrained), (7, noise)):
        assert all(not torch.equal(value, start[name]) for name, value in kernels(state, place).items())
    phases = [event.phase for event in events if isinstance(event, PhaseStarted)]
    assert phases == ["photos", "finetune", "test"]  # no head on the features of a body that has learnt nothing yet
    ready = next(event for event in events if isinstance(event, WeightsReady))
    assert (ready.frozen_stages, ready.source) == (6, "package")
    learns = sum(row.parameters for row in LITE.stages[6:]) + (LITE.feature_width + 1) * 3
    assert ready.trainable_parameters == learns
    assert isinstance(events[-1], Ended)


@pytest.mark.slow
@pytest.mark.parametrize("epoch", [1, 2])
def test_a_local_transfer_that_was_killed_ends_with_the_same_bits(tmp_path, divided, cache, whole, epoch):
    run = new_run(tmp_path, LOCAL, divided)
    train(run, cache, until=lambda event: isinstance(event, EpochEnded) and event.epoch == epoch)
    train(run, cache)
    assert_same(load_file(run.model), whole[0])


@pytest.mark.slow
def test_all_frozen_with_some_copied_freezes_those_that_are_copied(tmp_path, divided, cache, file):
    config = replace(LOCAL, freeze_depth="all", epochs=1, learning_rate=1e-2)
    state, events = trained(tmp_path, config, divided, cache)
    pretrained = build("efficientnet_lite0", 3, weights=file).state_dict()
    for place in range(7):
        assert_same(stage(state, place), stage(pretrained, place))
    assert next(event for event in events if isinstance(event, WeightsReady)).frozen_stages == 7


@pytest.mark.slow
def test_scratch_and_copying_nothing_are_the_same_run(tmp_path, divided, cache):
    config = TrainConfig(device="cpu", precision="float32", freeze_depth="none", epochs=1, batch_size=8, augment="none")
    scratch, told = trained(tmp_path / "a", replace(config, weights="scratch"), divided, cache)
    nothing, _ = trained(tmp_path / "b", replace(config, copied_stages=0), divided, cache)
    assert_same(scratch, nothing)
    assert next(event for event in told if isinstance(event, WeightsReady)).source == "scratch"
