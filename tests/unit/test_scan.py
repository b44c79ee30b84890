"""A folder → a report: every kind of junk, each with a line of its own."""

import io
import os
import shutil
import threading
import time
import warnings
from pathlib import Path

import pytest

from core.data import scan as scan_module
from core.data.scan import check, scan
from tests.hostile import ODD, UNUSABLE, write_photos
from tests.scanned import counts, error_for, finding, reasons

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


# The run of it


def test_progress_goes_up_to_the_end(tmp_path):
    told: list[tuple[int, int]] = []
    scan(write_photos(tmp_path, {"cat": 40, "dog": 11}), on_progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (51, 51)
    assert told == sorted(told)
    assert len(told) > 2


def test_a_caller_that_has_had_enough_stops_the_scan(tmp_path, monkeypatch):
    class EnoughError(Exception):
        pass

    def stop(done: int, total: int) -> None:
        raise EnoughError

    checked: list[str] = []
    really = check(write_photos(tmp_path / "one", {"cat": 1}) / "cat" / "000.jpg")

    def slow(path: str) -> scan_module.Checked:
        checked.append(path)
        time.sleep(0.002)
        return really

    monkeypatch.setattr(scan_module, "check", slow)
    monkeypatch.setattr(scan_module, "THREADS", 2)
    before = threading.active_count()
    with pytest.raises(EnoughError):
        scan(write_photos(tmp_path, {"cat": 200, "dog": 200}), on_progress=stop)
    assert threading.active_count() == before
    assert len(checked) <= 4 * scan_module.BATCH  # one done, one begun and the next for each of two threads


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

    heavy = ("torch", "streamlit")
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
