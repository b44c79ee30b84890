"""Dividing photos: hand-worked counts, and properties over any set of photos."""

import hashlib
from collections import Counter, defaultdict
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.data.report import PARTS, DatasetReport, Part, Photo, Split
from core.data.split import split
from core.errors import DataError


def photo(label: str, name: str, part: Part | None = None, *, content: str | None = None) -> Photo:
    sha256 = hashlib.sha256((content or f"{part}/{label}/{name}").encode()).hexdigest()
    path = "/".join(piece for piece in (part, label, f"{name}.jpg") if piece)
    return Photo(path, label, part, sha256, 40, 30, 1000)


def photos(label: str, count: int, part: Part | None = None, prefix: str = "p") -> list[Photo]:
    return [photo(label, f"{prefix}{number:04}", part) for number in range(count)]


def report(*rows: list[Photo], root: str = "/photos") -> DatasetReport:
    found = tuple(sorted((row for many in rows for row in many), key=lambda row: row.path))
    return DatasetReport(root, found, (), (), "parts" if any(row.part for row in found) else "classes")


def counts(divided: Split, label: str) -> tuple[int, int, int]:
    target = divided.classes.index(label)
    train, val, test = (sum(sample.target == target for sample in divided.part(part)) for part in PARTS)
    return train, val, test


def kinds(divided: Split) -> list[str]:
    return [note.kind for note in divided.notes]


def note(divided: Split, kind: str):
    return next(note for note in divided.notes if note.kind == kind)


def paths(divided: Split, part: Part) -> set[str]:
    return {sample.path for sample in divided.part(part)}


# Drawn by us


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (1, (1, 0, 0)),
        (2, (1, 1, 0)),
        (3, (1, 1, 1)),
        (4, (2, 1, 1)),
        (9, (7, 1, 1)),  # 1.35 is nearest to 1
        (10, (6, 2, 2)),  # 1.5 goes up
        (13, (9, 2, 2)),  # 1.95
        (40, (28, 6, 6)),
        (100, (70, 15, 15)),
        (1003, (703, 150, 150)),  # 150.45
    ],
)
def test_each_class_is_divided_in_the_nearest_counts(count, expected):
    divided = split(report(photos("ant", count), photos("bee", 20)))
    assert counts(divided, "ant") == expected
    assert counts(divided, "bee") == (14, 3, 3)


def test_other_shares_are_followed_and_training_keeps_a_photo():
    divided = split(report(photos("ant", 4), photos("bee", 50)), val_share=0.4, test_share=0.5)
    assert counts(divided, "bee") == (5, 20, 25)
    assert counts(divided, "ant") == (1, 2, 1)  # 1.6 and 2 would leave nothing to learn from


def test_a_share_of_zero_means_no_such_part():
    divided = split(report(photos("ant", 10), photos("bee", 10)), test_share=0)
    assert (len(divided.train), len(divided.val), len(divided.test)) == (16, 4, 0)
    assert "split_unscored" not in kinds(divided)


def test_shares_that_leave_nothing_are_refused():
    with pytest.raises(ValueError, match="leave something"):
        split(report(photos("ant", 4), photos("bee", 4)), val_share=0.5, test_share=0.5)


def test_the_same_seed_gives_a_split_that_is_written_down_here():
    """Frozen: a change of the draw would give old runs another split than they recorded."""
    divided = split(report(photos("ant", 8), photos("bee", 7)), seed=3)
    assert sorted(paths(divided, "val") | paths(divided, "test")) == FROZEN


FROZEN = ["ant/p0001.jpg", "ant/p0003.jpg", "bee/p0001.jpg", "bee/p0002.jpg"]


def test_another_seed_gives_another_split_of_the_same_size():
    found = report(photos("ant", 60), photos("bee", 60))
    first, second = split(found, seed=0), split(found, seed=1)
    assert paths(first, "test") != paths(second, "test")
    assert len(first.test) == len(second.test) == 18


def test_file_names_and_their_order_do_not_change_which_pictures_are_drawn():
    found = report(photos("ant", 30), photos("bee", 30))
    renamed = tuple(
        replace(row, path=f"{row.label}/{number:03}.png") for number, row in enumerate(reversed(found.photos))
    )
    first, second = split(found), split(replace(found, photos=renamed))
    assert {row.sha256 for row in first.test} == {row.sha256 for row in second.test}


def test_a_new_class_leaves_the_other_classes_as_they_were():
    before = split(report(photos("bee", 30), photos("cow", 30)))
    after = split(report(photos("ant", 25), photos("bee", 30), photos("cow", 30)))
    assert paths(before, "test") == {path for path in paths(after, "test") if not path.startswith("ant")}


