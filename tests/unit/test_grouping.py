"""Rules that keep photos together, and a division that never tears what is kept together."""

import hashlib
from collections import Counter
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.data import grouping
from core.data.report import PARTS, DatasetReport, Photo
from core.data.split import split
from core.errors import DataError


def photo(path: str, label: str | None = None, part=None) -> Photo:
    sha256 = hashlib.sha256(path.encode()).hexdigest()
    return Photo(path, label or path.partition("/")[0], part, sha256, 100, 100, 1000)


def report(photos, **facts) -> DatasetReport:
    return DatasetReport("root", tuple(sorted(photos, key=lambda p: p.path)), (), (), "classes", **facts)


def parts_of(divided) -> dict[str, str]:
    return {sample.path: part for part in PARTS for sample in divided.part(part)}


@pytest.mark.parametrize(
    ("path", "separator", "parts", "group"),
    [
        ("oak/leaf_12_a.jpg", "_", 2, "leaf_12"),
        ("oak/leaf_12.jpg", "_", 2, "leaf_12"),
        ("oak/leaf.jpg", "_", 2, "leaf"),
        ("oak/P07-2026-11-21.JPG", "-", 1, "P07"),
        ("oak/IMG 0001 copy.png", " ", 2, "IMG 0001"),
        ("oak/.jpg", "_", 1, ".jpg"),
    ],
)
def test_a_part_of_the_file_name_names_the_group(path, separator, parts, group):
    assert grouping.part_of_name(path, separator, parts) == group


def test_photos_of_one_name_are_one_group_and_the_others_alone():
    photos = [photo(f"oak/leaf_{plant}_{view}.jpg") for plant in range(3) for view in "ab"] + [photo("oak/single.jpg")]
    rule = grouping.check({"kind": "name", "separator": "_", "parts": 2})
    found = grouping.groups(photos, rule, facts={}, columns={})
    assert found == tuple((f"oak/leaf_{plant}_a.jpg", f"oak/leaf_{plant}_b.jpg") for plant in range(3))


def test_a_column_of_the_users_table_names_the_group_and_empty_cells_name_none():
    photos = [photo(f"oak/{number}.jpg") for number in range(4)]
    patients = {"oak/0.jpg": "p1", "oak/1.jpg": " p1 ", "oak/2.jpg": "", "oak/3.jpg": "  "}
    rule = {"kind": "column", "column": "patient"}
    found = grouping.groups(photos, rule, facts={}, columns={"patient": patients})
    assert found == (("oak/0.jpg", "oak/1.jpg"),)
    assert grouping.groups(photos, rule, facts={}, columns={}) == ()


def test_a_pause_between_two_photos_begins_a_new_group():
    from core.data.facts import Facts

    def facts(taken: str | None, camera: str = "Canon") -> Facts:
        return Facts("JPEG", 0.5, 0.2, 1.0, (0, 0, 0), "0" * 16, "0" * 16, camera, taken, False, False)

    times = ["2026-11-21T23:55:00", "2026-11-22T00:03:00", "2026-11-22T00:12:00", "2026-11-22T00:30:00", None]
    photos = [photo(f"oak/{number}.jpg") for number in range(len(times) + 1)]
    known = {one.sha256: facts(taken) for one, taken in zip(photos, times, strict=False)}
    known[photos[-1].sha256] = facts("2026-11-22T00:04:00", "Nikon")  # another camera, another series
    found = grouping.groups(photos, {"kind": "time", "minutes": 10}, facts=known, columns={})
    assert found == (("oak/0.jpg", "oak/1.jpg", "oak/2.jpg"),)


@pytest.mark.parametrize(
    "rule",
    [
        {"kind": "name", "separator": "(a+)+$", "parts": 2},
        {"kind": "name", "separator": "_", "parts": 0},
        {"kind": "time", "minutes": -1},
        {"kind": "column", "column": ""},
        {"kind": "moon"},
        {"separator": "_"},
    ],
)
def test_a_rule_that_means_nothing_is_refused(rule):
    with pytest.raises(DataError):
        grouping.check(rule)


def test_without_ties_the_division_is_as_it_was_before_there_were_rules():
    photos = [photo(f"{label}/{number}.jpg") for label in ("ash", "oak") for number in range(20)]
    plain = split(report(photos))
    alone = split(report(photos, together=(("ash/0.jpg",),), groups=()))
    assert parts_of(plain) == parts_of(alone)


def test_near_copies_in_two_classes_are_learnt_from_and_never_scored():
    photos = [photo(f"{label}/{number}.jpg") for label in ("ash", "oak") for number in range(20)]
    for seed in range(8):
        divided = split(report(photos, together=(("ash/3.jpg", "oak/3.jpg"),)), seed=seed)
        assert {parts_of(divided)[path] for path in ("ash/3.jpg", "oak/3.jpg")} == {"train"}
    assert "split_two_classes" in {note.kind for note in divided.notes}


