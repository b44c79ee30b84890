"""What the Model page makes of a scope of transfer, and the mathematics it shows, without a page."""

from dataclasses import replace
from typing import get_args

import pytest

from core.config import Head, TrainConfig
from core.models import registry
from core.models.head import HeadSpec, head_parameters
from pages.parts import scope, settings
from pages.parts.choices import Plan, differing
from pages.parts.objective import formula, number
from pages.parts.scope import Scope

STAGES = 8


@pytest.mark.parametrize("copied", range(STAGES + 1))
@pytest.mark.parametrize("frozen", range(STAGES + 1))
def test_whichever_is_moved_no_noise_is_frozen_and_the_moved_one_stays(frozen, copied):
    begun = Scope(2, 6)
    assert begun.freezing(frozen) == (frozen, max(6, frozen))
    assert begun.copying(copied) == (min(2, copied), copied)


@pytest.mark.parametrize(
    ("counts", "written"),
    [
        ((8, 8), ("all", "all", 0)),
        ((0, 8), ("none", "all", 12)),
        ((3, 8), (3, "all", 12)),
        ((3, 5), (3, 5, 12)),
        ((5, 5), (5, 5, 12)),
        ((0, 0), ("none", "none", 12)),
    ],
)
def test_a_scope_is_written_as_settings_with_epochs_where_stages_may_learn(counts, written):
    config = scope.applied(TrainConfig(epochs=0), Scope(*counts), STAGES)
    assert (config.freeze_depth, config.copied_stages, config.epochs) == written
    assert scope.suggestion(config, STAGES) == counts
    assert scope.applied(TrainConfig(epochs=5), Scope(*counts), STAGES).epochs == (5 if written[2] else 0)


@pytest.mark.parametrize("kind", get_args(Head))
@pytest.mark.parametrize("layers", [1, 3])
def test_a_heads_weights_are_counted_as_torch_counts_them(kind, layers):
    config = TrainConfig(head=kind, hidden_layers=layers, hidden_units=70)
    assert scope.head_parameters(config, 1280, 5) == head_parameters(HeadSpec.of(config), 1280, 5)


def test_the_weights_that_learn_are_those_of_the_thawed_stages_and_the_head():
    backbone = registry.backbone("resnet18")
    config = TrainConfig(backbone="resnet18", head="hidden", hidden_units=10)
    head = 512 * 10 + 10 + 10 * 3 + 3
    frozen = len(backbone.stages) - 1
    assert scope.trainable_parameters(config, backbone, frozen + 1, 3) == head
    assert scope.trainable_parameters(config, backbone, frozen, 3) == head + backbone.stages[-1].parameters


@pytest.mark.parametrize(
    ("settled", "alone"),
    [
        ({"freeze_depth": "all"}, True),
        ({"freeze_depth": "all", "head_first": False}, True),
        ({"freeze_depth": 3}, True),
        ({"freeze_depth": 3, "head_first": False}, False),
        ({"freeze_depth": 3, "copied_stages": 5}, False),
        ({"freeze_depth": "none", "weights": "scratch"}, False),
    ],
)
def test_a_head_learns_alone_only_on_features_that_mean_something(settled, alone):
    assert settings.head_learns_alone(TrainConfig(**settled)) is alone


def test_the_same_depth_written_otherwise_is_no_difference():
    preset = TrainConfig(freeze_depth=8)
    suggested = scope.applied(preset, Scope(8, 8), STAGES)
    assert differing(Plan(preset, suggested, suggested, Scope(8, 8), ()), STAGES) == []
    moved = scope.applied(preset, Scope(7, 8), STAGES)
    assert differing(Plan(preset, moved, moved, Scope(7, 8), ()), STAGES) == ["freeze_depth"]
    longer = replace(moved, epochs=3)
    assert differing(Plan(preset, moved, longer, Scope(7, 8), ()), STAGES) == ["freeze_depth", "epochs"]


# --- L(θ) + λR(θ) --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "written"),
    [(0.001, "0.001"), (1e-5, "10^{-5}"), (2.5e-7, r"2.5 \cdot 10^{-7}"), (1 - 0.1, "0.9"), (2.0, "2"), (0.0, "0")],
)
def test_numbers_are_written_as_one_reads_them(value, written):
    assert number(value) == written


def test_the_formula_follows_the_loss_and_what_goes_with_it():
    log, focus, square = r"\log p_{ik}", r"(1-p_{ik})^{1.5}", r"\frac1{4} \sum_{k} \left(p_{ik}-t_{ik}\right)^2"
    cross, mse = formula(TrainConfig(), 4), formula(TrainConfig(loss="mse"), 4)
    focal = formula(TrainConfig(loss="focal", focal_gamma=1.5), 4)
    assert [part in cross for part in (log, focus, square)] == [True, False, False]
    assert [part in focal for part in (log, focus, square)] == [True, True, False]
    assert [part in mse for part in (log, focus, square)] == [False, False, True]
    assert r"0.9\,[\,k = y_i\,] + \tfrac{0.1}{4}" in cross
    assert r"t_{ik} &= [\,k = y_i\,]" in formula(TrainConfig(label_smoothing=0.0), 4)
    assert "w_{y_i}" in formula(TrainConfig(class_balance="weights"), 4)
    assert "w_{y_i}" not in cross


@pytest.mark.parametrize(
    ("regularizer", "norm"),
    [("l1", r"\lVert\theta\rVert_1"), ("l2", r"\tfrac12\,\lVert\theta\rVert_2^2"), ("l2sp", r"\theta-\theta^0")],
)
def test_the_formula_adds_the_regulariser_and_its_strength(regularizer, norm):
    shown = formula(TrainConfig(regularizer=regularizer, regularization=0.02), 3)
    assert norm in shown
    assert r"\lambda = 0.02" in shown
    assert "R(" not in formula(TrainConfig(), 3)
