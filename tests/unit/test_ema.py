"""The running average of weights, by hand, and that it is what is judged and kept."""

from dataclasses import replace

import pytest
import torch

from core.events import EpochEnded
from core.training.ema import Average
from core.training.objective import Objective
from tests.trained import PLAIN, clusters, head_loop, run_loop, small_network


def test_three_steps_by_hand():
    """Decays 2/11, 3/12 and, limited, 0.3 instead of 4/13."""
    average = Average(0.3, {"w": torch.tensor([0.0])})
    shadow = 0.0
    for value, decay in ((1.0, 2 / 11), (5.0, 3 / 12), (-2.0, 0.3)):
        average.follow({"w": torch.tensor([value])})
        shadow = decay * shadow + (1 - decay) * value
        assert float(average.tensors["w"]) == pytest.approx(shadow, rel=1e-6)


def test_counters_are_copied_and_what_is_followed_is_left_alone():
    state = {"w": torch.tensor([4.0]), "num_batches_tracked": torch.tensor(7)}
    average = Average(0.9, {"w": torch.tensor([0.0]), "num_batches_tracked": torch.tensor(0)})
    average.follow(state)
    assert int(average.tensors["num_batches_tracked"]) == 7
    assert float(state["w"]) == 4
    state["num_batches_tracked"] += 1
    assert int(average.tensors["num_batches_tracked"]) == 7


def test_a_saved_average_goes_on_as_if_nothing_had_been():
    whole, first = (Average(0.99, {"w": torch.zeros(3)}) for _ in range(2))
    values = [torch.randn(3, generator=torch.Generator().manual_seed(place)) for place in range(6)]
    for value in values:
        whole.follow({"w": value})
    for value in values[:3]:
        first.follow({"w": value})
    again = Average(0.99, {"w": torch.ones(3)})
    again.take({name: value.clone() for name, value in first.saved().items()}, torch.device("cpu"))
    for value in values[3:]:
        again.follow({"w": value})
    assert torch.equal(again.tensors["w"], whole.tensors["w"])


def test_the_average_is_judged_and_kept_while_the_weights_themselves_go_on():
    """One step an epoch, so that the weights after each step are those of the same run without averaging."""
    config = replace(PLAIN, optimizer="gradient_descent", head_learning_rate=0.3, head_epochs=4, ema=0.5)
    plain = replace(config, ema=0.0)
    steps = run_loop(head_loop(plain, small_network(plain)))[2]
    network = small_network(config)
    events, best, _ = run_loop(head_loop(config, network))

    shadow = torch.zeros(3, 6)
    bias = torch.zeros(3)
    losses = []
    x, targets = clusters(9, seed=5)
    for step, saved in enumerate(steps, start=1):
        decay = min(0.5, (1 + step) / (10 + step))
        shadow = decay * shadow + (1 - decay) * saved.tensors["now.head.layers.output.weight"]
        bias = decay * bias + (1 - decay) * saved.tensors["now.head.layers.output.bias"]
        losses.append(float(Objective(plain).judge(torch.from_numpy(x) @ shadow.T + bias, targets).mean()))
    told = [event.val_loss for event in events if isinstance(event, EpochEnded)]
    assert told == pytest.approx(losses, rel=1e-5)
    assert best.epoch == 4
    torch.testing.assert_close(best.tensors["head.layers.output.weight"], shadow)
    last = steps[-1].tensors["now.head.layers.output.weight"]
    torch.testing.assert_close(network.head.layers.output.weight.detach(), last)
    assert not torch.allclose(last, shadow)