def test_copies_lie_in_one_part_and_are_noted():
    copies = [photo("ant", f"copy{number}", content="same") for number in range(3)]
    divided = split(report(copies, photos("ant", 30), photos("bee", 30)))
    homes = {part for part in PARTS for row in copies if row.path in paths(divided, part)}
    assert len(homes) == 1
    assert note(divided, "split_copies_together").photos == tuple(row.path for row in copies)


def test_two_different_pictures_are_one_for_training_and_one_for_validation_however_many_copies():
    copies = [photo("ant", f"copy{number}", content="same") for number in range(5)]
    divided = split(report(copies, [photo("ant", "other")], photos("bee", 10)))
    assert counts(divided, "ant") in {(5, 1, 0), (1, 5, 0)}


def test_large_groups_of_copies_still_leave_each_part_a_picture():
    rows = [photo("ant", f"{letter}{number}", content=letter) for letter in "abc" for number in range(6)]
    divided = split(report(rows, photos("bee", 10)))
    assert counts(divided, "ant") == (6, 6, 6)


def test_a_picture_in_two_classes_is_kept_out_of_the_score():
    twins = [photo("ant", "twin", content="twin"), photo("bee", "twin", content="twin")]
    divided = split(report(twins, photos("ant", 10), photos("bee", 10)))
    assert {row.path for row in twins} <= paths(divided, "train")
    assert note(divided, "split_two_classes").photos == ("ant/twin.jpg", "bee/twin.jpg")
    assert counts(divided, "ant") == (7, 2, 2)


def test_a_class_too_small_for_a_test_photo_is_named():
    divided = split(report(photos("ant", 2), photos("bee", 20)))
    assert note(divided, "split_unscored").values == {"n": 1, "names": "“ant”"}


# Given by the user's folders


def test_three_given_parts_are_used_as_they_are():
    rows = [photos(label, n, part) for label in ("ant", "bee") for part, n in (("train", 5), ("val", 3), ("test", 2))]
    divided = split(report(*rows))
    assert counts(divided, "ant") == counts(divided, "bee") == (5, 3, 2)
    assert divided.notes == ()


def test_validation_is_taken_from_train_where_only_test_is_given():
    rows = [photos(label, n, part) for label in ("ant", "bee") for part, n in (("train", 20), ("test", 7))]
    divided = split(report(*rows))
    assert counts(divided, "ant") == (17, 3, 7)
    assert all(path.startswith("train/") for path in paths(divided, "val"))


def test_a_test_part_is_set_aside_from_train_where_only_validation_is_given():
    """The layout of the tutorial's ants and bees: 245 in train, 153 in val, no test."""
    rows = [photos(label, n, part) for label in ("ant", "bee") for part, n in (("train", 20), ("val", 9))]
    divided = split(report(*rows))
    assert counts(divided, "ant") == (17, 9, 3)
    assert all(path.startswith("train/") for path in paths(divided, "test"))
    assert kinds(divided) == ["split_test_from_train"]


def test_photos_outside_the_part_folders_join_training():
    rows = [photos(label, n, part) for label in ("ant", "bee") for part, n in (("val", 3), ("test", 3), (None, 6))]
    divided = split(report(*rows))
    assert counts(divided, "ant") == (6, 3, 3)
    assert note(divided, "split_unplaced").values["n"] == 12


@pytest.mark.parametrize("part", PARTS)
def test_a_single_part_folder_divides_nothing(part):
    divided = split(report(photos("ant", 20, part), photos("bee", 20, part)))
    assert counts(divided, "ant") == (14, 3, 3)


def test_validation_and_test_alone_give_nothing_to_learn_from():
    rows = [photos(label, 5, part) for label in ("ant", "bee") for part in ("val", "test")]
    with pytest.raises(DataError) as caught:
        split(report(*rows))
    assert caught.value.key == "dataset.no_train_folder"


def test_the_training_copy_of_a_test_photo_is_left_out():
    leak = [photo("ant", "seen", part, content="seen") for part in ("train", "val", "test")]
    rows = [photos(label, 5, part) for label in ("ant", "bee") for part in PARTS]
    divided = split(report(leak, *rows))
    assert counts(divided, "ant") == (5, 5, 6)
    assert note(divided, "split_leak_test").photos == ("train/ant/seen.jpg", "val/ant/seen.jpg")


def test_the_training_copy_of_a_validation_photo_is_left_out():
    leak = [photo("ant", "seen", part, content="seen") for part in ("train", "val")]
    rows = [photos(label, 5, part) for label in ("ant", "bee") for part in PARTS]
    divided = split(report(leak, *rows))
    assert counts(divided, "ant") == (5, 6, 5)
    assert note(divided, "split_leak_val").photos == ("train/ant/seen.jpg",)


# A second folder


