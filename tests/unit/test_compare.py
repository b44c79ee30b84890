"""Settings that differ, and McNemar's exact test against SciPy, a table of critical values and counts by hand."""

import math
import random
from dataclasses import fields, replace

import pytest
from scipy.stats import binomtest

from core.config import TrainConfig
from core.data.report import Sample, Split
from core.inference.compare import Difference, NotComparable, Pairing, Scored, differing, pair
from core.inference.metrics import Answer, Results

CLASSES = ("ants", "bees")


def scored_run(rights: str, *, prefix: str = "", first_photo: int = 0, labels: str | None = None) -> Scored:
    """A run whose answers are right ("y") or wrong ("n"), photo by photo; the paths begin with ``prefix``."""
    targets = [0 if label == "a" else 1 for label in labels or "ab" * len(rights)][: len(rights)]
    samples = [
        Sample(f"{prefix}{first_photo + place}.jpg", target, f"hash {first_photo + place}")
        for place, target in enumerate(targets)
    ]
    answers = [
        Answer(sample.path, sample.target, ((sample.target if right == "y" else 1 - sample.target, 0.8),))
        for sample, right in zip(samples, rights, strict=True)
    ]
    return Scored(Split(CLASSES, (), (), tuple(samples), "/photos"), Results(CLASSES, tuple(answers)))


# --- settings ------------------------------------------------------------------------------------------------------


def test_only_what_differs_is_named_with_each_value_in_the_order_of_the_runs():
    base = TrainConfig()
    others = replace(base, seed=3, freeze_depth=4), replace(base, seed=3)
    assert differing([base, *others]) == (Difference("freeze_depth", ("all", 4, "all")), Difference("seed", (0, 3, 3)))
    assert differing([base, TrainConfig()]) == ()


def test_every_setting_can_be_the_one_that_differs():
    base = TrainConfig()
    for field in fields(TrainConfig):
        other = TrainConfig()
        object.__setattr__(other, field.name, "something else")
        assert [one.name for one in differing([base, other])] == [field.name]


# --- pairs ---------------------------------------------------------------------------------------------------------


def test_a_table_counted_by_hand():
    told = pair(scored_run("yyyynnyn"), scored_run("yynnyynn"))
    assert told == Pairing(both=2, first_only=3, second_only=2, neither=1)
    assert told.total == 8
    # Five disagreements, split 3 to 2: no split is more even, so every other is at least as uneven.
    assert told.p_value == 1.0


def test_six_to_nothing_is_more_than_chance_and_five_to_nothing_is_not():
    five, six = Pairing(10, 5, 0, 3), Pairing(10, 0, 6, 3)
    assert five.p_value == 2 / 2**5
    assert not five.more_than_chance
    assert six.p_value == 2 / 2**6
    assert six.more_than_chance


@pytest.mark.parametrize("seed", range(4))
def test_the_test_agrees_with_scipy(seed):
    draw = random.Random(seed)
    for _ in range(50):
        first, second = draw.randrange(60), draw.randrange(60)
        if first + second:
            expected = binomtest(first, first + second, 0.5).pvalue
            assert Pairing(7, first, second, 2).p_value == pytest.approx(expected, rel=1e-9)


def test_ten_thousand_disagreements_are_counted_without_overflow():
    p_value = Pairing(0, 5_200, 4_800, 0).p_value
    assert p_value == pytest.approx(binomtest(5_200, 10_000, 0.5).pvalue, rel=1e-9)
    assert 0 < Pairing(0, 400, 0, 0).p_value == 2 / 2**400
    assert math.isclose(Pairing(0, 0, 0, 9).p_value, 1.0)


def test_photos_are_matched_by_their_bytes_and_not_by_their_paths_or_order():
    first, second = scored_run("yyn"), scored_run("nyn", prefix="moved/")
    assert second.results is not None
    turned = replace(second, results=replace(second.results, answers=second.results.answers[::-1]))
    assert pair(first, turned) == Pairing(both=1, first_only=1, second_only=0, neither=1)


def test_exact_copies_in_the_test_part_count_each():
    def copies(scored: Scored) -> Scored:
        samples = tuple(replace(sample, sha256="the same") for sample in scored.split.test)
        return replace(scored, split=replace(scored.split, test=samples))

    first, second = copies(scored_run("yy", labels="aa")), copies(scored_run("nn", labels="aa", prefix="x/"))
    assert pair(first, second) == Pairing(both=0, first_only=2, second_only=0, neither=0)


def test_other_test_photos_are_refused_and_the_shared_ones_counted():
    first, second = scored_run("yyyy"), scored_run("yyyy", first_photo=2)
    assert pair(first, second) == NotComparable("other_photos", shared=2)
    assert pair(first, scored_run("yyyyyy")) == NotComparable("other_photos", shared=4)
    assert pair(scored_run("yyyyyy"), first) == NotComparable("other_photos", shared=4)


def test_photos_that_were_relabelled_in_between_are_refused():
    assert pair(scored_run("yyy", labels="aab"), scored_run("yyy", labels="abb")) == NotComparable(
        "other_labels", shared=3
    )


def test_labels_are_compared_by_name_and_not_by_number():
    first, second = scored_run("yn", labels="ab"), scored_run("yn", labels="ba")
    assert second.results is not None
    renumbered = replace(second, results=replace(second.results, classes=CLASSES[::-1]))
    assert pair(first, renumbered) == Pairing(both=1, first_only=0, second_only=0, neither=1)


def test_a_run_without_a_score_is_refused():
    untested = replace(scored_run("yy"), results=None)
    nothing = replace(scored_run("yy"), results=Results(CLASSES, ()))
    assert pair(scored_run("yy"), untested) == pair(untested, scored_run("yy")) == NotComparable("no_score")
    assert pair(nothing, nothing) == NotComparable("no_score")
