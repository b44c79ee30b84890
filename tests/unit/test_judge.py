"""Averages over classes with their intervals, and the pairs and photos behind them."""

import json
import math
import random

import numpy as np
import pytest
from scipy.stats import beta, binomtest
from sklearn import metrics as reference

from core.inference.intervals import macro, wilson
from core.inference.metrics import Answer, Mistake, Results


def drawn(photos: tuple[int, ...], share: float, seed: int) -> tuple[list[int], list[int]]:
    """True and said classes: this share said rightly, the others anything."""
    draw = random.Random(seed)
    true = [place for place, count in enumerate(photos) for _ in range(count)]
    return true, [place if draw.random() < share else draw.randrange(len(photos)) for place in true]


def matrix(true: list[int], said: list[int], classes: int) -> list[list[int]]:
    return reference.confusion_matrix(true, said, labels=list(range(classes))).tolist()


@pytest.mark.parametrize(("photos", "seed"), [((20, 20), 1), ((50, 3, 9, 17), 2), ((4, 0, 6), 3)])
def test_averages_over_the_classes_agree_with_scikit_learn(photos, seed):
    true, said = drawn(photos, 0.6, seed)
    found = macro(matrix(true, said, len(photos)))
    present = sorted(set(true))
    precision, recall, f1, _ = reference.precision_recall_fscore_support(
        true, said, labels=present, average="macro", zero_division=0
    )
    assert found is not None
    assert found.balanced_accuracy.value == pytest.approx(recall)
    assert (found.precision.value, found.f1.value) == (pytest.approx(precision), pytest.approx(f1))
    if len(present) == len(photos):
        assert found.balanced_accuracy.value == pytest.approx(reference.balanced_accuracy_score(true, said))
    each = reference.f1_score(true, said, labels=list(range(len(photos))), average=None, zero_division=0)
    for place, one in enumerate(found.class_f1):
        assert one is None if place not in present else one.value == pytest.approx(each[place])


def test_a_hand_worked_table():
    # Of 4 cats 3 are found, of 2 dogs 1: recalls 3/4 and 1/2, precisions 3/4 and 1/2, so are the F1.
    found = macro([[3, 1], [1, 1]])
    assert found is not None
    assert [found.balanced_accuracy.value, found.precision.value, found.f1.value] == [0.625] * 3
    for one in (found.balanced_accuracy, found.precision, found.f1, *found.class_f1):
        assert one is not None
        assert 0 <= one.interval[0] <= one.value <= one.interval[1] <= 1


def test_without_photos_there_is_no_average():
    assert macro([[0, 0], [0, 0]]) is None


def test_with_many_photos_the_interval_is_that_of_the_normal_approximation():
    photos, right = (4000, 1000), (3600, 700)
    found = macro([[right[0], 400], [300, right[1]]])
    assert found is not None
    shares = [r / n for r, n in zip(right, photos, strict=True)]
    deviation = math.sqrt(sum(p * (1 - p) / n for p, n in zip(shares, photos, strict=True))) / 2
    low, high = found.balanced_accuracy.interval
    middle = sum(shares) / 2
    assert (low, high) == pytest.approx((middle - 1.96 * deviation, middle + 1.96 * deviation), abs=0.003)


def test_the_interval_of_f1_is_that_of_photos_drawn_again_class_by_class():
    true, said = drawn((120, 60, 30), 0.75, 4)
    of_class = {place: [s for t, s in zip(true, said, strict=True) if t == place] for place in range(3)}
    draw, scores = random.Random(0), []
    for _ in range(200):
        again = [s for place in range(3) for s in draw.choices(of_class[place], k=len(of_class[place]))]
        scores.append(reference.f1_score(true, again, average="macro"))
    found = macro(matrix(true, said, 3))
    assert found is not None
    assert found.f1.interval == pytest.approx(tuple(np.quantile(scores, (0.025, 0.975))), abs=0.02)


def test_forty_of_forty_right_are_no_proof_that_all_will_be():
    found = macro([[20, 0], [0, 20]])
    assert found is not None
    for one in (found.balanced_accuracy, found.precision, found.f1):
        assert one.value == one.interval[1] == 1
        # Wilson's interval of 40 of 40 begins at 91 %.
        assert one.interval[0] == pytest.approx(wilson(40, 40)[0], abs=0.05)