def test_a_second_folder_is_the_test_and_the_first_is_all_for_learning():
    first = report(photos("ant", 20), photos("bee", 20))
    second = report(photos("bee", 4, prefix="q"), photos("ant", 3, prefix="q"), root="/second")
    divided = split(first, test=second)
    assert counts(divided, "ant") == (17, 3, 3)
    assert counts(divided, "bee") == (17, 3, 4)
    assert (divided.root_of("train"), divided.root_of("test")) == ("/photos", "/second")


def test_the_first_folders_own_test_photos_join_training_and_its_validation_stays():
    rows = [photos(label, n, part) for label in ("ant", "bee") for part, n in (("train", 5), ("val", 3), ("test", 2))]
    second = report(photos("ant", 4, prefix="q"), photos("bee", 4, prefix="q"), root="/second")
    assert counts(split(report(*rows), test=second), "ant") == (7, 3, 4)


def test_every_photo_of_the_second_folder_counts_whatever_its_part():
    first = report(photos("ant", 20), photos("bee", 20))
    second = report(*[photos(label, 2, part) for label in ("ant", "bee") for part in PARTS], root="/second")
    assert counts(split(first, test=second), "ant")[2] == 6


def test_photos_of_unknown_classes_in_the_second_folder_are_left_out_and_named():
    first = report(photos("ant", 20), photos("bee", 20))
    second = report(photos("ant", 3, prefix="q"), photos("wasp", 2), root="/second")
    divided = split(first, test=second)
    assert len(divided.test) == 3
    assert note(divided, "split_unknown_class").values == {"n": 2, "names": "“wasp”"}
    assert note(divided, "split_unscored").values["names"] == "“bee”"


def test_a_second_folder_without_a_known_class_is_refused_by_name():
    first = report(photos("ant", 20), photos("bee", 20))
    with pytest.raises(DataError, match=r"“wasp”.*“ant”, “bee”"):
        split(first, test=report(photos("wasp", 3)))


def test_an_empty_second_folder_is_refused():
    with pytest.raises(DataError) as caught:
        split(report(photos("ant", 5), photos("bee", 5)), test=report())
    assert caught.value.key == "dataset.test_empty"


def test_a_class_written_in_decomposed_letters_is_the_same_class():
    first = report(photos("caf\u00e9", 10), photos("bar", 10))  # é as one character, as Windows writes it
    second = report(photos("cafe\u0301", 2, prefix="q"), root="/second")  # e and accent, as macOS writes it
    divided = split(first, test=second)
    assert counts(divided, "caf\u00e9") == (8, 2, 2)


def test_photos_that_are_also_in_the_second_folder_are_not_learnt_from():
    seen = [photo("ant", "seen", content="seen")]
    first = report(seen, photos("ant", 20), photos("bee", 20))
    second = report([photo("ant", "again", content="seen")], photos("bee", 3, prefix="q"), root="/second")
    divided = split(first, test=second)
    assert "ant/seen.jpg" not in paths(divided, "train") | paths(divided, "val")
    assert note(divided, "split_leak_second_folder").photos == ("ant/seen.jpg",)


def test_testing_on_the_training_folder_is_refused():
    found = report(photos("ant", 5), photos("bee", 5))
    with pytest.raises(DataError) as caught:
        split(found, test=found)
    assert caught.value.key == "dataset.same_photos"


# Refused


def test_no_photos_at_all_is_refused():
    with pytest.raises(DataError) as caught:
        split(report())
    assert caught.value.key == "dataset.empty"


def test_a_single_class_is_refused_by_name():
    with pytest.raises(DataError, match="“ant”") as caught:
        split(report(photos("ant", 5)))
    assert caught.value.key == "dataset.one_class"


def test_a_class_without_a_training_photo_is_refused_by_name():
    rows = [photos("ant", 5, "train"), photos("bee", 5, "train"), photos("cow", 2, "test")]
    with pytest.raises(DataError, match="class “cow” has no photo"):
        split(report(*rows))


def test_every_note_has_its_sentence():
    leak = [photo("ant", "seen", part, content="seen") for part in ("train", "test")]
    again = [photo("bee", "again", part, content="again") for part in ("train", "val")]
    twins = [photo(label, "twin", content="twin") for label in ("ant", "bee")]
    copies = [photo("ant", name, content="copy") for name in ("one", "two")]
    rows = [photos(label, 6, part) for label in ("ant", "bee") for part in PARTS]
    second = report(photos("ant", 3, prefix="q"), photos("wasp", 2), leak[:1], root="/second")
    divided = [
        split(report(leak, again, *rows, twins)),
        split(report(leak[:1], twins, copies, photos("ant", 6), photos("bee", 6)), test=second),
        split(report(photos("ant", 9, "train"), photos("bee", 9, "train"), photos("bee", 2, "val"))),
    ]
    notes = [note for each in divided for note in each.notes]
    assert {note.kind for note in notes} == {
        "split_leak_test",
        "split_leak_val",
        "split_leak_second_folder",
        "split_unplaced",
        "split_two_classes",
        "split_copies_together",
        "split_test_from_train",
        "split_unknown_class",
        "split_unscored",
    }
    assert all(len(note.text) > 20 and "{" not in note.text for note in notes)


