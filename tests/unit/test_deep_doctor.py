"""Wrong labels, strangers and classes that look alike: found where they were planted, and not where they weren't."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.covariance import EllipticEnvelope
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors

from core.doctor.confusable import interval
from core.doctor.deep import Deep, examine_deep
from core.doctor.labels import _odds
from core.doctor.neighbours import nearest
from core.doctor.outliers import strangeness
from core.doctor.probe import Answers, folded, grouped, learn
from core.doctor.report import Diagnosis
from core.doctor.space import directions
from tests.blobs import WIDTH, blobs, flipped, name, report_of

LETTERS = "abcdefghij"


def lettered(labels: np.ndarray) -> list[str]:
    return [LETTERS[label] for label in labels]


def one(deep: Deep, kind: str) -> Diagnosis:
    (found,) = [found for found in deep.diagnoses if found.kind == kind]
    return found


def kinds(deep: Deep) -> set[str]:
    assert all(found.title and found.meaning and found.mend for found in deep.diagnoses)
    assert all(found.case_text(case) or found.kind == "outlier" for found in deep.diagnoses for case in found.cases)
    return {found.kind for found in deep.diagnoses}


# Wrong labels


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_planted_label_errors_are_found_with_the_class_they_show(seed: int) -> None:
    features, labels = blobs(4, 40, seed=seed)
    said, wrong = flipped(labels, 8, 4, seed)
    found = one(examine_deep(report_of(lettered(said)), features, seed=seed), "label_error")
    assert sorted(found.paths) == [name(place) for place in wrong]
    for case in found.cases:
        place = int(case.paths[0][:4])
        assert case.suggestion is not None
        assert (case.suggestion.field, case.suggestion.value) == ("label", LETTERS[labels[place]])
        assert case.values == {"label": LETTERS[said[place]], "other": LETTERS[labels[place]]}
    sure = [case.confidence for case in found.cases]
    assert sure == sorted(sure, reverse=True)
    assert 0.75 <= sure[-1] <= sure[0] <= 1


def test_a_clean_set_has_no_label_error_and_its_accuracy_is_told() -> None:
    features, labels = blobs(4, 40)
    deep = examine_deep(report_of(lettered(labels)), features)
    # A photo in a thousand of a normal cloud lies beyond three deviations: one in 160 may be called strange.
    assert kinds(deep) <= {"outlier"}
    assert sum(len(found.cases) for found in deep.diagnoses) <= 1
    assert (deep.accuracy, deep.judged) == (1.0, 160)
    assert deep.probabilities is not None
    assert np.allclose(deep.probabilities.sum(axis=1), 1, atol=1e-5)


def test_the_same_seed_gives_the_same_answer_and_another_seed_other_folds() -> None:
    features, labels = blobs(3, 20, apart=1.0)
    report = report_of(lettered(labels))
    first, again, other = (examine_deep(report, features, seed=seed) for seed in (0, 0, 1))
    assert first.diagnoses == again.diagnoses
    assert np.array_equal(first.probabilities, again.probabilities)
    assert not np.array_equal(first.probabilities, other.probabilities)


def test_what_a_person_refused_is_not_told_again() -> None:
    features, labels = blobs(4, 40)
    said, wrong = flipped(labels, 5, 4)
    report = report_of(lettered(said))
    refused = {"label_error": {name(int(wrong[0]))}, "outlier": {name(int(wrong[1]))}}
    found = one(examine_deep(report, features, refused=refused), "label_error")
    assert sorted(found.paths) == [name(place) for place in wrong[1:]]
    assert found.values == {"n": 4}
    everything = {"label_error": {name(int(place)) for place in wrong}}
    assert "label_error" not in kinds(examine_deep(report, features, refused=everything))


def test_copies_with_the_same_wrong_label_do_not_vouch_for_each_other() -> None:
    features, labels = blobs(3, 30)
    said = labels.copy()
    said[:12] = 1  # one photo of class 0, saved twelve times, all of them filed under 1
    features[:12] = features[0] + np.random.default_rng(0).normal(0, 0.01, (12, WIDTH))
    copies = tuple(name(place) for place in range(12))
    apart = examine_deep(report_of(lettered(said)), features)
    together = examine_deep(report_of(lettered(said), together=(copies,)), features)
    assert not set(copies) & {path for found in apart.diagnoses for path in found.paths}
    assert set(copies) <= set(one(together, "label_error").paths)


def test_a_class_of_three_photos_is_not_judged() -> None:
    features, labels = blobs(3, 30)
    keep = np.r_[0:60, 60:63]
    deep = examine_deep(report_of(lettered(labels[keep])), features[keep])
    assert deep.judged == 60
    assert "label_error" not in kinds(deep)


@pytest.mark.parametrize("count", [0, 1, 5])
def test_a_tiny_set_or_a_single_class_is_examined_without_an_accuracy(count: int) -> None:
    features, _ = blobs(1, count)
    deep = examine_deep(report_of(["a"] * count), features)
    assert (deep.accuracy, deep.judged, deep.diagnoses) == (None, 0, ())


def test_two_classes_of_one_photo_each_are_examined() -> None:
    features, labels = blobs(2, 1)
    deep = examine_deep(report_of(lettered(labels)), features)
    assert (deep.accuracy, deep.judged, deep.diagnoses) == (None, 0, ())


def test_features_of_other_photos_are_refused() -> None:
    with pytest.raises(ValueError, match="3 features of 2 photos"):
        examine_deep(report_of(["a", "b"]), np.zeros((3, WIDTH), np.float32))


# Strangers


def test_planted_strangers_are_found_and_suggested_to_be_set_aside() -> None:
    features, labels = blobs(3, 40)
    random = np.random.default_rng(5)
    strange = np.array([3, 50, 100])
    features[strange] = random.normal(0, 3, (3, WIDTH))
    found = one(examine_deep(report_of(lettered(labels)), features), "outlier")
    assert sorted(found.paths[:3]) == [name(place) for place in strange]
    assert len(found.cases) <= 4
    assert {(case.suggestion.field, case.suggestion.value) for case in found.cases if case.suggestion} == {
        ("aside", "outlier")
    }
    # An independent method takes the same three for the strangest.
    flat = directions(features, 5)
    other = EllipticEnvelope(contamination=0.05, random_state=0).fit(flat).mahalanobis(flat)
    mine = strangeness(nearest(directions(features), 10), labels)
    assert set(np.argsort(-mine)[:3]) == set(strange)
    assert np.median(other[strange]) > np.quantile(other, 0.9)


# Classes


def test_one_class_cut_in_two_at_random_is_told_as_two_that_look_alike() -> None:
    features, labels = blobs(3, 60)
    random = np.random.default_rng(0)
    said = np.where(labels == 2, 2 + random.integers(0, 2, len(labels)), labels)
    found = one(examine_deep(report_of(lettered(said)), features), "confusable")
    (case,) = found.cases
    assert (case.values["first"], case.values["second"]) == ("c", "d")
    assert int(str(case.values["low"])) < 50 < int(str(case.values["high"]))
    assert {said[int(path[:4])] for path in case.paths} == {2, 3}


def test_a_class_that_is_often_mistaken_for_another_needs_more_to_doubt_a_label() -> None:
    # Two photos of each class; the first class often looks like the second and never like the third.
    probabilities = np.array(
        [[0.2, 0.7, 0.1], [0.5, 0.4, 0.1], [0.1, 0.8, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8], [0.4, 0.1, 0.5]],
        np.float32,
    )
    answers = Answers(probabilities.astype(np.float32), np.ones(6, bool))
    odds, other = _odds(answers, np.array([0, 0, 1, 1, 2, 2]))
    assert other.tolist()[:2] == [1, 1]
    # Of the first class's means, 0.35, 0.55 and 0.1, the second is 0.55 / 0.325 = 1.692 times the mean of the others.
    assert odds[0] == pytest.approx(0.7 / 0.2 / 1.692**0.5, rel=1e-3)
    # The third class's: 0.25, 0.1, 0.65; the first is 0.25 / 0.175 = 1.429 times the mean of the others.
    assert odds[5] == pytest.approx(0.4 / 0.5 / 1.429**0.5, rel=1e-3)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_labels_given_at_random_are_told_as_such_and_nothing_else_is(seed: int) -> None:
    features, labels = blobs(1, 120, seed=seed)
    report = report_of(lettered(np.random.default_rng(seed + 100).integers(0, 3, len(labels))))
    deep = examine_deep(report, features, seed=seed)
    assert kinds(deep) - {"outlier"} == {"inseparable"}
    # Nothing of the judged photo's own label reaches its answer: then a third would be right by chance.
    assert deep.accuracy == pytest.approx(1 / 3, abs=0.1)


def test_the_interval_is_wilsons() -> None:
    # Newcombe 1998, table I: 81 of 263 is 0.2553 to 0.3662, and 15 of 148 is 0.0624 to 0.1605.
    assert interval(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert interval(15 / 148, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)


# What they are made of


def test_few_dimensions_keep_the_likeness_of_photos() -> None:
    features, _ = blobs(3, 30)
    points = directions(features)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    assert points.shape == (90, WIDTH)
    assert np.allclose(points @ points.T, unit @ unit.T, atol=1e-5)
    few = directions(features, 3)
    # The best approximation of rank 3, by numpy's singular values.
    left, values, right = np.linalg.svd(unit, full_matrices=False)
    best = (left[:, :3] * values[:3]) @ right[:3]
    assert np.allclose(few @ few.T, best @ best.T, atol=1e-4)


def test_neighbours_are_those_of_scikit_learn() -> None:
    points = np.random.default_rng(0).normal(size=(300, 8)).astype(np.float32)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    distance, places = NearestNeighbors(n_neighbors=6, metric="cosine").fit(points).kneighbors(points)
    mine = nearest(points, 5)
    assert np.array_equal(mine.places, places[:, 1:])
    assert np.allclose(1 - mine.likeness, distance[:, 1:], atol=1e-5)


def test_neighbours_are_the_same_in_small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    points = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    groups = np.arange(50) // 2
    whole = nearest(points, 5, groups)
    monkeypatch.setattr("core.doctor.neighbours.BLOCK_BYTES", 1)
    parts = nearest(points, 5, groups)
    assert np.array_equal(whole.places, parts.places)
    assert not (groups[whole.places] == groups[:, None]).any()


def test_the_linear_classifier_is_a_balanced_logistic_regression() -> None:
    features, labels = blobs(3, 20, apart=1.0)
    points = directions(features)
    centred = points - points.mean(axis=0)
    scaled = centred / np.sqrt(np.square(centred).sum(axis=1).mean())
    model = LogisticRegression(C=3.0, class_weight="balanced", tol=1e-8, max_iter=5000).fit(scaled, labels)
    assert np.allclose(learn(points, labels, points, classes=3), model.predict_proba(scaled), atol=2e-3)


def test_a_class_that_is_not_learnt_from_gets_no_probability() -> None:
    features, labels = blobs(3, 10)
    answers = learn(features[:20], labels[:20], features, classes=3)
    assert np.array_equal(answers[:, 2], np.zeros(30))


def test_folds_keep_groups_whole_and_classes_even() -> None:
    labels = np.repeat([0, 1], [60, 30])
    groups = np.arange(90)
    groups[:6] = 0
    folds = folded(labels, groups, 10, seed=3)
    assert len(set(folds[:6])) == 1
    assert np.bincount(folds[labels == 1], minlength=10).tolist() == [3] * 10
    assert np.bincount(folds, minlength=10).max() <= 12


def test_equal_content_and_ties_make_one_group() -> None:
    report = report_of(["a"] * 5)
    hashes = ("x", "y", "x", "z", "w")
    paths = tuple(photo.path for photo in report.photos)
    groups = grouped(paths, hashes, ((paths[1], paths[2]), ("gone.jpg", paths[4])))
    assert groups[0] == groups[1] == groups[2]
    assert len(set(groups.tolist())) == 3


def test_photos_with_equal_bytes_never_judge_each_other() -> None:
    features, labels = blobs(2, 30)
    said = labels.copy()
    said[0] = said[1] = 1
    report = report_of(lettered(said))
    twin = replace(report.photos[1], sha256=report.photos[0].sha256)
    features[1] = features[0]
    report = replace(report, photos=(report.photos[0], twin, *report.photos[2:]))
    assert {name(0), name(1)} <= set(one(examine_deep(report, features), "label_error").paths)
