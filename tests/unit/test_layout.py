"""Which class a photo belongs to, whatever the folders look like and whatever they are called."""

import json
import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.data.layout import NoPlace, Place, find_layout
from core.data.report import DatasetReport
from core.data.scan import scan
from tests.hostile import jpeg, picture, with_orientation, write_photos
from tests.scanned import counts, finding, reasons

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


def test_a_class_called_train_with_kinds_of_trains_in_it_is_still_outnumbered(tmp_path):
    report = scan(write_photos(tmp_path, {"train/steam": 2, "train/electric": 2, "plane": 4, "car": 4}))
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
