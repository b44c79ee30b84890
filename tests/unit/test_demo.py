"""The demo photos: that they are the same for everyone, usable, varied, and not to be told apart by colour."""

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

from core.data import demo
from core.data.drawn.ground import GROUNDS
from core.data.drawn.leaf import KINDS, Leaf
from core.data.drawn.noise import HEIGHT, WIDTH, noise
from core.data.drawn.photograph import photograph
from core.data.scan import scan

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    return demo.make(tmp_path_factory.mktemp("demo"), per_class=30)


def contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*.jpg")
    }


def area(points) -> float:
    """Source: the shoelace formula."""
    x, y = points[:, 0], points[:, 1]
    return abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2


def leaves(kind: str, count: int = 40) -> list[Leaf]:
    return [KINDS[kind](np.random.default_rng(seed)) for seed in range(count)]


def test_the_scan_finds_nothing_to_complain_of(made):
    report = scan(made)
    assert dict(report.counts) == {"ginkgo": 30, "maple": 30, "oak": 30, "willow": 30}
    assert (report.left_out, report.findings) == ((), ())
    assert {(photo.width, photo.height) for photo in report.photos} == {(320, 240)}
    assert len({photo.sha256 for photo in report.photos}) == 120


def test_the_same_seed_gives_the_same_photos_and_another_gives_others(tmp_path):
    first = contents(demo.make(tmp_path / "first", per_class=3, seed=5))
    assert contents(demo.make(tmp_path / "again", per_class=3, seed=5)) == first
    other = contents(demo.make(tmp_path / "other", per_class=3, seed=6))
    assert set(other) == set(first)
    assert not set(other.values()) & set(first.values())


def test_more_photos_begin_with_the_same_ones(tmp_path):
    few = contents(demo.make(tmp_path / "few", per_class=1))
    assert few.items() <= contents(demo.make(tmp_path / "more", per_class=2)).items()


def test_progress_counts_every_photo(tmp_path):
    told: list[tuple[int, int]] = []
    demo.make(tmp_path, per_class=2, on_progress=lambda done, total: told.append((done, total)))
    assert told == [(done, 8) for done in range(1, 9)]


def test_colour_alone_does_not_give_the_class_away(made):
    """Chance is 0.25; a linear classifier on the features of a pretrained network reaches 0.94."""
    files = sorted(made.rglob("*.jpg"))
    labels = [path.parent.name for path in files]
    for side in (1, 4):
        colours = np.stack([np.asarray(Image.open(path).resize((side, side), Image.Resampling.BOX)) for path in files])
        features = colours.reshape(len(files), -1) / 255
        score = cross_val_score(LogisticRegression(max_iter=3000), features, labels, cv=5).mean()
        assert score < 0.5, f"{score} on {side} × {side} colours"


def test_photos_are_neither_black_nor_white_nor_flat(made):
    for path in made.rglob("*.jpg"):
        grey = np.asarray(Image.open(path).convert("L"), float)
        assert 20 < grey.mean() < 245, path
        assert grey.std() > 8, path


@pytest.mark.parametrize("ground", GROUNDS)
def test_each_ground_fills_the_photo_and_differs_each_time(ground):
    one, two = (GROUNDS[ground](np.random.default_rng(seed), 1.0) for seed in (1, 2))
    assert one.shape == two.shape == (3, HEIGHT, WIDTH)
    assert one.dtype == np.float32  # float64 takes twice as long
    assert np.isfinite(one).all()
    assert np.abs(one - two).mean() > 0.02


@pytest.mark.parametrize("kind", KINDS)
def test_each_leaf_is_a_leaf_long_and_has_its_veins_inside(kind):
    for leaf in leaves(kind):
        low, high = leaf.outline.min(axis=0), leaf.outline.max(axis=0)
        assert -0.25 < low[1] < 0.1
        assert 0.8 < high[1] < 1.25
        assert area(leaf.outline) > 0.05
        for vein in leaf.veins:
            assert np.all(vein.points > low - 0.1)
            assert np.all(vein.points < high + 0.1)


def test_the_kinds_have_their_shapes():
    """Width to length, and how much of its box a leaf fills: what a person tells them apart by."""

    def measures(kind: str) -> tuple[float, float]:
        boxes = [np.ptp(leaf.outline, axis=0) for leaf in leaves(kind)]
        filled = [area(leaf.outline) / box.prod() for leaf, box in zip(leaves(kind), boxes, strict=True)]
        return float(np.mean([box[0] / box[1] for box in boxes])), float(np.mean(filled))

    measured = {kind: measures(kind) for kind in KINDS}
    assert measured["willow"][0] < 0.3 < measured["oak"][0] < 0.7 < measured["maple"][0]
    assert measured["ginkgo"][0] > 1.2
    assert measured["maple"][1] < 0.5 < measured["ginkgo"][1]


def test_each_photo_has_a_leaf_in_it():
    """The same chances with another kind of leaf change the middle of the photo."""
    differing = Counter()
    for seed in range(12):
        one, two = (np.asarray(photograph(kind, np.random.default_rng(seed)), float) for kind in ("maple", "willow"))
        differing[np.abs(one - two)[60:180, 80:240].mean() > 4] += 1
    assert differing[True] >= 11


def test_noise_stays_between_nothing_and_everything():
    for octaves in (1, 4, 7):
        plane = noise(np.random.default_rng(0), 40, octaves)
        assert plane.shape == (HEIGHT, WIDTH)
        assert plane.min() > 0
        assert plane.max() < 1
        assert plane.std() > 0.05
