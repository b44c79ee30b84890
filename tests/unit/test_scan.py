"""A folder → a report: every layout, every kind of junk, each with a line of its own."""

import io
import json
import os
import shutil
import threading
import unicodedata
import warnings
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.data import scan as scan_module
from core.data.layout import NoPlace, Place, find_layout
from core.data.report import DatasetReport
from core.data.scan import scan
from core.errors import DataError
from tests.hostile import ODD, UNUSABLE, encoded, jpeg, picture, with_orientation, write_photos


def counts(report: DatasetReport) -> dict[str, int]:
    return dict(report.counts)


def reasons(report: DatasetReport) -> dict[str, str]:
    assert all(entry.text for entry in report.left_out)
    return {entry.path: entry.reason for entry in report.left_out}


def kinds(report: DatasetReport) -> set[str]:
    assert all(finding.text for finding in report.findings)
    return {finding.kind for finding in report.findings}


def finding(report: DatasetReport, kind: str):
    (found,) = [finding for finding in report.findings if finding.kind == kind]
    return found


def error_for(root: Path) -> str:
    with pytest.raises(DataError) as caught:
        scan(root)
    assert caught.value.message
    assert caught.value.hint
    json.dumps(caught.value.to_json())
    return caught.value.key


# Layouts


def test_class_folders_are_the_classes(tmp_path):
    report = scan(write_photos(tmp_path, {"cat": 3, "dog": 2}))
    assert counts(report) == {"cat": 3, "dog": 2}
    assert report.layout == "classes"
    assert [photo.path for photo in report.photos][:2] == ["cat/000.jpg", "cat/001.jpg"]
    assert {photo.part for photo in report.photos} == {None}
    assert report.left_out == ()


def test_a_photo_is_described_by_its_bytes_and_size_as_shown(tmp_path):
    import hashlib

    write_photos(tmp_path, {"cat": 1, "dog": 1})
    data = with_orientation(picture(120, 80), 6, "JPEG")
    (tmp_path / "cat/turned.jpg").write_bytes(data)
    photo = next(photo for photo in scan(tmp_path).photos if photo.path == "cat/turned.jpg")
    assert (photo.width, photo.height, photo.bytes) == (80, 120, len(data))
    assert photo.sha256 == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(
    ("folders", "parts"),
    [
        (("train", "val", "test"), ["train", "val", "test"]),
        (("Training", "VALID", "Testing"), ["train", "val", "test"]),
        (("TRAIN", "validation"), ["train", "val"]),
    ],
)
def test_given_parts_are_recognised_by_their_usual_names(tmp_path, folders, parts):
    report = scan(write_photos(tmp_path, {f"{folder}/{label}": 2 for folder in folders for label in ("cat", "dog")}))
    assert report.layout == "parts"
    assert counts(report) == {"cat": 2 * len(folders), "dog": 2 * len(folders)}
    assert {photo.part for photo in report.photos} == set(parts)


def test_folders_that_only_wrap_others_are_no_classes(tmp_path):
    report = scan(write_photos(tmp_path, {"download/my photos/cat": 2, "download/my photos/dog": 2}))
    assert counts(report) == {"cat": 2, "dog": 2}
    assert report.photos[0].path == "download/my photos/cat/000.jpg"


def test_a_wrapped_train_and_test_is_unwrapped_too(tmp_path):
    report = scan(write_photos(tmp_path, {"set/train/a": 1, "set/train/b": 1, "set/test/a": 1, "set/test/b": 1}))
    assert (report.layout, counts(report)) == ("parts", {"a": 2, "b": 2})


def test_a_train_folder_alone_is_only_a_wrapping(tmp_path):
    """Nothing was held back for testing, so the split may do it."""
    report = scan(write_photos(tmp_path, {"train/cat": 2, "train/dog": 2}))
    assert (report.layout, counts(report)) == ("classes", {"cat": 2, "dog": 2})


def test_folders_inside_a_class_belong_to_it_and_that_is_said(tmp_path):
    report = scan(write_photos(tmp_path, {"cat": 2, "cat/close/very": 2, "dog": 2}))
    assert counts(report) == {"cat": 4, "dog": 2}
    assert finding(report, "nested").values == {"n": 2, "folder": "cat/close/very", "name": "cat"}


def test_the_same_folders_inside_several_classes_are_pointed_out(tmp_path):
    report = scan(
        write_photos(tmp_path, {f"{source}/{label}": 2 for source in ("web", "zoo") for label in ("cat", "dog")})
    )
    assert counts(report) == {"web": 4, "zoo": 4}
    assert "“cat”, “dog”" in finding(report, "same_inside").text