def test_the_users_own_parts_are_followed_and_a_torn_group_is_told():
    photos = [
        photo(f"{part}/{label}/{number}.jpg", label, part)
        for part in ("train", "test")
        for label in ("ash", "oak")
        for number in range(10)
    ]
    divided = split(report(photos, groups=(("test/ash/1.jpg", "train/ash/1.jpg"),)))
    assert parts_of(divided)["test/ash/1.jpg"] == "test"
    assert parts_of(divided)["train/ash/1.jpg"] != "test"
    assert "split_groups_torn" in {note.kind for note in divided.notes}


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 12), st.booleans())
def test_no_group_is_ever_torn_and_every_photo_is_in_one_part(seed, largest, across):
    random = Random(seed)
    photos, groups = [], []
    labels = ("ash", "oak", "elm")
    for number in range(40):
        label = random.choice(labels)
        members = [
            photo(f"{random.choice(labels) if across else label}/{number}_{view}.jpg")
            for view in range(random.randint(1, largest))
        ]
        photos += members
        if len(members) > 1:
            groups.append(tuple(member.path for member in members))
    if len({one.label for one in photos}) < 2:
        return
    halves = {"together": tuple(groups[::2])} if not across else {}
    made = report(photos, groups=tuple(groups[1::2]) if halves else tuple(groups), **halves)
    divided = split(made, seed=seed % 5)
    where = parts_of(divided)
    assert sorted(where) == sorted(one.path for one in photos)
    assert all(len({where[path] for path in group}) == 1 for group in groups)


def test_groups_of_several_classes_keep_the_shares_of_each_class():
    """Sixty patients with healthy and sick pictures each: about 15 % of either class go to each part."""
    photos, groups = [], []
    random = Random(4)
    for patient in range(60):
        members = [
            photo(f"{label}/{patient}_{view}.jpg")
            for label in ("healthy", "sick")
            for view in range(random.randint(1, 5))
        ]
        photos += members
        groups.append(tuple(one.path for one in members))
    divided = split(report(photos, groups=tuple(groups)), seed=1)
    counts = Counter(one.label for one in photos)
    for part in ("val", "test"):
        for label, target in enumerate(("healthy", "sick")):
            got = sum(sample.target == label for sample in divided.part(part))
            assert 0.10 < got / counts[target] < 0.20


def test_the_second_of_two_parts_is_not_forgotten_when_groups_are_large():
    plants = [(label, plant) for label in ("ash", "oak") for plant in range(4)]
    photos = [photo(f"{label}/{plant}_{view}.jpg") for label, plant in plants for view in range(9)]
    rule = {"kind": "name", "separator": "_", "parts": 1}
    made = report(photos)
    made = replace(made, groups=grouping.groups(photos, rule, facts={}, columns={}))
    divided = split(made)
    assert [len(divided.part(part)) for part in PARTS] == [36, 18, 18]


def test_guessed_labels_join_the_training_alone_and_are_always_told():
    photos = [photo(f"{label}/{number}.jpg") for label in ("ash", "oak") for number in range(20)]
    open_ones = tuple(replace(photo(f"to label/{number}.jpg"), label="") for number in range(6))
    plain = split(report(photos, unlabelled=open_ones))
    scored = plain.test[0].path
    made = report(photos, unlabelled=open_ones, together=(tuple(sorted((scored, "to label/5.jpg"))),))
    guesses = {f"to label/{number}.jpg": "oak" for number in range(6)} | {"to label/0.jpg": "elm"}
    divided = split(made, guesses=guesses)
    came = {sample.path for sample in divided.train} - {sample.path for sample in plain.train}
    # Number 0 would be a class that isn't there, number 5 shows what a test photo shows.
    assert came == {f"to label/{number}.jpg" for number in (1, 2, 3, 4)}
    assert (divided.val, divided.test) == (plain.val, plain.test)
    assert {sample.target for sample in divided.train if sample.path in came} == {divided.classes.index("oak")}
    (told,) = [note for note in divided.notes if note.kind == "split_guessed"]
    assert told.values["n"] == 4
    assert not any(note.kind == "split_guessed" for note in plain.notes)


def test_two_single_photos_beside_many_copies_reach_validation_and_test():
    """Both fit into validation; the third picture, eight times copied, can't be spared by training."""
    copies = [replace(photo(f"oak/{number}.jpg"), sha256="f" * 64) for number in range(8)]
    photos = [*copies, photo("oak/a.jpg"), photo("oak/b.jpg"), *(photo(f"ash/{number}.jpg") for number in range(9))]
    for seed in range(6):
        divided = split(report(photos), seed=seed)
        oak = divided.classes.index("oak")
        counts = [sum(sample.target == oak for sample in divided.part(part)) for part in PARTS]
        assert counts == [8, 1, 1]
