"""Zips from strangers: only photos come out, only below one folder, never too many, and nothing is lost silently."""

import errno
import io
import os
import random
import shutil
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.data import members as members_module
from core.data.archive import Limits, open_source, unpack
from core.data.scan import scan
from core.errors import DataError
from tests.hostile import bomb, with_bytes, with_flags, with_raw_names, write_photos, zip_of
from tests.unzipped import CAT, DOG, SMALL, error_for, unpacked


def test_photos_come_out_as_they_went_in(tmp_path):
    files, left_out = unpacked(tmp_path, zip_of({"cat/": b"", "cat/a.jpg": CAT, "dog/old/b.PNG": DOG}))
    assert files == {"cat/a.jpg": CAT, "dog/old/b.PNG": DOG}
    assert left_out == {}


def test_a_zip_scans_like_its_folder(tmp_path):
    folder = write_photos(tmp_path / "set", {"cat": 5, "dog": 5})
    shutil.make_archive(str(tmp_path / "set"), "zip", tmp_path, "set")
    source, left_out = open_source(tmp_path / "set.zip", tmp_path / "scratch")
    assert left_out == ()
    assert source.is_relative_to(tmp_path / "scratch")
    assert scan(source).fingerprint == scan(folder).fingerprint


# What is in it


def test_litter_is_skipped_and_other_files_are_listed(tmp_path):
    members = {
        "cat/a.jpg": CAT, "__MACOSX/cat/._a.jpg": b"x", "cat/Thumbs.db": b"x", "cat/.DS_Store": b"x",
        "cat/notes.txt": b"x", "cat/b.heic": b"x", "run.exe": b"x", "more.zip": zip_of({"a.jpg": CAT}),
        "cat/no_ending": b"x",
    }  # fmt: skip
    files, left_out = unpacked(tmp_path, zip_of(members))
    assert files == {"cat/a.jpg": CAT}
    assert left_out == {
        "cat/notes.txt": "other_file", "cat/b.heic": "heic", "run.exe": "other_file", "more.zip": "archive_inside",
        "cat/no_ending": "other_file",
    }  # fmt: skip


def test_members_under_a_password_are_set_aside(tmp_path):
    plain = zip_of({"cat/a.jpg": CAT})
    locked = with_flags(zip_of({"cat/b.jpg": DOG}), 0x1)
    (tmp_path / "both").mkdir()
    assert error_for(tmp_path / "both", locked) == "data.archive.no_photos"
    files, left_out = unpacked(tmp_path, joined(plain, locked))
    assert (files, left_out) == ({"cat/a.jpg": CAT}, {"cat/b.jpg": "encrypted"})


def joined(first: bytes, second: bytes) -> bytes:
    """Two zips of one member each as one zip, header by header."""
    start = [data.index(b"PK\1\2") for data in (first, second)]
    end = [data.index(b"PK\5\6") for data in (first, second)]
    locals_ = first[: start[0]] + second[: start[1]]
    moved = bytearray(second[start[1] : end[1]])
    moved[42:46] = struct.pack("<I", start[0])
    directory = first[start[0] : end[0]] + bytes(moved)
    return locals_ + directory + struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 2, 2, len(directory), len(locals_), 0)


@pytest.mark.parametrize("stored", [True, False])
def test_damaged_members_are_set_aside_and_leave_no_half_file(tmp_path, stored):
    data = bytearray(zip_of({"cat/a.jpg": CAT, "cat/b.jpg": DOG}, stored=stored))
    place = data.rindex(b"PK\3\4") + 200
    data[place : place + 40] = bytes(40)
    files, left_out = unpacked(tmp_path, bytes(data))
    assert (files, left_out) == ({"cat/a.jpg": CAT}, {"cat/b.jpg": "broken_member"})


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_inflate_without_bounds_are_not_opened(tmp_path, method):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        packed.writestr("cat/a.jpg", CAT)
        packed.writestr("cat/b.bmp", bytes(10_000), compress_type=method)
    files, left_out = unpacked(tmp_path, file.getvalue())
    assert (files, left_out) == ({"cat/a.jpg": CAT}, {"cat/b.bmp": "compression"})


# Nothing to unpack


@pytest.mark.parametrize(
    ("data", "key"),
    [
        (b"", "not_a_zip"),
        (b"These are my photos.", "not_a_zip"),
        (CAT, "not_a_zip"),
        (b"Rar!\x1a\7\0" + b"x" * 50, "other_kind"),
        (b"7z\xbc\xaf\x27\x1c" + b"x" * 50, "other_kind"),
        (b"\x1f\x8b\x08" + b"x" * 50, "other_kind"),
        (zip_of({"cat/a.jpg": CAT})[:-30], "cut_off"),
        (zip_of({"cat/a.jpg": CAT})[:500], "cut_off"),
        (zip_of({"cat/a.jpg": CAT}).replace(b"PK\1\2", b"PK\1\3"), "broken"),
        (zip_of({}), "empty"),
        (zip_of({"cat/": b"", "__MACOSX/a.jpg": b"x"}), "empty"),
        (zip_of({"notes.txt": b"x"}), "no_photos"),
    ],
)
def test_each_way_not_to_be_a_zip_of_photos_is_told_apart(tmp_path, data, key):
    assert error_for(tmp_path, data) == f"data.archive.{key}"


