"""Scores by group, against plain counting and scipy's exact test; thirds, and what is known of a data set's photos."""

import random
from collections.abc import Mapping
from dataclasses import replace

import pytest
from scipy.stats import fisher_exact

from core.data.facts import Facts
from core.data.grouping import named
from core.data.report import DatasetReport, Photo, Sample, Split
from core.data.split import split
from core.inference.groups import Grouping, GroupScore, groupings, scores, thirds, worse
from core.inference.intervals import wilson
from core.inference.metrics import Answer
from tests.blobs import report_of


def answer(path: str, right: bool) -> Answer:
    return Answer(path, 0, ((0 if right else 1, 0.9), (2, 0.1)))


def measured(brightness: float, *, sharpness: float = 2.0, camera: str | None = None) -> Facts:
    return Facts(
        "JPEG", brightness, 0.2, sharpness, (0.5, 0.5, 0.5), "0" * 16, "0" * 16, camera, None, turned=False,
        animated=False,
    )  # fmt: skip


def test_each_group_is_counted_beside_all_the_others_and_the_worst_comes_first() -> None:
    chance = random.Random(3)
    of = {f"{number}.jpg": chance.choice("abc") for number in range(60)}
    answers = [answer(path, chance.random() < 0.7) for path in of] + [answer("unknown.jpg", right=False)]
    found = scores(answers, Grouping("folder", of))
    assert {score.name for score in found} == set("abc")
    for score in found:
        inside = [one.right for one in answers if of.get(one.path) == score.name]
        outside = [one.right for one in answers if one.path in of and of[one.path] != score.name]
        assert (score.right, score.photos) == (sum(inside), len(inside))
        assert (score.rest_right, score.rest_photos) == (sum(outside), len(outside))
        assert score.interval == wilson(sum(inside), len(inside))
    assert [score.share for score in found] == sorted(score.share for score in found)


@pytest.mark.parametrize(
    ("right", "photos", "rest_right", "rest_photos"),
    [(12, 20, 38, 40), (0, 5, 40, 40), (5, 5, 3, 40), (0, 6, 0, 9), (7, 7, 9, 9), (310, 400, 19_000, 20_000)],
)
def test_chance_is_that_of_fishers_exact_test(right: int, photos: int, rest_right: int, rest_photos: int) -> None:
    ours = GroupScore("a", right, photos, rest_right, rest_photos).p_value
    table = [[right, photos - right], [rest_right, rest_photos - rest_right]]
    assert ours == pytest.approx(fisher_exact(table, alternative="less").pvalue, rel=1e-6, abs=1e-15)


def test_a_group_that_is_clearly_worse_is_found_and_ordinary_differences_are_not() -> None:
    of = {f"{number}.jpg": "dark" if number < 20 else "light" for number in range(60)}
    answers = [answer(path, right=place not in range(8) and place != 30) for place, path in enumerate(of)]
    compared, found = worse(answers, [Grouping("folder", of)])
    assert compared == 2
    assert [(one.score.name, one.score.right, one.score.photos) for one in found] == [("dark", 12, 20)]
    evenly = [answer(path, right=place % 5 != 0) for place, path in enumerate(of)]
    assert worse(evenly, [Grouping("folder", of)]) == (2, ())


def test_among_many_comparisons_chance_finds_nothing_more_than_one_time_of_twenty() -> None:
    chance = random.Random(0)
    hits = 0
    for _ in range(300):
        answers = [answer(f"{number}.jpg", chance.random() < 0.8) for number in range(100)]
        ways = [
            Grouping("column", {one.path: chance.choice("abcd") for one in answers}, column=str(way))
            for way in range(5)
        ]
        hits += bool(worse(answers, ways)[1])
    # 300 tries of at most 5 % each: more than 24 hits happen one time of 100 even at 5 %.
    assert hits <= 24


def test_groups_of_few_photos_are_shown_and_not_compared() -> None:
    of = {f"{number}.jpg": "few" if number < 4 else "many" for number in range(40)}
    answers = [answer(path, right=place >= 4) for place, path in enumerate(of)]
    assert [(score.name, score.compared) for score in scores(answers, Grouping("folder", of))] == [
        ("few", False), ("many", False),
    ]  # fmt: skip
    assert worse(answers, [Grouping("folder", of)]) == (0, ())


