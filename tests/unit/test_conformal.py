"""Prediction sets: worked out by hand, and the promise kept on drawn photos."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.inference.conformal import fewest, prediction_set, quantile, rank


def drawn(photos: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(photos, 4) probabilities, and classes drawn by quite other ones: the model is wrong about itself."""
    random = np.random.default_rng(seed)
    z = random.normal(size=(photos, 4)) * 2
    said = np.exp(3 * z) / np.exp(3 * z).sum(axis=1, keepdims=True)
    true = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    return said, np.array([random.choice(4, p=row) for row in true])


def test_nine_photos_and_80_percent_worked_out_by_hand():
    sure_of_truth = [0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5, 0.3, 0.1]
    probabilities = np.array([[p, 1 - p] for p in sure_of_truth])
    # Scores 0.05, 0.1, …, 0.7, 0.9; ⌈10 · 0.8⌉ = 8, and the 8th smallest is 0.7.
    assert quantile(probabilities, [0] * 9, 0.8) == pytest.approx(0.7)
    # ⌈10 · 0.9⌉ = 9, although 0.9 times 10 need not be 9 to a computer.
    assert quantile(probabilities, [0] * 9, 0.9) == pytest.approx(0.9)
    # ⌈10 · 0.95⌉ = 10: nine photos can't promise that.
    assert quantile(probabilities, [0] * 9, 0.95) == math.inf


def test_a_set_names_all_classes_up_to_the_quantile_the_likeliest_first():
    assert prediction_set([0.1, 0.5, 0.4], 0.6) == (1, 2)
    assert prediction_set([0.1, 0.5, 0.4], 0.4) == ()
    assert prediction_set([0.1, 0.5, 0.4], math.inf) == (1, 2, 0)
    assert prediction_set([0.4, 0.2, 0.4], 0.7) == (0, 2)


@pytest.mark.parametrize(("coverage", "photos"), [(0.5, 1), (0.8, 4), (0.9, 9), (0.95, 19), (0.99, 99)])
def test_the_fewest_photos_are_those_with_which_a_quantile_exists(coverage, photos):
    assert fewest(coverage) == photos
    assert rank(photos, coverage) == photos
    assert rank(photos - 1, coverage) > photos - 1


@pytest.mark.parametrize("coverage", [0.0, 1.0, 1.5])
def test_a_coverage_that_is_none_is_refused(coverage):
    with pytest.raises(ValueError, match="coverage"):
        rank(10, coverage)


@pytest.mark.parametrize("coverage", [0.8, 0.9])
def test_the_right_class_is_named_as_often_as_was_asked_however_wrong_the_model_is(coverage):
    """In the mean over many draws of 49 validation photos, from c to c + 1/50.

    Source: Angelopoulos and Bates 2021, theorem 1.
    """
    probabilities, true = drawn(49 * 400 + 2000, seed=3)
    new, new_true = probabilities[-2000:], true[-2000:]
    scores = 1 - new[np.arange(2000), new_true]
    shares = [
        (scores <= quantile(probabilities[i : i + 49], true[i : i + 49], coverage)).mean()
        for i in range(0, 49 * 400, 49)
    ]
    assert coverage - 0.015 < float(np.mean(shares)) < coverage + 1 / 50 + 0.015
    q = quantile(probabilities[:49], true[:49], coverage)
    named = [int(target) in prediction_set(row, q) for row, target in zip(new, new_true, strict=True)]
    assert np.mean(named) == pytest.approx((scores <= q).mean())


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=60), st.floats(0.05, 0.95))
def test_of_the_validation_photos_at_most_the_rest_falls_above_the_quantile(sure_of_truth, coverage):
    probabilities = np.array([[p, 1 - p] for p in sure_of_truth])
    q = quantile(probabilities, [0] * len(sure_of_truth), coverage)
    above = sum(1 - p > q for p in sure_of_truth)
    assert above <= len(sure_of_truth) * (1 - coverage) + 1e-6
