"""The map of feature space against what it should keep: axes, neighbours, frames, and the photos that are drawn."""

import itertools
import json

import numpy as np
import pytest

from core.data.report import PARTS, Sample, Split
from core.inference import feature_map
from core.inference.feature_map import (
    FeatureMap,
    MapPhoto,
    comparable,
    drawn,
    laid_out,
    one_thread,
    pca,
    same_class_neighbours,
    scaled,
    tsne,
    turned,
)
from core.inference.intervals import wilson
from tests.blobs import blobs


def photos_of(targets: np.ndarray, parts: list[str]) -> tuple[MapPhoto, ...]:
    """Photos with these classes; every fifth is taken for class 0."""
    return tuple(
        MapPhoto(f"{place}.jpg", f"{place:064x}", part, int(target), 0 if place % 5 == 0 else int(target), 0.9)
        for place, (target, part) in enumerate(zip(targets, parts, strict=True))
    )


def parts_of(count: int) -> list[str]:
    return [("train", "train", "val", "test")[place % 4] for place in range(count)]


def distances(points: np.ndarray) -> np.ndarray:
    return np.linalg.norm(points[:, None] - points[None], axis=2)


@pytest.fixture(scope="module")
def space() -> tuple[np.ndarray, np.ndarray]:
    return blobs(3, 20)


@pytest.mark.parametrize(("count", "width"), [(40, 7), (9, 30)])
def test_pca_gives_the_main_axes_of_a_singular_value_decomposition(count: int, width: int) -> None:
    points = np.random.default_rng(1).normal(size=(count, width)) * np.arange(1, width + 1)
    axes, shares = pca(points, 3)
    centred = points - points.mean(axis=0)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    for place in range(3):
        ours, theirs = axes[:, place], left[:, place] * sizes[place]
        assert np.allclose(ours, theirs) or np.allclose(ours, -theirs)
    assert shares == pytest.approx(sizes[:3] ** 2 / (sizes**2).sum())


def test_two_photos_lie_on_one_line_and_equal_ones_on_one_spot() -> None:
    axes, shares = pca(np.array([[0.0, 0.0, 3.0], [0.0, 4.0, 0.0]]), 50)
    assert np.linalg.norm(axes[0] - axes[1]) == pytest.approx(5)
    assert axes[:, 1] == pytest.approx([0, 0])
    assert shares == pytest.approx([1, 0])
    same, none = pca(np.ones((4, 5)), 50)
    assert not same.any()
    assert not none.any()


def test_a_map_that_was_turned_and_mirrored_is_laid_back_on_the_first(space: tuple[np.ndarray, np.ndarray]) -> None:
    first = scaled(space[0][:, :2])
    angle = 2.1
    turn = np.array([[np.cos(angle), np.sin(angle)], [np.sin(angle), -np.cos(angle)]])
    assert turned(first @ turn, first) == pytest.approx(first)


def test_turning_bends_nothing_and_no_other_turn_brings_the_photos_nearer() -> None:
    random = np.random.default_rng(3)
    first, other = random.normal(size=(30, 2)), random.normal(size=(30, 2))
    laid = turned(other, first)
    assert distances(laid) == pytest.approx(distances(other))
    best = ((laid - first) ** 2).sum()
    for angle, mirror in itertools.product(np.linspace(0, 2 * np.pi, 720), (1, -1)):
        turn = np.array([[np.cos(angle), np.sin(angle)], [-mirror * np.sin(angle), mirror * np.cos(angle)]])
        assert best <= ((other @ turn - first) ** 2).sum() + 1e-9


@pytest.mark.slow
def test_both_maps_of_the_same_space_seen_from_another_side_are_the_same(space: tuple[np.ndarray, np.ndarray]) -> None:
    features, targets = space
    turn = np.linalg.qr(np.random.default_rng(5).normal(size=(features.shape[1],) * 2))[0]
    photos = photos_of(targets, parts_of(len(targets)))
    before, after = laid_out(features, features @ turn, "body", photos)
    assert before is not None
    assert np.array(after.pca) == pytest.approx(np.array(before.pca), abs=2e-3)
    moved = np.linalg.norm(np.array(after.tsne) - np.array(before.tsne), axis=1)
    assert np.median(moved) < 0.3  # of a map whose photos lie 1 from its middle; rounding alone moves t-SNE a little
    assert after.neighbours == before.neighbours


@pytest.mark.slow
def test_tsne_keeps_each_class_together_and_says_the_same_twice(space: tuple[np.ndarray, np.ndarray]) -> None:
    features, targets = space
    axes, _ = pca(comparable(features, "body"), 50)
    start = scaled(axes[:, :2])
    told: list[int] = []
    with one_thread():
        points, again = tsne(axes, start, told.append), tsne(axes, start)
    assert told == sorted(told)
    assert 0 < told[0] < told[-1] <= feature_map.ITERATIONS
    apart = distances(points)
    np.fill_diagonal(apart, np.inf)
    assert (targets[apart.argmin(axis=1)] == targets).all()
    assert np.array_equal(points, again)


