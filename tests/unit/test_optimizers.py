"""Steps against formulas worked in numpy, rates against PyTorch's schedulers, an optimiser's memory through a file."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from core.config import TrainConfig
from core.events import EpochEnded
from core.training import checkpoint
from core.training.balance import Order
from core.training.optimizers import make_optimizer, rate_share
from tests.trained import PLAIN, assert_same, clusters, head_loop, run_loop, small_network

OPTIMIZERS = ("gradient_descent", "sgd", "momentum", "adam", "adamw")
GRADIENTS = [np.array([1.0, -2.0]), np.array([0.5, 3.0]), np.array([-0.25, 0.0])]
START = np.array([1.0, -0.5])
RATE, DECAY = 0.1, 0.2


def by_hand(kind: str) -> np.ndarray:
    """Three steps with known gradients, as the papers write them. Source: Kingma and Ba 2015, algorithm 1."""
    theta, memory, first, second = START.copy(), np.zeros(2), np.zeros(2), np.zeros(2)
    for step, slope in enumerate(GRADIENTS, start=1):
        gradient = slope if kind == "adamw" else slope + DECAY * theta
        if kind in ("sgd", "gradient_descent"):
            theta = theta - RATE * gradient
        elif kind == "momentum":
            memory = 0.9 * memory + gradient
            theta = theta - RATE * memory
        else:
            first = 0.9 * first + 0.1 * gradient
            second = 0.999 * second + 0.001 * gradient**2
            shrunk = theta * (1 - RATE * DECAY) if kind == "adamw" else theta
            theta = shrunk - RATE * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
    return theta


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_three_steps_by_hand(kind):
    theta = nn.Parameter(torch.from_numpy(START.copy()))
    config = replace(PLAIN, optimizer=kind, weight_decay=DECAY, momentum=0.9)
    optimizer = make_optimizer(config, [{"params": [theta], "lr": RATE}])
    for gradient in GRADIENTS:
        theta.grad = torch.from_numpy(gradient.copy())
        optimizer.step()
    assert theta.tolist() == pytest.approx(by_hand(kind).tolist(), rel=1e-9)


def plain_softmax(x: np.ndarray) -> np.ndarray:
    raised = np.exp(x - x.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("batch", [1, 4, 100])
def test_gradient_descent_takes_one_step_an_epoch_along_the_mean_slope_of_all_photos(batch):
    """The head's problem written out in numpy, with an L2 penalty; chunks only say what fits into memory at once."""
    rate, epochs, strength = 0.5, 7, 0.05
    config = replace(
        PLAIN, optimizer="gradient_descent", head_learning_rate=rate, head_epochs=epochs, head_batch_size=batch,
        regularizer="l2", regularization=strength,
    )  # fmt: skip
    network = small_network(config)
    told = [event for event in run_loop(head_loop(config, network))[0] if isinstance(event, EpochEnded)]

    x, targets = clusters(11)
    x, wanted = x.astype(np.float64), np.eye(3)[targets.numpy()]
    weight, bias = np.zeros((3, 6)), np.zeros(3)
    losses, penalties = [], []
    for _ in range(epochs):
        p = plain_softmax(x @ weight.T + bias)
        losses.append(float(-np.log((p * wanted).sum(axis=1)).mean()))
        penalties.append(float(strength * 0.5 * (weight**2).sum()))
        slope = (p - wanted) / len(x)
        weight, bias = weight - rate * (slope.T @ x + strength * weight), bias - rate * slope.sum(axis=0)
    assert [event.train_loss for event in told] == pytest.approx(losses, abs=1e-5)
    assert [event.penalty for event in told] == pytest.approx(penalties, abs=1e-5)
    np.testing.assert_allclose(network.head.layers.output.weight.detach().numpy(), weight, atol=1e-5)
    np.testing.assert_allclose(network.head.layers.output.bias.detach().numpy(), bias, atol=1e-5)


def torch_optimizer(kind: str, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    if kind == "adam":
        return torch.optim.Adam(parameters, lr=0.02, weight_decay=0.01)
    if kind == "adamw":
        return torch.optim.AdamW(parameters, lr=0.02, weight_decay=0.01)
    return torch.optim.SGD(parameters, lr=0.02, weight_decay=0.01, momentum=0.8 if kind == "momentum" else 0.0)


@pytest.mark.parametrize("kind", OPTIMIZERS[1:])
def test_a_loop_ends_where_a_plain_loop_over_the_same_batches_ends(kind):
    config = replace(
        PLAIN, optimizer=kind, head_learning_rate=0.02, weight_decay=0.01, momentum=0.8, head_epochs=4,
        head_batch_size=4, label_smoothing=0.1,
    )  # fmt: skip
    network = small_network(config)
    run_loop(head_loop(config, network))

    x, targets = clusters(11)
    plain = nn.Linear(6, 3)
    for parameter in plain.parameters():
        nn.init.zeros_(parameter)
    optimizer, order = torch_optimizer(kind, list(plain.parameters())), Order(config, targets, 3)
    for epoch in range(1, 5):
        for chosen in order(epoch).split(4):
            optimizer.zero_grad()
            F.cross_entropy(plain(torch.from_numpy(x)[chosen]), targets[chosen], label_smoothing=0.1).backward()
            optimizer.step()
    torch.testing.assert_close(network.head.layers.output.weight, plain.weight, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(network.head.layers.output.bias, plain.bias, atol=1e-6, rtol=1e-5)


def dummy() -> torch.optim.Optimizer:
    return torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)


def test_the_step_schedule_is_the_tutorials_step_lr():
    optimizer = dummy()
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=7, gamma=0.1)
    for epoch in range(1, 26):
        for step in range((epoch - 1) * 3, epoch * 3):
            share = rate_share("step", step, 75, epoch, 0.0)
            assert share == pytest.approx(scheduler.get_last_lr()[0], rel=1e-9)
        optimizer.step()
        scheduler.step()


