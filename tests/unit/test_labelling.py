"""Guesses for unlabelled photos: right, as sure as they should be, and in a useful order."""

import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn.semi_supervised import LabelSpreading

from core.doctor import labelling
from core.doctor.labelling import Proposals, propose, propose_labels, round_accuracy
from core.doctor.neighbours import nearest
from core.doctor.space import Joined, directions
from tests.blobs import WIDTH, blobs, name, photo, report_of

LETTERS = "abcdefghij"


def parted(classes: int, labelled: int, of_each: int, *, apart: float, seed: int = 0):
    """``labelled`` photos of each class, and the others with the classes they really show."""
    features, labels = blobs(classes, of_each, apart=apart, seed=seed)
    place = np.arange(len(labels)) % of_each
    known = place < labelled
    return features[known], labels[known], features[~known], labels[~known]


def test_clear_classes_are_guessed_right_and_the_surest_come_first() -> None:
    features, labels, unknown, truth = parted(4, 10, 50, apart=4.0)
    found = propose(features, labels, unknown, 4)
    assert (found.chosen == truth).mean() > 0.99
    assert found.accuracy == 1.0
    assert found.judged == 40
    assert sorted(found.certain.tolist()) == sorted(found.useful.tolist()) == list(range(160))
    sure = found.certainty[found.certain]
    assert (np.diff(sure) <= 1e-12).all()


def test_no_more_is_claimed_than_labelled_photos_bear_out() -> None:
    features, labels, unknown, _ = parted(2, 10, 30, apart=8.0)
    found = propose(features, labels, unknown, 2)
    # All 20 labelled photos were guessed right: 21 in 22 or, at the lowest threshold, one less in 23 is the most.
    assert found.accuracy == 1.0
    assert found.certainty.max() <= 21 / 22


@pytest.mark.parametrize("apart", [0.8, 1.2, 2.0])
def test_certainty_means_what_it_says(apart: float) -> None:
    claimed: list[float] = []
    right: list[float] = []
    for seed in range(8):
        features, labels, unknown, truth = parted(3, 20, 70, apart=apart, seed=seed)
        found = propose(features, labels, unknown, 3, seed=seed)
        claimed.append(float(found.certainty.mean()))
        right.append(float((found.chosen == truth).mean()))
    assert np.mean(claimed) == pytest.approx(np.mean(right), abs=0.06)


def test_labels_at_random_are_guessed_without_certainty() -> None:
    features, _ = blobs(1, 200)
    labels = np.random.default_rng(0).integers(0, 4, 100)
    found = propose(features[:100], labels, features[100:], 4)
    assert found.certainty.mean() < 0.5
    assert found.accuracy is not None
    assert found.accuracy < 0.45


def test_spreading_along_the_graph_is_zhous() -> None:
    """Against scikit-learn's LabelSpreading on the same graph."""
    features, labels, unknown, _ = parted(3, 5, 20, apart=1.5)
    points = directions(Joined(features, unknown))
    graph = labelling._graph(nearest(points, 5))
    said = np.r_[labels, np.full(len(unknown), -1)]
    near = nearest(points, 5)
    weights = np.zeros((len(points), len(points)))
    rows = np.arange(len(points))[:, None]
    weights[rows, near.places] = np.exp((near.likeness - near.likeness[:, :1]) * labelling.SHARPNESS)
    weights = np.maximum(weights, weights.T)
    reference = LabelSpreading(kernel=lambda x, y: weights, alpha=labelling.SPREAD, max_iter=500, tol=1e-9)
    reference.fit(points, said)
    spread = start = np.eye(3)[np.where(said < 0, 0, said)] * (said >= 0)[:, None]
    for _ in range(labelling.ROUNDS):
        spread = labelling.SPREAD * (graph @ spread) + (1 - labelling.SPREAD) * start
    mine = spread / spread.sum(axis=1, keepdims=True)
    assert np.allclose(mine, reference.label_distributions_, atol=0.01)