def test_photos_beside_class_folders_are_set_aside_and_the_rest_goes_on(tmp_path):
    write_photos(tmp_path, {"cat": 2, "dog": 2})
    (tmp_path / "loose.jpg").write_bytes(jpeg())
    report = scan(tmp_path)
    assert counts(report) == {"cat": 2, "dog": 2}
    assert reasons(report) == {"loose.jpg": "loose"}


def test_a_class_folder_beside_train_and_test_is_set_aside(tmp_path):
    report = scan(write_photos(tmp_path, {"train/cat": 2, "train/dog": 2, "val/cat": 1, "val/dog": 1, "bird": 2}))
    assert (report.layout, counts(report)) == ("parts", {"cat": 3, "dog": 3})
    assert reasons(report) == {"bird/000.jpg": "beside_parts", "bird/001.jpg": "beside_parts"}
    assert "“bird”" in report.left_out[0].text


def test_one_train_folder_with_classes_and_a_stray_class_is_train(tmp_path):
    report = scan(write_photos(tmp_path, {"train/cat": 4, "train/dog": 4, "bird": 2}))
    assert (report.layout, counts(report), len(report.left_out)) == ("parts", {"cat": 4, "dog": 4}, 2)


def test_photos_without_a_class_in_the_test_folder_are_set_aside(tmp_path):
    report = scan(write_photos(tmp_path, {"train/cat": 3, "train/dog": 3, "test": 4}))
    assert counts(report) == {"cat": 3, "dog": 3}
    assert set(reasons(report).values()) == {"no_class"}


def test_a_class_called_train_stays_one_among_other_vehicles(tmp_path):
    report = scan(write_photos(tmp_path, {"train": 3, "train/steam": 1, "plane": 4, "car": 4}))
    assert (report.layout, counts(report)) == ("classes", {"car": 4, "plane": 4, "train": 4})


def test_photos_of_one_folder_with_folders_are_one_class(tmp_path):
    report = scan(write_photos(tmp_path, {"cat": 3, "cat/old": 1}))
    assert counts(report) == {"cat": 4}


def test_three_hundred_classes_work(tmp_path):
    report = scan(write_photos(tmp_path, {f"class {number:03}": 1 for number in range(300)}))
    assert len(report.classes) == 300
    assert finding(report, "many_classes").values == {"n": 300}


NAMES = st.text(st.sampled_from("abtrainvlest"), min_size=1, max_size=5)


@settings(derandomize=True, deadline=None, max_examples=150)
@given(st.lists(st.lists(NAMES, min_size=1, max_size=5).map(tuple), min_size=1, max_size=12))
def test_every_path_has_a_place_or_a_reason(paths):
    layout = find_layout(paths)
    for path in paths:
        place = layout.place(path)
        if isinstance(place, Place):
            assert place.label in path[:-1]
            assert (place.part is None) == (layout.kind == "classes")
        else:
            assert isinstance(place, NoPlace)


# Names


def test_names_in_any_script_with_spaces_and_emoji_are_class_names(tmp_path):
    labels = ["猫", "собака", "قطة", "कुत्ता", "big cat", "🐈‍⬛", "O'Hara & <b>", "100 %"]
    report = scan(write_photos(tmp_path, dict.fromkeys(labels, 1)))
    assert set(report.classes) == {unicodedata.normalize("NFC", label) for label in labels}
    assert DatasetReport.from_json(json.loads(json.dumps(report.to_json()))) == report


def test_the_two_unicode_forms_of_a_name_are_one_class(tmp_path):
    composed, decomposed = (unicodedata.normalize(form, "Käfer") for form in ("NFC", "NFD"))
    write_photos(tmp_path, {composed: 2, "Biene": 2})
    write_photos(tmp_path, {decomposed: 2}, start=10)
    if len(os.listdir(tmp_path)) == 2:
        pytest.skip("this file system takes the two forms for one name")
    report = scan(tmp_path)
    assert counts(report) == {"Biene": 2, composed: 4}
    assert all((tmp_path / photo.path).is_file() for photo in report.photos)


def test_names_that_differ_only_in_capitals_are_two_classes_and_that_is_said(tmp_path):
    write_photos(tmp_path, {"Cat": 2, "cat": 2, "dog": 2})
    if len(os.listdir(tmp_path)) == 2:
        pytest.skip("this file system doesn't tell capitals apart")
    report = scan(tmp_path)
    assert counts(report) == {"Cat": 2, "cat": 2, "dog": 2}
    assert "“Cat”, “cat”" in finding(report, "similar_names").text


