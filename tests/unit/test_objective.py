"""Losses and penalties against PyTorch's own, scikit-learn's and numbers worked by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch import nn
from torch.nn import functional as F

from core.config import TrainConfig
from core.events import EpochEnded
from core.models.build import build
from core.models.registry import backbone
from core.models.weights import find
from core.training.objective import Objective, Penalty, class_weights
from tests.trained import PLAIN, head_loop, run_loop, small_network, trained

LOGITS = torch.randn(7, 4, generator=torch.Generator().manual_seed(3)) * 3
TARGETS = torch.tensor([0, 3, 1, 1, 2, 0, 3])
QUARTER = torch.tensor([[0.0, math.log(3)]])  # probabilities 1/4 and 3/4


def loss(config: TrainConfig, logits=LOGITS, targets=TARGETS, weights=None) -> torch.Tensor:
    objective = Objective(config, weights)
    return objective.mean(logits, objective.wanted(targets, logits.shape[1]))


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.4])
def test_cross_entropy_is_pytorchs_with_and_without_label_smoothing(smoothing):
    ours = loss(replace(PLAIN, label_smoothing=smoothing))
    assert float(ours) == pytest.approx(float(F.cross_entropy(LOGITS, TARGETS, label_smoothing=smoothing)), rel=1e-6)


def test_mean_squared_error_is_pytorchs_between_probabilities_and_one_hot_targets():
    expected = F.mse_loss(LOGITS.softmax(dim=1), F.one_hot(TARGETS, 4).float())
    assert float(loss(replace(PLAIN, loss="mse"))) == pytest.approx(float(expected), rel=1e-6)


def test_mean_squared_error_by_hand():
    """(1/4 - 1)² and (3/4 - 0)², both 9/16."""
    assert float(loss(replace(PLAIN, loss="mse"), QUARTER, torch.tensor([0]))) == pytest.approx(9 / 16)


def test_focal_loss_without_focus_is_cross_entropy():
    focal = replace(PLAIN, loss="focal", focal_gamma=0.0, label_smoothing=0.2)
    assert float(loss(focal)) == pytest.approx(float(loss(replace(PLAIN, label_smoothing=0.2))), rel=1e-6)


@pytest.mark.parametrize(("target", "by_hand"), [(0, 9 / 16 * math.log(4)), (1, 1 / 16 * math.log(4 / 3))])
def test_focal_loss_by_hand(target, by_hand):
    focal = replace(PLAIN, loss="focal", focal_gamma=2.0)
    assert float(loss(focal, QUARTER, torch.tensor([target]))) == pytest.approx(by_hand, rel=1e-6)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 10.0])
@pytest.mark.parametrize("kind", ["cross_entropy", "mse", "focal"])
def test_an_answer_that_could_not_be_surer_has_a_slope_that_is_a_number(kind, gamma):
    logits = torch.tensor([[90.0, 0.0, 0.0], [0.0, 90.0, -90.0]], requires_grad=True)
    value = loss(replace(PLAIN, loss=kind, focal_gamma=gamma, label_smoothing=0.1), logits, torch.tensor([0, 0]))
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("kind", ["cross_entropy", "mse", "focal"])
def test_curves_show_the_loss_without_smoothing_and_without_weights(kind):
    judge = Objective(replace(PLAIN, loss=kind, label_smoothing=0.3), torch.tensor([9.0, 1.0, 1.0, 1.0]))
    alone = [float(loss(replace(PLAIN, loss=kind), LOGITS[i : i + 1], TARGETS[i : i + 1])) for i in range(7)]
    assert judge.judge(LOGITS, TARGETS).tolist() == pytest.approx(alone, rel=1e-5)


def test_class_weights_are_scikit_learns_balanced_ones():
    targets = np.array([0] * 50 + [1] * 5 + [2] * 20 + [3])
    expected = compute_class_weight("balanced", classes=np.arange(4), y=targets)
    ours = class_weights(torch.from_numpy(targets), 4)
    assert ours.tolist() == pytest.approx(expected.tolist())
    assert float(ours[torch.from_numpy(targets)].mean()) == pytest.approx(1)


def test_a_weighted_loss_is_pytorchs_sum_with_those_weights_over_the_photos():
    weights = torch.tensor([0.5, 2.0, 1.0, 3.0])
    expected = F.cross_entropy(LOGITS, TARGETS, weight=weights, reduction="sum") / len(TARGETS)
    assert float(loss(PLAIN, weights=weights)) == pytest.approx(float(expected), rel=1e-6)


class Tiny(nn.Module):
    """Two weights matrices with biases, and a normalisation between them."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(2, 2)
        self.norm = nn.BatchNorm1d(2)
        self.head = nn.Linear(2, 1)
        with torch.no_grad():
            self.first.weight.copy_(torch.tensor([[1.0, -2.0], [0.5, 0.0]]))
            self.head.weight.copy_(torch.tensor([[3.0, -1.0]]))
            for parameter in (self.first.bias, self.head.bias, self.norm.weight, self.norm.bias):
                parameter.fill_(100.0)  # would show in every sum


def penalty(kind: str, tiny: Tiny, start: dict[str, torch.Tensor] | None = None) -> Penalty:
    config = replace(PLAIN, regularizer=kind, regularization=0.1)
    return Penalty(config, list(tiny.named_parameters()), start or {})


