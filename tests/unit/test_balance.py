"""Classes with few photos: drawn as often as the others, or counting more; orders that a resume repeats."""

from dataclasses import replace

import pytest
import torch

from core.training.balance import Order
from tests.trained import PLAIN

UNEVEN = torch.tensor([0] * 900 + [1] * 80 + [2] * 20)


def order(seed: int = 0, balance: str = "none", targets=UNEVEN) -> Order:
    return Order(replace(PLAIN, seed=seed, class_balance=balance), targets, 3)


def test_an_epoch_shows_every_photo_once_in_another_order_each_time():
    first, second = order()(1), order()(2)
    assert sorted(first.tolist()) == list(range(1000))
    assert not torch.equal(first, second)


@pytest.mark.parametrize("balance", ["none", "sampling"])
def test_the_order_depends_on_seed_and_epoch_alone(balance):
    ours = order(3, balance)
    ours(1)
    torch.rand(5)
    assert torch.equal(ours(4), order(3, balance)(4))
    assert not torch.equal(ours(4), order(4, balance)(4))


def test_sampling_draws_every_class_equally_often():
    """χ² of the counts over ten epochs; 13.8 is exceeded by chance once in a thousand with two degrees of freedom."""
    drawn = torch.cat([UNEVEN[order(1, "sampling")(epoch)] for epoch in range(1, 11)])
    counts = torch.bincount(drawn, minlength=3).double()
    assert len(drawn) == 10_000
    assert float(((counts - 10_000 / 3) ** 2 / (10_000 / 3)).sum()) < 13.8


def test_sampling_draws_every_photo_of_a_class_equally_often():
    drawn = torch.cat([order(1, "sampling")(epoch) for epoch in range(1, 31)])
    counts = torch.bincount(drawn, minlength=1000)[980:].double()  # about 500 draws of each of the 20
    expected = float(counts.mean())
    assert expected == pytest.approx(500, rel=0.05)
    assert float(((counts - expected) ** 2 / expected).sum()) < 43.8  # χ², 19 degrees of freedom, as above


def test_weights_make_every_class_count_the_same_and_change_no_order():
    weighted = order(0, "weights")
    weights = weighted.class_weights(torch.device("cpu"))
    assert weights is not None
    totals = [float(weights[UNEVEN][label == UNEVEN].sum()) for label in range(3)]
    assert totals == pytest.approx([1000 / 3] * 3)
    assert float(weights[UNEVEN].mean()) == pytest.approx(1)
    assert torch.equal(weighted(2), order()(2))


def test_without_balance_and_with_sampling_no_class_weighs_more_in_the_loss():
    assert order().class_weights(torch.device("cpu")) is None
    assert order(balance="sampling").class_weights(torch.device("cpu")) is None