def test_hidden_names_are_set_aside_once_each_not_silently(tmp_path):
    write_photos(tmp_path, {"cat": 1, "dog": 1, ".secret": 3})
    (tmp_path / "cat/.hidden.jpg").write_bytes(jpeg())
    report = scan(tmp_path)
    assert counts(report) == {"cat": 1, "dog": 1}
    assert reasons(report) == {".secret": "hidden", "cat/.hidden.jpg": "hidden"}


def test_what_systems_leave_behind_is_not_mentioned(tmp_path):
    write_photos(tmp_path, {"cat": 1, "dog": 1, "__MACOSX/cat": 2, "cat/.ipynb_checkpoints": 1, "dog/@eaDir": 1})
    for name in ("Thumbs.db", ".DS_Store", "desktop.ini", "cat/._000.jpg", "cat/Thumbs.db"):
        (tmp_path / name).write_bytes(b"junk")
    report = scan(tmp_path)
    assert (counts(report), report.left_out) == ({"cat": 1, "dog": 1}, ())


def test_names_that_are_no_text_are_set_aside(tmp_path):
    write_photos(tmp_path, {"cat": 1, "dog": 1})
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/cat/\xff\xfe.jpg")).write_bytes(jpeg())
    except OSError:
        pytest.skip("this file system refuses such names")
    report = scan(tmp_path)
    assert list(reasons(report).values()) == ["bad_name"]
    json.dumps(report.to_json(), ensure_ascii=False).encode()


# Files that can't be used


def test_every_unusable_file_is_set_aside_with_its_reason(tmp_path):
    write_photos(tmp_path, {"cat": 2, "dog": 2})
    for name, (_, make) in UNUSABLE.items():
        (tmp_path / "cat" / name).write_bytes(make())
    report = scan(tmp_path)
    assert counts(report) == {"cat": 2, "dog": 2}
    assert reasons(report) == {f"cat/{name}": reason for name, (reason, _) in UNUSABLE.items()}


def test_every_odd_picture_is_used(tmp_path):
    write_photos(tmp_path, {"cat": 2, "dog": 2}, start=100)
    for name, make in ODD.items():
        (tmp_path / "cat" / name).write_bytes(make())
    report = scan(tmp_path)
    assert counts(report) == {"cat": 2 + len(ODD), "dog": 2}
    assert report.left_out == ()
    moving = {f"cat/{name}" for name in ("moving.gif", "moving.webp", "moving.png", "pages.tif")}
    assert set(finding(report, "animated").photos) == moving


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("notes.txt", "other_file"), ("IMG_0001", "other_file"), ("a.HEIC", "heic"), ("a.nef", "raw"),
        ("a.MOV", "film"), ("more.zip", "archive_inside"),
    ],
)  # fmt: skip
def test_other_files_are_listed_with_what_to_do(tmp_path, name, reason):
    write_photos(tmp_path, {"cat": 1, "dog": 1})
    (tmp_path / "cat" / name).write_bytes(b"x")
    assert reasons(scan(tmp_path)) == {f"cat/{name}": reason}


def test_links_are_never_followed(tmp_path):
    elsewhere = write_photos(tmp_path / "elsewhere", {"secret": 2})
    root = write_photos(tmp_path / "root", {"cat": 1, "dog": 1})
    try:
        (root / "cat/link.jpg").symlink_to(elsewhere / "secret/000.jpg")
        (root / "fox").symlink_to(elsewhere / "secret")
        (root / "dog/round").symlink_to(root)
    except OSError:
        pytest.skip("no links here")
    report = scan(root)
    assert counts(report) == {"cat": 1, "dog": 1}
    assert reasons(report) == {"cat/link.jpg": "link", "fox": "link", "dog/round": "link"}


def test_pipes_are_not_waited_for(tmp_path):
    if not hasattr(os, "mkfifo"):
        pytest.skip("no pipes in folders here")
    write_photos(tmp_path, {"cat": 1, "dog": 1})
    os.mkfifo(tmp_path / "cat/pipe.jpg")
    assert reasons(scan(tmp_path)) == {"cat/pipe.jpg": "not_a_file"}


def test_a_folder_that_may_not_be_read_is_listed(tmp_path, monkeypatch):
    write_photos(tmp_path, {"cat": 1, "dog": 1, "fox": 1})
    scandir = os.scandir

    def refuse(path):
        if Path(path).name == "fox":
            raise PermissionError(13, "no")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    report = scan(tmp_path)
    assert counts(report) == {"cat": 1, "dog": 1}
    assert [(entry.path, entry.reason) for entry in report.left_out] == [("fox", "unreadable_folder")]