def test_a_name_that_lies_about_its_encoding_is_a_damaged_zip(tmp_path):
    data = with_flags(with_raw_names({b"\xff\xfe\xfd.jpg": CAT}), 0x800)
    assert error_for(tmp_path, data) == "data.archive.broken"


def test_a_zip_of_nothing_usable_says_why(tmp_path):
    (tmp_path / "photos.zip").write_bytes(with_flags(zip_of({"a/1.jpg": CAT, "a/2.jpg": DOG}), 1))
    with pytest.raises(DataError, match="password"):
        unpack(tmp_path / "photos.zip", tmp_path / "into")


# Too much


def test_a_bomb_is_refused_by_what_it_announces_before_anything_is_written(tmp_path, monkeypatch):
    (tmp_path / "photos.zip").write_bytes(bomb(300))
    monkeypatch.setattr(Path, "open", lambda *_, **__: pytest.fail("something was written"))
    with pytest.raises(DataError) as caught:
        unpack(tmp_path / "photos.zip", tmp_path / "into", limits=SMALL)
    assert caught.value.key == "data.archive.bomb"


def test_many_small_bombs_are_one_large_one(tmp_path):
    limits = Limits(unsuspicious_bytes=5_000_000, free_bytes=0)
    data = zip_of({f"cat/{number}.bmp": bytes(1_000_000) for number in range(10)})
    assert error_for(tmp_path, data, limits) == "data.archive.bomb"


def lying(data: bytes, size: int, claimed: int) -> bytes:
    """The zip with a member's unpacked size understated, in both headers."""
    return with_bytes(data, struct.pack("<I", size), struct.pack("<I", claimed))


def test_a_member_larger_than_it_says_is_cut_and_set_aside(tmp_path):
    data = lying(zip_of({"cat/a.jpg": CAT, "cat/bomb.bmp": bytes(50_000_001)}), 50_000_001, 1000)
    files, left_out = unpacked(tmp_path, data, Limits(free_bytes=0, unsuspicious_bytes=1_000_000))
    assert (files, left_out) == ({"cat/a.jpg": CAT}, {"cat/bomb.bmp": "broken_member"})


@pytest.mark.parametrize(("limit", "key"), [("unsuspicious_bytes", "bomb"), ("total_bytes", "too_much")])
def test_what_comes_out_is_counted_whatever_was_announced(tmp_path, monkeypatch, limit, key):
    """Should the reader ever give more than the headers say."""
    data = zip_of({"cat/a.jpg": CAT})
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_: io.BytesIO(bytes(3_000_000)))
    limits = Limits(**{"free_bytes": 0, "ratio": 1, limit: 2_000_000})
    assert error_for(tmp_path, data, limits) == f"data.archive.{key}"


def test_one_huge_member_is_set_aside(tmp_path):
    data = zip_of({"cat/a.jpg": CAT, "cat/huge.bmp": bytes(3_000_000)})
    files, left_out = unpacked(tmp_path, data, Limits(bytes_per_file=2_000_000, free_bytes=0))
    assert (files, left_out) == ({"cat/a.jpg": CAT}, {"cat/huge.bmp": "file_too_large"})


def test_a_zip_that_unpacks_to_more_than_allowed_is_refused(tmp_path):
    data = zip_of({f"cat/{n}.jpg": CAT for n in range(10)})
    assert error_for(tmp_path, data, Limits(total_bytes=5 * len(CAT), free_bytes=0)) == "data.archive.too_much"


def test_a_zip_of_too_many_files_is_refused(tmp_path):
    data = zip_of({f"cat/{n}.jpg": b"x" for n in range(11)})
    assert error_for(tmp_path, data, Limits(files=10, free_bytes=0)) == "data.archive.too_many_files"


def test_a_list_of_members_too_long_to_read_is_refused_unread(tmp_path, monkeypatch):
    monkeypatch.setattr(members_module, "DIRECTORY_BYTES", 70_000)
    data = zip_of({f"cat/{n:050}.jpg": b"x" for n in range(700)})
    assert error_for(tmp_path, data) == "data.archive.too_many_files"