def test_the_cosine_schedule_is_pytorchs_after_a_straight_climb():
    steps, climb = 50, 10
    assert [rate_share("cosine", step, steps, 1, 0.2) for step in range(climb)] == pytest.approx(
        [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    )
    optimizer = dummy()
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps - climb)
    for step in range(climb, steps):
        assert rate_share("cosine", step, steps, 1, 0.2) == pytest.approx(scheduler.get_last_lr()[0], abs=1e-9)
        optimizer.step()
        scheduler.step()


def test_the_constant_schedule_stays_at_the_full_rate():
    assert {rate_share("constant", step, 30, 1 + step // 3, 0.0) for step in range(30)} == {1.0}


def test_a_loop_takes_its_steps_at_the_rates_of_the_schedule():
    config = replace(PLAIN, head_epochs=16, head_learning_rate=0.4, head_schedule="step", optimizer="sgd")
    told = [event for event in run_loop(head_loop(config, small_network(config)))[0] if isinstance(event, EpochEnded)]
    assert [event.learning_rate for event in told] == pytest.approx([0.4] * 7 + [0.04] * 7 + [0.004] * 2)


def step_length(clip: float) -> float:
    """How far one step of gradient descent at rate 1 moves the head."""
    config = replace(PLAIN, optimizer="gradient_descent", head_learning_rate=1.0, head_epochs=1, clip_norm=clip)
    network = small_network(config)
    run_loop(head_loop(config, network))
    return float(torch.cat([parameter.detach().flatten() for parameter in network.head.parameters()]).norm())


def test_clipping_shortens_long_gradients_to_the_limit_and_leaves_short_ones():
    x, targets = clusters(11)
    plain = nn.Linear(6, 3)
    for parameter in plain.parameters():
        nn.init.zeros_(parameter)
    F.cross_entropy(plain(torch.from_numpy(x)), targets).backward()
    whole = float(torch.cat([parameter.grad.flatten() for parameter in plain.parameters()]).norm())
    assert step_length(0.0) == pytest.approx(whole, rel=1e-5)
    assert step_length(whole * 2) == pytest.approx(whole, rel=1e-5)
    assert step_length(whole / 4) == pytest.approx(whole / 4, rel=1e-4)
    assert step_length(0.01) == pytest.approx(0.01, rel=1e-3)


RESUMED = replace(PLAIN, head_epochs=6, head_batch_size=4, head_schedule="cosine", weight_decay=0.01)
WITH = {
    **{kind: {"optimizer": kind} for kind in OPTIMIZERS},
    "hidden head, dropout and adam": {"optimizer": "adam", "head": "hidden", "dropout": 0.3, "hidden_units": 8},
    "cosine head": {"head": "cosine", "dropout": 0.2, "center_features": True},
    "mixup and ema": {"mixup": 0.4, "ema": 0.9},
    "sampling": {"class_balance": "sampling"},
    "weights and focal": {"class_balance": "weights", "loss": "focal"},
    "l2sp and gradient descent": {"regularizer": "l2sp", "optimizer": "gradient_descent"},
}


@pytest.mark.parametrize("settings", WITH.values(), ids=WITH)
def test_a_loop_taken_up_from_a_file_ends_with_the_same_bits(tmp_path, settings):
    config = replace(RESUMED, **settings)
    _, whole, saved = run_loop(head_loop(config, whole_network := small_network(config), views=2))
    for after in (1, 3, 6):
        checkpoint.save(tmp_path / "last.safetensors", saved[after - 1])
        network = small_network(config)
        _, best, _ = run_loop(head_loop(config, network, views=2), checkpoint.load(tmp_path / "last.safetensors"))
        assert_same(network.state_dict(), whole_network.state_dict())
        assert_same(best.tensors, whole.tensors)
        assert (best.phase, best.epoch, best.loss, best.stale) == (whole.phase, whole.epoch, whole.loss, whole.stale)


def test_a_checkpoint_of_another_format_begins_again(tmp_path, monkeypatch):
    config = TrainConfig()
    _, _, saved = run_loop(head_loop(config, small_network(config)))
    monkeypatch.setattr(checkpoint, "FORMAT", 1)
    checkpoint.save(tmp_path / "last.safetensors", saved[0])
    monkeypatch.undo()
    assert checkpoint.load(tmp_path / "last.safetensors") is None