def test_a_photo_that_vanishes_meanwhile_is_set_aside(tmp_path, monkeypatch):
    write_photos(tmp_path, {"cat": 2, "dog": 2})
    check = scan_module.check

    def vanishing(path):
        if path.endswith("cat/001.jpg"):
            os.unlink(path)
        return check(path)

    monkeypatch.setattr(scan_module, "check", vanishing)
    assert reasons(scan(tmp_path)) == {"cat/001.jpg": "gone"}


def test_folders_without_photos_are_mentioned(tmp_path):
    write_photos(tmp_path, {"cat": 1, "dog": 1})
    (tmp_path / "fox/young").mkdir(parents=True)
    (tmp_path / "cat/empty").mkdir()
    assert reasons(scan(tmp_path)) == {"fox": "no_photos_inside"}


def test_folders_too_deep_for_a_person_are_set_aside(tmp_path):
    write_photos(tmp_path, {"cat": 1, "dog": 1, "/".join(["cat", *"abcdefghijklmnopqrstuvwxyzabcdefghij"]): 1})
    report = scan(tmp_path)
    assert counts(report) == {"cat": 1, "dog": 1}
    assert list(reasons(report).values()) == ["too_deep"]


# Nothing to work with


def test_each_way_to_have_no_photos_is_told_apart(tmp_path):
    assert error_for(tmp_path / "missing") == "data.scan.missing"
    assert error_for(tmp_path) == "data.scan.empty"
    (tmp_path / "Thumbs.db").write_bytes(b"x")
    assert error_for(tmp_path) == "data.scan.empty"
    assert error_for(tmp_path / "Thumbs.db") == "data.scan.not_a_folder"
    (tmp_path / "notes.txt").write_text("about cats")
    assert error_for(tmp_path) == "data.scan.no_photos"
    (tmp_path / "loose.jpg").write_bytes(b"text")
    assert error_for(tmp_path) == "data.scan.no_classes"
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat/a.jpg").write_bytes(b"text")
    assert error_for(tmp_path) == "data.scan.none_usable"


def test_photos_in_train_and_test_without_class_folders_are_no_classes(tmp_path):
    assert error_for(write_photos(tmp_path, {"train": 2, "test": 2})) == "data.scan.no_classes"


def test_a_root_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "no")

    monkeypatch.setattr(os, "scandir", refuse)
    assert error_for(tmp_path) == "data.scan.not_allowed"


# Findings


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


# The run of it


def test_progress_goes_up_to_the_end(tmp_path):
    told: list[tuple[int, int]] = []
    scan(write_photos(tmp_path, {"cat": 40, "dog": 11}), on_progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (51, 51)
    assert told == sorted(told)
    assert len(told) > 2


def test_a_caller_that_has_had_enough_stops_the_scan(tmp_path):
    class EnoughError(Exception):
        pass

    def stop(done: int, total: int) -> None:
        raise EnoughError

    before = threading.active_count()
    with pytest.raises(EnoughError):
        scan(write_photos(tmp_path, {"cat": 200, "dog": 200}), on_progress=stop)
    assert threading.active_count() == before


def test_the_same_photos_give_the_same_report_whatever_their_order(tmp_path):
    one = scan(write_photos(tmp_path / "one", {"cat": 20, "dog": 20}))
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    two = scan(tmp_path / "two")
    assert one.photos == two.photos
    assert one.fingerprint == two.fingerprint
    assert one.root != two.root


def test_scanning_warns_of_nothing(tmp_path):
    write_photos(tmp_path, {"cat": 2, "dog": 2})
    for name, make in ODD.items():
        (tmp_path / "cat" / name).write_bytes(make())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        scan(tmp_path)
    assert caught == []


def test_scanning_needs_no_torch():
    import subprocess
    import sys

    heavy = ("torch", "numpy", "streamlit")
    code = f"import core.data.scan, core.data.archive, sys; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.skipif("GRAFT_PHOTOS" not in os.environ, reason="GRAFT_PHOTOS names no folder")
def test_real_photos_are_all_used():
    report = scan(Path(os.environ["GRAFT_PHOTOS"]) / "hymenoptera_data")
    assert counts(report) == {"ants": 194, "bees": 204}
    assert report.left_out == ()
    assert (
        io.BytesIO(Path(report.root, report.photos[0].path).read_bytes()).getbuffer().nbytes == report.photos[0].bytes
    )