def test_what_is_useful_lies_between_classes_and_isnt_the_same_photo_twice() -> None:
    features, labels, unknown, _ = parted(2, 15, 40, apart=4.0)
    random = np.random.default_rng(0)
    between = features[:15].mean(axis=0) / 2 + features[15:].mean(axis=0) / 2
    same = np.repeat(between[None], 6, axis=0) + random.normal(0, 0.01, (6, WIDTH))  # one doubtful photo, six times
    other = between + random.normal(0, 0.6, WIDTH)
    found = propose(features, labels, np.concatenate([unknown, same, other[None]]).astype(np.float32), 2)
    copies = set(range(len(unknown), len(unknown) + 6))
    first, second = found.useful[:2].tolist()
    assert {first, second} <= copies | {len(unknown) + 6}
    assert len({first, second} & copies) == 1


def test_proposals_name_photos_and_survive_json() -> None:
    features, labels, unknown, truth = parted(3, 8, 12, apart=4.0)
    report = report_of([LETTERS[label] for label in labels], unlabelled=len(unknown))
    found = propose_labels(report, features, unknown)
    assert found is not None
    assert found.fingerprint == report.fingerprint
    real = {name(len(labels) + place): LETTERS[label] for place, label in enumerate(truth)}
    assert {row.path: row.label for row in found.certain} == real
    assert set(found.useful) == found.asked == set(real)
    assert Proposals.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_photos_that_could_not_be_read_were_asked_about_all_the_same() -> None:
    features, labels, unknown, _ = parted(2, 8, 12, apart=4.0)
    report = report_of([LETTERS[label] for label in labels], unlabelled=len(unknown))
    found = propose_labels(report, features, unknown)
    assert found is not None
    assert "x.jpg" in found.with_unread("another", {"x.jpg"}).asked


def test_nothing_is_proposed_with_a_single_class_or_without_unlabelled_photos() -> None:
    features, _ = blobs(1, 10)
    assert propose_labels(report_of(["a"] * 8, unlabelled=2), features[:8], features[8:]) is None
    assert propose_labels(report_of(["a", "b"] * 5), features, features[:0]) is None


def test_one_labelled_photo_of_each_class_is_enough_to_propose_but_not_to_be_sure() -> None:
    features, labels, unknown, _ = parted(3, 1, 10, apart=4.0)
    found = propose(features, labels, unknown, 3)
    assert (found.accuracy, found.judged) == (None, 0)
    assert found.certainty.max() <= 0.5


def test_a_round_is_judged_on_the_first_photos_alone() -> None:
    features, labels = blobs(3, 40, apart=1.0)
    order = np.random.default_rng(0).permutation(len(labels))
    features, labels = features[order], labels[order]
    report = report_of([LETTERS[label] for label in labels])
    first = [photo.path for photo in report.photos[:30]]
    accuracy, judged = round_accuracy(report, features, first)
    assert judged == 30
    assert accuracy is not None
    # Easy photos that come later must not flatter: copies far from every border change nothing of what is judged.
    easy, kinds = blobs(3, 40, apart=30.0, seed=1)
    more = tuple(photo(1000 + place, LETTERS[kind]) for place, kind in enumerate(kinds))
    larger = replace(report, photos=(*report.photos, *more))
    later, judged_later = round_accuracy(larger, np.concatenate([features, easy]), first)
    assert judged_later == 30
    assert later is not None
    everything, _ = round_accuracy(larger, np.concatenate([features, easy]), [photo.path for photo in larger.photos])
    assert everything is not None
    assert everything > later
    assert abs(later - accuracy) < 0.2


def test_a_round_of_photos_that_are_gone_has_no_accuracy() -> None:
    features, labels = blobs(2, 10)
    report = report_of([LETTERS[label] for label in labels])
    assert round_accuracy(report, features, ["gone.jpg"]) == (None, 0)