def test_thirds_keep_equal_values_together_and_are_thirds_where_values_differ() -> None:
    of, limits = thirds({f"{number}.jpg": float(number) for number in range(30)})
    assert [sum(third == name for third in of.values()) for name in ("low", "middle", "high")] == [10, 10, 10]
    assert limits == (10.0, 20.0)
    tied, _ = thirds({f"{number}.jpg": float(number // 6) for number in range(30)})
    for value in range(5):
        assert len({tied[f"{number}.jpg"] for number in range(6 * value, 6 * value + 6)}) == 1
    assert thirds(dict.fromkeys(map(str, range(30)), 1.0))[0] == {}
    assert thirds({"a": 1.0, "b": 2.0})[0] == {}


def dataset(count: int = 40) -> tuple[DatasetReport, tuple[Sample, ...], dict[str, Facts]]:
    """Photos in two folders of each of two classes, the first half dark; brightness is all their own."""
    photos = []
    facts = {}
    for place, row in enumerate(report_of(["a", "b"] * (count // 2)).photos):
        made = replace(row, path=f"{row.label}/{'first' if place % 4 < 2 else 'second'}/{row.path}", width=100 + place)
        photos.append(made)
        facts[made.sha256] = measured(place / count, camera="Canon" if place < count // 2 else "Nikon")
    report = DatasetReport("/nowhere", tuple(photos), (), (), "classes")
    return report, tuple(Sample(photo.path, 0, photo.sha256) for photo in photos), facts


def test_what_is_known_of_a_data_set_divides_its_photos() -> None:
    report, samples, facts = dataset()
    columns: Mapping[str, Mapping[str, str]] = {
        "patient": {sample.path: f"p{place % 4}" for place, sample in enumerate(samples)},
        "file": {sample.path: str(place) for place, sample in enumerate(samples)},  # a value for each photo
    }
    found = {one.kind: one for one in groupings(samples, rule={}, report=report, facts=facts, columns=columns)}
    assert set(found) == {"folder", "camera", "column", "light", "size"}  # all are equally sharp
    assert set(found["folder"].of.values()) == {"first", "second"}  # in both classes
    assert found["column"].column == "patient"
    assert found["camera"].of[samples[0].path] == "Canon"
    darkest = {path for path, third in found["light"].of.items() if third == "low"}
    assert darkest == {sample.path for sample in samples[:13]}


def test_folders_that_only_one_class_has_are_named_whole() -> None:
    report, _, _ = dataset()
    photos = tuple(
        replace(photo, path=photo.path.replace("first", f"{photo.label}1").replace("second", f"{photo.label}2"))
        for photo in report.photos
    )
    samples = [Sample(photo.path, 0, photo.sha256) for photo in photos]
    [folder] = [
        one for one in groupings(samples, rule={}, report=replace(report, photos=photos)) if one.kind == "folder"
    ]
    assert set(folder.of.values()) == {"a/a1", "a/a2", "b/b1", "b/b2"}


def test_of_a_photo_that_was_replaced_nothing_is_said() -> None:
    report, samples, facts = dataset()
    other = tuple(replace(sample, sha256="0" * 64) for sample in samples)
    assert groupings(other, rule={}, report=report, facts=facts) == ()
    rule = {sample.path: "p1" if place < 20 else "p2" for place, sample in enumerate(samples)}
    assert [one.kind for one in groupings(other, rule=rule)] == ["rule"]


def test_groups_of_the_rule_have_names_and_stay_with_the_split() -> None:
    report, _, _ = dataset(80)
    plants = {photo.path: f"plant {place // 8}{photo.label}" for place, photo in enumerate(report.photos)}
    found = named(report.photos, {"kind": "column", "column": "plant"}, facts={}, columns={"plant": plants})
    names = sorted(found, key=lambda name: found[name])
    ruled = replace(report, groups=tuple(found[name] for name in names), group_names=tuple(names))
    assert DatasetReport.from_json(ruled.to_json()).group_names == tuple(names)
    divided = split(ruled)
    assert divided.test
    assert dict(divided.test_groups) == {sample.path: plants[sample.path] for sample in divided.test}
    assert Split.from_json(divided.to_json()) == divided
    older = divided.to_json()
    del older["test_groups"]
    assert Split.from_json(older).test_groups == ()


def test_sessions_are_named_by_camera_and_time() -> None:
    photos = [Photo(f"{n}.jpg", "a", None, str(n), 9, 9, 9) for n in range(4)]
    times = ("2026-11-21T13:25:00", "2026-11-21T13:27:00", "2026-11-21T15:00:00", "2026-11-21T15:01:00")
    facts = {
        str(n): replace(measured(0.5, camera="Canon X"), taken=taken) for n, taken in enumerate(times)
    }  # fmt: skip
    assert named(photos, {"kind": "time", "minutes": 10}, facts=facts, columns={}) == {
        "Canon X 2026-11-21 13:25": ("0.jpg", "1.jpg"),
        "Canon X 2026-11-21 15:00": ("2.jpg", "3.jpg"),
    }
