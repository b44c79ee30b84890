"""The loop that trains: what it does when memory runs out, when it ends, and that a kill anywhere changes nothing."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from core.config import TrainConfig
from core.data.report import Split
from core.errors import ConfigError
from core.events import Ended, EpochEnded, Event, Notice, PhaseStarted, Progress
from core.models import fast
from core.training import checkpoint
from core.training.checkpoint import Checkpoint, Saver
from core.training.finetune import KeptActivations, tune_groups
from core.training.fit import fit
from core.training.head import KeptFeatures
from core.training.run import Folders
from tests.trained import PLAIN, assert_same, head_loop, new_run, run_loop, small_network, train, trained


def short_of_memory(monkeypatch: pytest.MonkeyPatch, photos: type, most: int, error: Exception) -> list[int]:
    """As if no more than ``most`` photos fitted; returns the sizes that were tried."""
    tried: list[int] = []
    plain = photos.train

    def train_some(self: object, chosen: Tensor, epoch: int) -> Tensor:
        tried.append(len(chosen))
        if len(chosen) > most:
            raise error
        return plain(self, chosen, epoch)

    monkeypatch.setattr(photos, "train", train_some)
    return tried


OUT = [
    torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"),
    MemoryError(),
]


@pytest.mark.parametrize("error", OUT, ids=["GPU", "processor", "Python"])
def test_where_memory_runs_out_the_batch_is_halved_and_it_is_said(monkeypatch, error):
    config = replace(PLAIN, head_epochs=3, head_batch_size=16)
    loop = head_loop(config, small_network(config), count=17)
    tried = short_of_memory(monkeypatch, KeptFeatures, 4, error)
    events, best, saved = run_loop(loop)
    notices = [event for event in events if isinstance(event, Notice)]
    assert [(event.key, event.values) for event in notices] == [
        ("training.notice.halved", {"batch": 8, "before": 16}),
        ("training.notice.halved", {"batch": 4, "before": 8}),
    ]
    assert tried == [16, 8] + 3 * [4, 4, 4, 4, 1]
    assert [event.epoch for event in events if isinstance(event, EpochEnded)] == [1, 2, 3]
    assert best.epoch == 3
    assert saved[-1].meta["batch_size"] == 4


def test_a_halved_batch_gives_the_weights_of_a_run_that_asked_for_the_small_one(monkeypatch):
    config = replace(PLAIN, head_epochs=3, head_batch_size=8, head_schedule="cosine")
    small = small_network(config)
    run_loop(head_loop(replace(config, head_batch_size=4), small))
    halved = small_network(config)
    loop = head_loop(config, halved)
    short_of_memory(monkeypatch, KeptFeatures, 4, OUT[0])
    run_loop(loop)
    assert_same(halved.state_dict(), small.state_dict())


def test_a_resume_keeps_to_the_halved_batch(monkeypatch):
    config = replace(PLAIN, head_epochs=4, head_batch_size=8)
    whole, again = small_network(config), small_network(config)
    loop = head_loop(config, whole)
    resumed_loop = head_loop(config, again)
    short_of_memory(monkeypatch, KeptFeatures, 4, OUT[0])
    saved = run_loop(loop)[2]
    events = run_loop(resumed_loop, saved[1])[0]
    assert not any(isinstance(event, Notice) for event in events)
    assert_same(again.state_dict(), whole.state_dict())


def test_full_batch_descent_takes_the_same_step_in_smaller_chunks(monkeypatch):
    config = replace(PLAIN, head_epochs=3, optimizer="gradient_descent", head_learning_rate=0.3)
    whole, chunked = small_network(config), small_network(config)
    run_loop(head_loop(config, whole))
    loop = head_loop(config, chunked)
    short_of_memory(monkeypatch, KeptFeatures, 2, OUT[0])
    run_loop(loop)
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(chunked.state_dict()[name], value, atol=1e-6, rtol=1e-5)


def test_where_one_photo_is_too_much_the_run_ends_with_the_next_step(monkeypatch):
    loop = head_loop(PLAIN, small_network(PLAIN))
    short_of_memory(monkeypatch, KeptFeatures, 0, OUT[0])
    with pytest.raises(ConfigError, match="memory on cpu") as error:
        run_loop(loop)
    assert error.value.hint


def test_another_error_is_not_taken_for_a_lack_of_memory(monkeypatch):
    loop = head_loop(PLAIN, small_network(PLAIN))
    tried = short_of_memory(monkeypatch, KeptFeatures, 4, RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="mat1"):
        run_loop(loop)
    assert len(tried) == 1


def test_patience_ends_a_phase_that_many_epochs_after_its_best():
    """At a wild rate the first epoch is the best there will be."""
    config = replace(PLAIN, head_epochs=50, head_learning_rate=10.0, optimizer="sgd", head_patience=3)
    events, best, _ = run_loop(head_loop(config, small_network(config)))
    told = [event for event in events if isinstance(event, EpochEnded)]
    losses = [event.val_loss for event in told]
    assert losses[best.epoch - 1] == min(losses)
    assert len(told) == best.epoch + 3 < 50
    assert [event.best for event in told] == [
        all(loss < before for before in losses[:i]) for i, loss in enumerate(losses)
    ]


def test_a_stop_drops_the_half_epoch_so_that_a_resume_repeats_it_whole():
    config = replace(PLAIN, head_epochs=4, head_batch_size=4)
    whole, halfway, again = (small_network(config) for _ in range(3))
    run_loop(head_loop(config, whole))
    looks = iter([False] * 7 + [True] * 99)  # three steps an epoch: in the middle of the third
    events, _, saved = run_loop(head_loop(config, halfway), stop=lambda: next(looks))
    assert [event.epoch for event in events if isinstance(event, EpochEnded)] == [1, 2]
    run_loop(head_loop(config, again), saved[-1])
    assert_same(again.state_dict(), whole.state_dict())


@pytest.mark.parametrize(
    ("copied", "boundary", "rates"),
    [
        (8, 5, [0.1 * 0.25, 0.1 * 0.5, 0.1, 1.0]),  # each earlier stage half the rate of the one after it
        (7, 5, [0.1 * 0.5, 0.1, 1.0, 1.0]),  # the last one is new and learns like the head
        (0, 6, [0.1, 0.1, 0.1]),  # everything is new
    ],
)
def test_rates_of_stages_and_head_by_hand(copied, boundary, rates):
    config = replace(PLAIN, learning_rate=0.1, stage_decay=0.5, head_boost=10.0)
    stages = tuple(torch.nn.Linear(6, 6) for _ in range(8))
    groups = tune_groups(config, small_network(config, stages=stages), boundary, copied)
    assert [group["lr"] for group in groups] == pytest.approx(rates)


COMBINATIONS: dict[str, dict[str, object]] = {
    "hidden head, dropout and adam": {"head": "hidden", "hidden_units": 16, "dropout": 0.3, "optimizer": "adam"},
    "ema, mixup and cutmix": {"ema": 0.9, "mixup": 0.4, "cutmix": 0.4},
    "gradient descent": {"optimizer": "gradient_descent", "learning_rate": 0.01},
    "l2sp and momentum": {"regularizer": "l2sp", "optimizer": "momentum", "learning_rate": 1e-3},
    "sampling and focal": {"class_balance": "sampling", "loss": "focal", "optimizer": "sgd"},
}
TUNE = TrainConfig(
    device="cpu", precision="float32", freeze_depth=7, head_epochs=3, epochs=3, batch_size=4, views=2, patience=100
)


@pytest.fixture(autouse=True)
def in_32_bits(monkeypatch):
    """Whether 16 bits pay is timed once for a folder of kept rows; here several folders must agree."""
    monkeypatch.setattr(fast, "_gain", lambda *_: 0.0)


@pytest.fixture
def every_epoch_is_saved(monkeypatch):
    """As if epochs were long; a run of seconds is saved between its phases only."""

    def save_now(self: Saver, make) -> None:
        self._make = make
        self.last_chance()

    monkeypatch.setattr(Saver, "__call__", save_now)


def at_phase(phase: str):
    return lambda event: isinstance(event, PhaseStarted) and event.phase == phase


def at_epoch(phase: str, epoch: int):
    return lambda event: isinstance(event, EpochEnded) and (event.phase, event.epoch) == (phase, epoch)


def assert_kills_change_nothing(folder: Path, config: TrainConfig, divided: Split, cache: Path, kills: list) -> None:
    """One run killed at each of ``kills`` in turn, with a folder for kept rows of its own, and one left alone."""
    whole = new_run(folder / "whole", config, divided)
    train(whole, cache)
    killed = new_run(folder / "killed", config, divided)
    starts: list[int] = []
    for kill in kills:
        events = train(killed, folder, until=kill)
        assert not any(isinstance(event, Ended) for event in events)
        starts += [event.done for event in events if isinstance(event, PhaseStarted) and event.done]
    events: list[Event] = train(killed, folder)
    assert isinstance(events[-1], Ended)
    assert starts  # at least once a phase went on in its middle
    assert_same(load_file(killed.model), load_file(whole.model))
    assert_same(load_file(killed.last), load_file(whole.last))  # what was reached last, and the optimiser's memory


@pytest.mark.slow
@pytest.mark.parametrize("settings", COMBINATIONS.values(), ids=COMBINATIONS)
@pytest.mark.usefixtures("every_epoch_is_saved")
def test_a_run_killed_in_every_phase_ends_with_the_same_bits(tmp_path, divided, cache, settings):
    kills = [
        lambda event: isinstance(event, Progress) and event.phase == "photos" and event.done > 0,
        at_epoch("head", 2),
        at_epoch("finetune", 2),
        at_epoch("finetune", 3),
        at_phase("test"),
    ]
    assert_kills_change_nothing(tmp_path, replace(TUNE, **settings), divided, cache, kills)


@pytest.mark.slow
@pytest.mark.usefixtures("every_epoch_is_saved")
def test_a_run_with_nothing_frozen_that_was_killed_ends_with_the_same_bits(tmp_path, divided, cache):
    config = replace(TUNE, freeze_depth="none", epochs=2, augment="standard", batch_size=8, head_first=False)
    assert_kills_change_nothing(tmp_path, config, divided, cache, [at_epoch("finetune", 2), at_phase("test")])


@pytest.mark.slow
def test_fine_tuning_goes_on_with_smaller_batches_where_memory_runs_out(tmp_path, divided, cache, monkeypatch):
    short_of_memory(monkeypatch, KeptActivations, 4, OUT[0])
    saved, events = trained(tmp_path, replace(TUNE, batch_size=16, epochs=2), divided, cache)
    assert [event.values for event in events if isinstance(event, Notice)] == [
        {"batch": 8, "before": 16},
        {"batch": 4, "before": 8},
    ]
    assert isinstance(events[-1], Ended)
    assert [event.epoch for event in events if isinstance(event, EpochEnded) and event.phase == "finetune"] == [1, 2]
    assert all(bool(torch.isfinite(value).all()) for value in saved.values() if value.is_floating_point())


def test_a_stop_in_the_head_is_scored_and_ends_as_a_stop(tmp_path, divided):
    """With nothing kept of the test photos yet, which must be computed although the stop still holds."""
    seen: list[Event] = []
    run = new_run(tmp_path / "runs", TrainConfig(device="cpu", head_epochs=500, head_patience=10_000), divided)

    def stop() -> bool:
        return any(isinstance(event, EpochEnded) for event in seen)

    for event in fit(run.info().config, run.split(), run, Folders(tmp_path / "w", tmp_path / "k"), should_stop=stop):
        seen.append(event)  # noqa: PERF402  # one by one: stop looks at them meanwhile
    assert isinstance(seen[-1], Ended)
    assert (seen[-1].reason, run.has_model) == ("stopped", True)
    results = run.results()
    assert results is not None
    assert results["total"] == len(divided.test)


def test_a_checkpoint_holds_everything_by_name(tmp_path):
    config = replace(PLAIN, head_epochs=2, ema=0.5, optimizer="adam")
    saved = run_loop(head_loop(config, small_network(config)))[2][-1]
    checkpoint.save(tmp_path / "last.safetensors", saved)
    read = checkpoint.load(tmp_path / "last.safetensors")
    assert isinstance(read, Checkpoint)
    assert_same(dict(read.tensors), dict(saved.tensors))
    kinds = {name.split(".", 1)[0] for name in read.tensors}
    assert kinds == {"now", "best", "average", "judged", "optimizer"}