@pytest.mark.parametrize(("photos", "truth"), [((25, 15), (0.95, 0.8)), ((20, 20), (0.98, 0.98))])
def test_of_a_hundred_intervals_about_95_hold_the_truth(photos, truth):
    random_ = np.random.default_rng(7)
    held, sets = 0, 400
    for _ in range(sets):
        right = random_.binomial(photos, truth)
        found = macro([[right[0], photos[0] - right[0]], [photos[1] - right[1], right[1]]], repeats=300)
        assert found is not None
        low, high = found.balanced_accuracy.interval
        held += low <= sum(truth) / 2 <= high
    assert 0.91 <= held / sets <= 0.99


def test_with_one_class_of_photos_the_interval_is_jeffreys():
    found = macro([[17, 3], [0, 0]], repeats=20_000)
    assert found is not None
    low, high = beta(17.5, 3.5).ppf([0.025, 0.975])
    assert found.balanced_accuracy.interval == pytest.approx((low, high), abs=0.005)


def test_the_same_answers_get_the_same_interval_each_time():
    assert macro([[7, 2], [1, 9]]) == macro([[7, 2], [1, 9]])


def made() -> Results:
    answers = (
        Answer("a.jpg", 0, ((0, 0.9),)),
        Answer("b.jpg", 0, ((0, 0.99),)),
        Answer("c.jpg", 0, ((1, 0.6),)),
        Answer("d.jpg", 0, ((1, 0.8),)),
        Answer("e.jpg", 1, ((2, 0.7),)),
        Answer("f.jpg", 2, ((2, 0.95),)),
    )
    return Results(("ants", "bees", "wasps"), answers)


def test_each_class_has_the_wilson_interval_of_how_often_its_name_was_right():
    for score in made().class_scores():
        if score.called:
            expected = binomtest(score.right, score.called).proportion_ci(method="wilson")
            assert score.precision_interval == pytest.approx((expected.low, expected.high))
    assert [score.called for score in made().class_scores()] == [2, 2, 2]


def test_pairs_that_are_mixed_up_come_in_the_order_of_how_often():
    assert made().mistakes() == [Mistake(0, 1, 2), Mistake(1, 2, 1)]


def test_a_cell_has_its_photos_with_the_surest_first():
    results = made()
    assert [answer.path for answer in results.cell(0, 1)] == ["d.jpg", "c.jpg"]
    assert [answer.path for answer in results.cell(0, 0)] == ["b.jpg", "a.jpg"]
    assert results.cell(2, 0) == []
    every = [answer for i in range(3) for j in range(3) for answer in results.cell(i, j)]
    assert sorted(answer.path for answer in every) == [answer.path for answer in results.answers]


def test_the_best_are_the_right_answers_it_was_surest_of():
    assert [answer.path for answer in made().best(2)] == ["b.jpg", "f.jpg"]


def test_scores_of_before_there_were_temperatures_still_load():
    old = {
        "format": 1,
        "accuracy": 0.5,
        "interval": [0.09, 0.91],
        "correct": 1,
        "total": 2,
        "confusion": [[1, 0], [1, 0]],
        "per_class": [],
        "classes": ["ants", "bees"],
        "answers": [
            {"path": "a.jpg", "target": 0, "top": [[0, 0.9], [1, 0.1]]},
            {"path": "b.jpg", "target": 1, "top": [[0, 0.7], [1, 0.3]]},
        ],
        "unreadable": [],
    }
    read = Results.from_json(old)
    assert (read.temperature, read.correct, [answer.calibrated for answer in read.answers]) == (None, 1, [None, None])
    assert Results.from_json(read.to_json()) == read


def test_the_file_of_a_score_has_the_averages_with_their_intervals():
    told = json.loads(json.dumps(made().to_json()))["macro"]
    found = macro(made().confusion())
    assert found is not None
    for name in ("balanced_accuracy", "precision", "f1"):
        estimate = getattr(found, name)
        assert (told[name]["value"], tuple(told[name]["interval"])) == (estimate.value, estimate.interval)
    assert Results(("a", "b"), ()).to_json()["macro"] is None