@pytest.mark.parametrize(
    ("kind", "by_hand"),
    [("l1", 0.1 * (1 + 2 + 0.5 + 3 + 1)), ("l2", 0.1 * 0.5 * (1 + 4 + 0.25 + 9 + 1))],
)
def test_penalties_by_hand_without_biases_and_normalisation(kind, by_hand):
    tiny = Tiny()
    value = penalty(kind, tiny)()
    assert float(value.detach()) == pytest.approx(by_hand)
    value.backward()
    assert all(p.grad is None for p in (tiny.first.bias, tiny.head.bias, tiny.norm.weight, tiny.norm.bias))


def test_l2sp_pulls_towards_the_start_and_what_is_new_towards_0():
    tiny = Tiny()
    start = {"first.weight": torch.tensor([[1.0, 0.0], [0.0, 0.0]])}
    value = penalty("l2sp", tiny, start)()
    assert float(value.detach()) == pytest.approx(0.1 * 0.5 * (4 + 0.25 + 9 + 1))
    value.backward()
    torch.testing.assert_close(tiny.first.weight.grad, 0.1 * torch.tensor([[0.0, -2.0], [0.5, 0.0]]))
    torch.testing.assert_close(tiny.head.weight.grad, 0.1 * torch.tensor([[3.0, -1.0]]))


def test_the_start_stays_where_it_was_when_the_weights_move_on():
    tiny = Tiny()
    held = penalty("l2sp", tiny, dict(tiny.named_parameters()))
    assert float(held().detach()) == 0
    with torch.no_grad():
        tiny.first.weight += 1
    assert float(held().detach()) == pytest.approx(0.1 * 0.5 * 4)


def test_what_is_frozen_is_not_penalised():
    tiny = Tiny()
    tiny.first.requires_grad_(False)
    assert float(penalty("l1", tiny)().detach()) == pytest.approx(0.1 * 4)


def test_in_a_loop_copied_stages_are_drawn_to_their_start_and_new_ones_to_0():
    config = replace(PLAIN, regularizer="l2sp", regularization=1.0)
    network = small_network(config, stages=(nn.Linear(6, 6, bias=False), nn.Linear(6, 6, bias=False)))
    network.copied_stages = 1
    loop = head_loop(config, network)
    old, new = (stage.weight for stage in network.stages)
    held = Penalty(config, list(network.named_parameters()), {"stages.0.weight": old})
    tuned = type(loop)(config, replace(loop.plan, first_stage=0), network, [{"params": [old, new], "lr": 0.1}],
                       loop.photos, loop.device)  # fmt: skip
    assert float(tuned.penalty().detach()) == pytest.approx(float(0.5 * new.detach().square().sum()))
    assert float(tuned.penalty().detach()) == pytest.approx(float(held().detach()))


@pytest.mark.parametrize("kind", ["l1", "l2", "l2sp"])
def test_every_epoch_of_a_penalised_run_tells_a_penalty_and_of_a_free_one_none(kind):
    config = replace(PLAIN, head_epochs=4, regularizer=kind, regularization=0.01)
    told = [event for event in run_loop(head_loop(config, small_network(config)))[0] if isinstance(event, EpochEnded)]
    assert len(told) == 4
    assert all(event.penalty is not None and math.isfinite(event.penalty) for event in told)
    assert told[-1].penalty > told[0].penalty  # the head starts at 0, where every penalty is 0
    free = run_loop(head_loop(PLAIN, small_network(PLAIN)))[0]
    assert all(event.penalty is None for event in free if isinstance(event, EpochEnded))


TUNE = replace(
    PLAIN, freeze_depth=7, head_first=False, epochs=3, batch_size=4, learning_rate=0.01, optimizer="sgd",
    schedule="constant",
)  # fmt: skip


@pytest.mark.slow
def test_strong_penalties_do_to_the_saved_weights_what_they_are_for(tmp_path, divided, cache):
    """L2-SP holds them near the pretrained ones, L2 makes them small, L1 makes many of them nothing."""
    start = build(TUNE.backbone, 3, weights=find(backbone(TUNE.backbone), cache / "weights")).state_dict()
    names = [name for name, value in start.items() if name.startswith("stages.7.") and value.dim() > 1]

    def stage(kind: str, strength: float) -> tuple[torch.Tensor, list[float | None]]:
        config = replace(TUNE, regularizer=kind, regularization=strength)
        saved, events = trained(tmp_path / kind, config, divided, cache)
        penalties = [event.penalty for event in events if isinstance(event, EpochEnded)]
        return torch.cat([saved[name].flatten() for name in names]), penalties

    before = torch.cat([start[name].flatten() for name in names])
    free, none = stage("none", 1.0)
    near, near_told = stage("l2sp", 50.0)
    small, small_told = stage("l2", 10.0)
    sparse, sparse_told = stage("l1", 0.1)
    assert none == [None] * len(none)
    assert all(math.isfinite(value) for value in [*near_told, *small_told, *sparse_told])
    assert 0 < float((near - before).norm()) < 0.7 * float((free - before).norm())
    assert float(small.norm()) < 0.95 * float(free.norm())
    close_to_0 = 1.5 * TUNE.learning_rate * 0.1  # L1 with a fixed rate swings about 0 by rate · λ
    assert int((sparse.abs() < close_to_0).sum()) > 1.5 * int((free.abs() < close_to_0).sum())
