"""Frozen stages stay as they are to the bit while the rest learns."""

import pytest
import torch
from torch import nn

from core.errors import ConfigError
from core.models import registry
from core.models.build import Network, build
from core.models.freeze import freeze, resolve_depth

NAMES = ("resnet18", "efficientnet_lite0", "mobilenet_v3_small", "squeezenet1_1", "shufflenet_v2_x0_5")


def train_a_little(network: Network, steps: int = 2) -> None:
    """A few steps in training mode, weights decay included: it would move even what has no gradient."""
    generator = torch.Generator().manual_seed(1)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2, weight_decay=0.1)
    network.train()
    for _ in range(steps):
        photos = torch.randn(4, 3, 64, 64, generator=generator)
        loss = nn.functional.cross_entropy(network(photos), torch.tensor([0, 1, 2, 0]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def copied(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


@pytest.mark.parametrize("depth", ["all", 1, 3, "none"])
@pytest.mark.parametrize("name", NAMES)
def test_training_moves_trainable_stages_and_no_bit_of_frozen_ones(name, depth):
    network = build(name, 3, weights=None)
    freeze(network, depth)
    before = [copied(stage) for stage in network.stages]
    head_before = copied(network.head)
    train_a_little(network)
    count = resolve_depth(depth, len(network.stages))
    for place, (stage, old) in enumerate(zip(network.stages, before, strict=True)):
        new = stage.state_dict()
        if place < count:
            assert all(torch.equal(new[key], old[key]) for key in old), f"frozen stage {place} moved"
        else:
            weights = [key for key, _ in stage.named_parameters()]
            assert any(not torch.equal(new[key], old[key]) for key in weights), f"stage {place} did not learn"
            statistics = [key for key in old if key.endswith("running_mean")]
            assert all(not torch.equal(new[key], old[key]) for key in statistics), f"statistics of {place} stood still"
    assert any(not torch.equal(network.head.state_dict()[key], head_before[key]) for key in head_before)


def test_a_frozen_stage_stays_in_eval_through_every_switch_of_mode():
    network = build("resnet18", 2, weights=None)
    freeze(network, 2)
    network.train()
    network.eval()
    network.train()
    modes = [{module.training for module in stage.modules()} for stage in network.stages]
    assert modes == [{False}, {False}, {True}, {True}]
    assert network.head.training


def test_a_frozen_stage_draws_nothing_at_random_while_training():
    """EfficientNet's blocks skip themselves by chance when trained."""
    network = build("efficientnet_b0", 2, weights=None)
    photos = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    network.train()
    with torch.no_grad():
        assert not torch.equal(network.features(photos), network.features(photos))
        freeze(network, "all")
        network.train()
        assert torch.equal(network.features(photos), network.features(photos))


def test_freezing_again_less_deeply_sets_the_rest_free():
    network = build("resnet18", 2, weights=None)
    network.train()
    freeze(network, "all")
    freeze(network, 1)
    assert [all(p.requires_grad for p in stage.parameters()) for stage in network.stages] == [False, True, True, True]
    assert [stage.training for stage in network.stages] == [False, True, True, True]


@pytest.mark.parametrize("name", [*NAMES, "densenet121", "efficientnet_v2_s", "regnet_y_400mf"])
def test_the_tables_count_of_trainable_parameters_is_what_an_optimiser_would_get(name):
    row = registry.backbone(name)
    network = build(name, 7, weights=None)
    for depth in ("none", *range(len(row.stages) + 1), "all"):
        freeze(network, depth)
        counted = sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
        assert registry.trainable_parameters(row, depth, 7) == counted, depth


def test_all_and_none_are_the_two_ends():
    assert [resolve_depth(depth, 5) for depth in ("none", 0, 3, 5, "all")] == [0, 0, 3, 5, 5]


@pytest.mark.parametrize("depth", [6, -1])
def test_a_depth_beyond_the_network_is_refused_with_both_numbers(depth):
    with pytest.raises(ConfigError) as caught:
        resolve_depth(depth, 5)
    assert str(depth) in caught.value.message
    assert "5" in caught.value.message