# Properties


@st.composite
def any_report(draw, parts: tuple[Part | None, ...] = (None,), classes: int = 4) -> DatasetReport:
    """Two or more classes of photos, some of them copies of each other, also across classes and parts."""
    labels = [f"class {number}" for number in range(draw(st.integers(2, classes)))]
    rows = [
        photo(label, f"{number:03}", draw(st.sampled_from(parts)), content=draw(st.none() | st.sampled_from("abcdef")))
        for label in labels
        for number in range(draw(st.integers(1, 25)))
    ]
    return report(rows)


def try_split(found: DatasetReport, **options) -> Split | None:
    try:
        return split(found, **options)
    except DataError:
        return None


def hashes_by_part(divided: Split) -> dict[Part, set[str]]:
    return {part: {row.sha256 for row in divided.part(part)} for part in PARTS}


@given(any_report(), st.integers(0, 10_000))
def test_each_photo_lies_in_exactly_one_part_with_its_own_class(found, seed):
    divided = split(found, seed=seed)
    placed = sorted((row.path, divided.classes[row.target]) for part in PARTS for row in divided.part(part))
    assert placed == [(row.path, row.label) for row in found.photos]


@given(any_report(), st.integers(0, 10_000), st.randoms())
def test_the_split_is_the_same_in_any_order_of_the_photos(found, seed, random):
    shuffled = list(found.photos)
    random.shuffle(shuffled)
    assert split(replace(found, photos=tuple(shuffled)), seed=seed) == split(found, seed=seed)


@given(any_report(parts=(None, "train", "val", "test")), st.integers(0, 10_000))
def test_no_picture_lies_in_two_parts_and_each_part_is_sorted(found, seed):
    if (divided := try_split(found, seed=seed)) is None:
        return
    sets = hashes_by_part(divided)
    assert sum(len(part) for part in sets.values()) == len(set().union(*sets.values()))
    for part in PARTS:
        assert all(one.path < two.path for one, two in pairwise(divided.part(part)))


@given(any_report(parts=(None, "train", "val", "test")))
def test_photos_only_go_missing_as_copies_that_a_note_names(found):
    if (divided := try_split(found)) is None:
        return
    placed = {row.path for part in PARTS for row in divided.part(part)}
    told = {path for note in divided.notes if note.kind.startswith("split_leak") for path in note.photos}
    assert {row.path for row in found.photos} - placed == told


@given(any_report(parts=(None, "train")), any_report(classes=5))
def test_with_a_second_folder_only_its_photos_are_scored(found, second):
    moved = replace(second, root="/second", photos=tuple(replace(row, path=f"q/{row.path}") for row in second.photos))
    if (divided := try_split(found, test=moved)) is None:
        return
    assert all(row.path.startswith("q/") for row in divided.test)
    assert len(divided.test) == sum(row.label in found.classes for row in second.photos)
    assert not hashes_by_part(divided)["test"] & {row.sha256 for row in (*divided.train, *divided.val)}


@given(
    st.dictionaries(st.text(min_size=1, max_size=3), st.integers(1, 120), min_size=2, max_size=6), st.integers(0, 99)
)
def test_classes_without_copies_are_divided_within_one_photo_of_the_share(sizes, seed):
    divided = split(report(*[photos(label, size) for label, size in sizes.items()]), seed=seed)
    for label, size in sizes.items():
        train, val, test = counts(divided, label)
        assert train + val + test == size
        assert train >= 1
        if size >= 3:
            assert max(1, size * 0.15 - 0.5) <= val <= max(1, size * 0.15 + 0.5)
            assert val == test


@given(any_report())
def test_three_different_pictures_reach_all_three_parts(found):
    divided = split(found)
    labels_of = defaultdict(set)
    for row in found.photos:
        labels_of[row.sha256].add(row.label)
    own = Counter(next(iter(labels)) for labels in labels_of.values() if len(labels) == 1)
    for label, different in own.items():
        if different >= 3:
            assert min(counts(divided, label)) >= 1


@given(any_report(parts=(None, "train", "val", "test")))
def test_a_split_comes_back_from_json_as_it_was(found):
    if divided := try_split(found):
        assert Split.from_json(divided.to_json()) == divided
