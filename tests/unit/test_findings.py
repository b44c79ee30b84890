"""What a scan says about a set as a whole: found where it is, and only there."""

import shutil

from core.data.scan import scan
from tests.hostile import encoded, jpeg, picture, write_photos
from tests.scanned import finding, kinds


def test_one_class_is_a_finding_not_an_error(tmp_path):
    assert "“cat”" in finding(scan(write_photos(tmp_path, {"cat": 12})), "one_class").text


def test_small_classes_are_found_by_how_small(tmp_path):
    report = scan(write_photos(tmp_path, {"ant": 1, "bee": 2, "cat": 3, "dog": 9, "eel": 10}))
    assert finding(report, "tiny_class").values["names"] == "“ant”, “bee”"
    assert finding(report, "few_photos").values["names"] == "“cat”, “dog”"
    assert finding(report, "tiny_class").photos == ("ant/000.jpg", "bee/000.jpg", "bee/001.jpg")
    values = finding(report, "imbalance").values
    assert (values["largest"], values["largest_count"]) == ("eel", 10)
    assert (values["smallest"], values["smallest_count"]) == ("ant", 1)


def test_a_good_set_has_no_findings(tmp_path):
    root = tmp_path
    for seed, label in enumerate(("cat", "dog")):
        (root / label).mkdir()
        for number in range(10 + 19 * seed):  # 10 and 29: just below three times as many
            (root / label / f"{number}.jpg").write_bytes(jpeg(100 * seed + number, 64, 64))
    assert scan(root).findings == ()


def test_three_times_as_many_is_out_of_balance(tmp_path):
    assert "imbalance" in kinds(scan(write_photos(tmp_path, {"cat": 10, "dog": 30})))


def test_exact_copies_are_found_by_what_they_mean(tmp_path):
    write_photos(tmp_path, {"train/cat": 5, "train/dog": 5, "test/cat": 2, "test/dog": 2})

    def copy(source: str, target: str) -> None:
        shutil.copy(tmp_path / source, tmp_path / target)

    copy("train/cat/000.jpg", "train/cat/again.jpg")
    copy("train/cat/000.jpg", "train/cat/and again.jpg")
    copy("train/cat/001.jpg", "train/dog/cat.jpg")
    copy("train/dog/002.jpg", "test/dog/leak.jpg")
    report = scan(tmp_path)
    twice = finding(report, "duplicates")
    assert twice.values == {"n": 2}
    assert twice.photos == ("train/cat/000.jpg", "train/cat/again.jpg", "train/cat/and again.jpg")
    assert finding(report, "contradiction").photos == ("train/cat/001.jpg", "train/dog/cat.jpg")
    assert finding(report, "leak").photos == ("test/dog/leak.jpg", "train/dog/002.jpg")


def test_classes_that_are_never_trained_on_are_found(tmp_path):
    report = scan(write_photos(tmp_path, {"train/cat": 2, "train/dog": 2, "test/cat": 2, "test/fox": 2}))
    assert finding(report, "untrained_class").values == {"n": 1, "names": "“fox”"}


def test_a_class_of_which_nothing_is_usable_is_missed(tmp_path):
    write_photos(tmp_path, {"cat": 2, "dog": 2, "fox": 0})
    (tmp_path / "fox/a.jpg").write_bytes(b"")
    assert finding(scan(tmp_path), "lost_class").values == {"n": 1, "names": "“fox”"}


def test_small_pictures_are_found(tmp_path):
    write_photos(tmp_path, {"cat": 1, "dog": 1})
    (tmp_path / "cat/digit.png").write_bytes(encoded(picture(63, 200), "PNG"))
    assert finding(scan(tmp_path), "small_pictures").photos == ("cat/digit.png",)


def test_a_finding_names_at_most_two_hundred_photos(tmp_path):
    for label in ("cat", "dog"):
        (tmp_path / label).mkdir()
        for number in range(150):
            (tmp_path / label / f"{number}.png").write_bytes(encoded(picture(8, 8, number), "PNG"))
    small = finding(scan(tmp_path), "small_pictures")
    assert (small.values["n"], len(small.photos)) == (300, 200)