@pytest.mark.slow
def test_who_asks_to_stop_between_two_words_of_it_ends_it(space: tuple[np.ndarray, np.ndarray]) -> None:
    features, targets = space
    heard: list[int] = []

    def stop(done: int, total: int) -> None:
        heard.append(done)
        if done >= 100:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        laid_out(features, features, "body", photos_of(targets, parts_of(len(targets))), stop)
    assert heard[-1] == 100


@pytest.mark.parametrize("count", [1, 2, 3, feature_map.FEWEST_FOR_TSNE - 1])
def test_a_few_photos_get_a_plain_map_alone(count: int) -> None:
    features, targets = blobs(2, 6)
    before, after = laid_out(features[:count], features[:count], "body", photos_of(targets[:count], ["train"] * count))
    assert before is not None
    assert np.array(before.pca) == pytest.approx(np.array(after.pca), abs=2e-4)  # rounded
    assert after.tsne is None
    assert after.neighbours is None
    assert len(after.points("tsne")) == count
    assert np.isfinite(after.pca).all()


def brute_neighbours(points: np.ndarray, photos: tuple[MapPhoto, ...], asked: str) -> tuple[int, int]:
    same = total = 0
    for i, photo in enumerate(photos):
        if photo.part != asked:
            continue
        known = [j for j, other in enumerate(photos) if other.part == "train"]
        nearest = min(known, key=lambda j, i=i: sum((points[i] - points[j]) ** 2))
        same += photos[nearest].target == photo.target
        total += 1
    return same, total


@pytest.mark.parametrize("apart", [0.3, 4.0])
def test_the_share_of_neighbours_of_the_same_class_is_that_of_all_pairs(apart: float) -> None:
    features, targets = blobs(4, 30, apart=apart)
    photos = photos_of(targets, parts_of(len(targets)))
    found = same_class_neighbours(features.astype(float), photos)
    assert found is not None
    assert (found.same, found.total) == brute_neighbours(features.astype(float), photos, "test")
    assert found.part == "test"
    assert found.interval == wilson(found.same, found.total)
    assert found.chance == pytest.approx(0.25, abs=0.03)


def test_validation_photos_are_asked_only_where_there_is_no_test_part() -> None:
    features, targets = blobs(3, 20, apart=0.5)
    parts = ["val" if place % 3 == 0 else "train" for place in range(len(targets))]
    photos = photos_of(targets, parts)
    found = same_class_neighbours(features.astype(float), photos)
    assert found is not None
    assert (found.part, found.same, found.total) == ("val", *brute_neighbours(features.astype(float), photos, "val"))
    assert same_class_neighbours(features, photos_of(targets, ["train"] * len(targets))) is None
    assert same_class_neighbours(features, photos_of(targets, ["test"] * len(targets))) is None


def test_a_photos_length_says_nothing_about_its_likeness(space: tuple[np.ndarray, np.ndarray]) -> None:
    features, _ = space
    brighter = features * np.random.default_rng(0).uniform(0.1, 10, size=(len(features), 1))
    assert comparable(brighter, "body") == pytest.approx(comparable(features, "body"), abs=1e-6)
    assert np.array_equal(comparable(features, "head"), features)
    assert np.isfinite(comparable(np.zeros((2, 3)), "body")).all()


def split_of(classes: int, of_each: dict[str, int]) -> Split:
    numbers = itertools.count()
    parts = {
        part: tuple(
            Sample(f"{number}.jpg", target, f"{number * 7919 % 1_000_003:064x}")
            for target in range(classes)
            for _ in range(of_each.get(part, 0))
            for number in [next(numbers)]
        )
        for part in PARTS
    }
    return Split(tuple(f"class {number}" for number in range(classes)), root="/nowhere", **parts)


def test_of_many_photos_some_are_drawn_evenly_and_always_the_same() -> None:
    split = split_of(300, {"train": 14, "val": 2, "test": 4})
    chosen = drawn(split)
    assert len(chosen) == len(set(chosen)) == feature_map.MOST_PHOTOS
    assert chosen == drawn(split)
    for part, expected in (("train", 2100), ("val", 300), ("test", 600)):
        targets = [sample.target for name, sample in chosen if name == part]
        assert len(targets) == expected
        counts = np.bincount(targets, minlength=300)
        assert counts.max() - counts.min() <= 1
    assert len(drawn(split_of(2, {"train": 1}))) == 2


@pytest.mark.slow
def test_a_map_survives_its_file_with_300_classes_and_odd_names() -> None:
    features, targets = blobs(40, 2)
    targets = np.arange(len(targets)) * 3
    photos = tuple(
        MapPhoto(f"ab/\udcff{photo.path}", *list(vars(photo).values())[1:])
        for photo in photos_of(targets, parts_of(len(targets)))
    )
    before, after = laid_out(features, features * 2, "body", photos)
    made = FeatureMap("1-2-3", tuple(map(str, range(300))), photos, 5000, 3, "body", before, after)
    assert FeatureMap.from_json(json.loads(json.dumps(made.to_json()))) == made
    alone = FeatureMap("1-2-3", made.classes, photos, 5000, 3, "body", None, after)
    assert FeatureMap.from_json(json.loads(json.dumps(alone.to_json()))) == alone
