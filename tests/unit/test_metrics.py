"""Scores compared with scikit-learn and with published intervals."""

import random

import pytest
from sklearn import metrics as reference

from core.inference.metrics import Answer, Results, wilson


def made_results(count: int, classes: int, seed: int) -> Results:
    draw = random.Random(seed)
    answers = []
    for number in range(count):
        target = draw.randrange(classes)
        said = target if draw.random() < 0.7 else draw.randrange(classes)
        answers.append(Answer(f"{number}.jpg", target, ((said, draw.random()),)))
    return Results(tuple(f"class {place}" for place in range(classes)), tuple(answers))


@pytest.mark.parametrize(("count", "classes"), [(60, 2), (200, 7), (5, 4)])
def test_scores_agree_with_scikit_learn(count, classes):
    results = made_results(count, classes, seed=count)
    true = [answer.target for answer in results.answers]
    said = [answer.predicted for answer in results.answers]
    labels = list(range(classes))
    assert results.accuracy == pytest.approx(reference.accuracy_score(true, said))
    assert results.confusion() == reference.confusion_matrix(true, said, labels=labels).tolist()
    columns = reference.precision_recall_fscore_support(true, said, labels=labels, zero_division=0)
    for score, precision, recall, f1, photos in zip(results.class_scores(), *columns, strict=True):
        assert (score.precision or 0) == pytest.approx(precision)
        assert (score.recall or 0) == pytest.approx(recall)
        assert (score.f1 or 0) == pytest.approx(f1)
        assert score.photos == photos


# Newcombe 1998, table I, method 3 (Wilson's score interval without continuity correction).
@pytest.mark.parametrize(
    ("right", "total", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_interval_is_the_published_one(right, total, low, high):
    assert wilson(right, total) == pytest.approx((low, high), abs=5e-5)


def test_without_photos_nothing_is_known():
    assert wilson(0, 0) == (0.0, 1.0)


def test_the_worst_mistakes_are_those_it_was_surest_of():
    answers = (
        Answer("right.jpg", 0, ((0, 0.99),)),
        Answer("unsure.jpg", 0, ((1, 0.51),)),
        Answer("sure.jpg", 1, ((0, 0.97),)),
    )
    assert [answer.path for answer in Results(("a", "b"), answers).worst(5)] == ["sure.jpg", "unsure.jpg"]


def test_results_come_back_from_json():
    results = made_results(20, 3, seed=1)
    assert Results.from_json(results.to_json()) == results