def test_a_disk_without_room_is_noticed_before_and_meanwhile(tmp_path, monkeypatch):
    data = zip_of({"cat/a.jpg": CAT, "cat/b.jpg": DOG})
    assert error_for(tmp_path, data, Limits(free_bytes=10**18)) == "data.archive.disk_full"

    class Full(io.FileIO):
        def write(self, data):
            raise OSError(errno.ENOSPC, "no space left on device")

    opened = Path.open
    monkeypatch.setattr(
        Path, "open", lambda path, mode="r", *rest: Full(path, "x") if mode == "xb" else opened(path, mode, *rest)
    )
    assert error_for(tmp_path, data) == "data.archive.disk_full"


MEMORY = """
import re, sys
from pathlib import Path
from core.data.archive import unpack
def kilobytes(what):  # getrusage would count the process that started this one
    return int(re.search(what + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
before = kilobytes("VmRSS")
unpack(Path(sys.argv[1]), Path(sys.argv[2]))
print((kilobytes("VmHWM") - before) * 1024)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="resident memory is counted differently here")
def test_unpacking_streams_whatever_the_size(tmp_path):
    noise = random.Random(0).randbytes(60_000_000)
    (tmp_path / "photos.zip").write_bytes(zip_of({"cat/a.bmp": noise, "cat/b.bmp": noise}, stored=True))
    command = [sys.executable, "-c", MEMORY, tmp_path / "photos.zip", tmp_path / "into"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 20_000_000
    assert (tmp_path / "into/cat/b.bmp").read_bytes() == noise


# Sources


def test_a_folder_is_its_own_source(tmp_path):
    assert open_source(tmp_path, tmp_path / "scratch") == (tmp_path, ())
    assert not (tmp_path / "scratch").exists()


def test_a_zip_is_known_by_what_it_holds_too(tmp_path):
    (tmp_path / "photos").write_bytes(zip_of({"cat/a.jpg": CAT}))
    source, _ = open_source(tmp_path / "photos", tmp_path / "scratch")
    assert (source / "cat/a.jpg").read_bytes() == CAT


@pytest.mark.parametrize(
    ("name", "data", "key"),
    [("a.jpg", CAT, "neither"), ("a.rar", b"Rar!\x1a\7\0", "other_kind"), ("a.zip", b"text", "not_a_zip")],
)
def test_other_sources_are_named_in_the_error(tmp_path, name, data, key):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=name) as caught:
        open_source(tmp_path / name, tmp_path / "scratch")
    assert caught.value.key == f"data.archive.{key}"


def test_a_missing_source_is_named(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.zip") as caught:
        open_source(tmp_path / "nowhere.zip", tmp_path / "scratch")
    assert caught.value.key == "data.scan.missing"


def test_a_zip_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "no")

    (tmp_path / "photos.zip").write_bytes(zip_of({"cat/a.jpg": CAT}))
    monkeypatch.setattr(io, "FileIO", refuse)
    with pytest.raises(DataError) as caught:
        unpack(tmp_path / "photos.zip", tmp_path / "into")
    assert caught.value.key == "data.archive.not_allowed"


def test_progress_goes_up_to_the_end(tmp_path):
    (tmp_path / "photos.zip").write_bytes(zip_of({f"cat/{n}.jpg": CAT for n in range(70)} | {"a.txt": b"x"}))
    told: list[tuple[int, int]] = []
    unpack(tmp_path / "photos.zip", tmp_path / "into", on_progress=lambda done, total: told.append((done, total)))
    assert told == [(32, 70), (64, 70), (70, 70)]


def test_a_caller_that_has_had_enough_leaves_nothing_behind(tmp_path):
    class EnoughError(Exception):
        pass

    def stop(done: int, total: int) -> None:
        raise EnoughError

    (tmp_path / "photos.zip").write_bytes(zip_of({f"cat/old/{n}.jpg": CAT for n in range(40)}))
    with pytest.raises(EnoughError):
        unpack(tmp_path / "photos.zip", tmp_path / "into", on_progress=stop)
    assert list((tmp_path / "into").iterdir()) == []


# Whatever the bytes

WHOLE = zip_of({"cat/a.jpg": CAT, "cat\\b.jpg": DOG, "dog/ü.png": b"x" * 900, "../c.jpg": CAT})


@settings(derandomize=True, deadline=None, max_examples=200)
@given(data=st.data())
def test_zips_with_any_bytes_changed_unpack_below_their_folder_or_are_refused(tmp_path_factory, data):
    changed = bytearray(WHOLE)
    directory = WHOLE.index(b"PK\1\2")
    for _ in range(data.draw(st.integers(1, 6))):
        first = data.draw(st.sampled_from((0, directory)))
        changed[data.draw(st.integers(first, len(changed) - 1))] = data.draw(st.integers(0, 255))
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "photos.zip").write_bytes(changed)
    try:
        told = [entry.text for entry in unpack(folder / "photos.zip", folder / "into", limits=SMALL)]
    except DataError as error:
        told = [error.message, error.hint]
    assert all(told)
    assert set(os.listdir(folder)) <= {"photos.zip", "into"}
    shutil.rmtree(folder)
