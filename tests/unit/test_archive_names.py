"""Names in zips: none leads elsewhere, none overwrites another, all come out readable."""

import stat
import struct
import unicodedata
import zipfile
import zlib

import pytest

from tests.hostile import link_member, with_bytes, with_raw_names, zip_of
from tests.unzipped import CAT, DOG, unpacked


@pytest.mark.parametrize(
    "name",
    [
        "../evil.jpg", "cat/../../evil.jpg", "cat/..", "/etc/evil.jpg", "C:/evil.jpg", "c:evil.jpg", "..\\evil.jpg",
        "\\\\server\\share\\evil.jpg", "C:\\evil.jpg", "cat\\..\\..\\evil.jpg", " .. /evil.jpg",
    ],
)  # fmt: skip
def test_names_that_point_elsewhere_are_set_aside(tmp_path, name):
    files, left_out = unpacked(tmp_path, zip_of({"cat/a.jpg": CAT, name: DOG}))
    assert files == {"cat/a.jpg": CAT}
    assert list(left_out.values()) == ["unsafe_name"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["into", "photos.zip"]


def test_a_name_with_a_nul_is_set_aside(tmp_path):
    data = with_bytes(zip_of({"cat/a.jpg": CAT, "cat/b_.jpg": DOG}), b"cat/b_.jpg", b"cat/b\0.jpg")
    files, left_out = unpacked(tmp_path, data)
    assert (files, left_out) == ({"cat/a.jpg": CAT}, {"cat/b�.jpg": "unsafe_name"})


def test_backslashes_between_folders_are_read_as_slashes(tmp_path):
    """As old Windows programs wrote them; setting these aside would lose the whole zip."""
    files, _ = unpacked(tmp_path, zip_of({"cat\\a.jpg": CAT, "dog\\": b"", "dog\\b.jpg": DOG}))
    assert files == {"cat/a.jpg": CAT, "dog/b.jpg": DOG}


def test_links_and_devices_are_set_aside(tmp_path):
    pipe = zipfile.ZipInfo("cat/pipe.jpg")
    pipe.external_attr = (stat.S_IFIFO | 0o644) << 16
    members = [("cat/a.jpg", CAT), (link_member("cat/link.jpg"), b"/etc/passwd"), (pipe, b"")]
    files, left_out = unpacked(tmp_path, zip_of(members))
    assert files == {"cat/a.jpg": CAT}
    assert left_out == {"cat/link.jpg": "link", "cat/pipe.jpg": "not_a_file"}


def test_a_folder_that_is_a_link_can_not_be_written_through(tmp_path):
    members = [(link_member("cat"), str(tmp_path).encode()), ("cat/evil.jpg", CAT)]
    files, left_out = unpacked(tmp_path, zip_of(members))
    assert files == {"cat/evil.jpg": CAT}
    assert left_out == {"cat": "link"}
    assert not (tmp_path / "evil.jpg").exists()


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name_are_both_kept(tmp_path):
    files, _ = unpacked(tmp_path, zip_of([("cat/a.jpg", CAT), ("cat/a.jpg", DOG), ("cat/a.jpg", b"3")]))
    assert files == {"cat/a.jpg": CAT, "cat/a (2).jpg": DOG, "cat/a (3).jpg": b"3"}


def test_names_that_some_disks_take_for_one_are_both_kept_on_every_disk(tmp_path):
    composed, decomposed = (unicodedata.normalize(form, "é") for form in ("NFC", "NFD"))
    members = {
        "cat/A.jpg": CAT,
        "cat/a.jpg": DOG,
        "Cat/A.JPG": b"3",
        f"x/{composed}.jpg": b"4",
        f"x/{decomposed}.jpg": b"5",
    }
    files, _ = unpacked(tmp_path, zip_of(members))
    assert sorted(files.values()) == sorted(members.values())
    assert len({unicodedata.normalize("NFC", path).casefold() for path in files}) == len(members)


def test_a_file_and_a_folder_of_one_name_are_both_kept(tmp_path):
    files, _ = unpacked(
        tmp_path / "", zip_of([("x.jpg", CAT), ("x.jpg/a.jpg", DOG), ("y.jpg/a.jpg", CAT), ("y.jpg", DOG)])
    )
    assert files == {"x.jpg": CAT, "x (2).jpg/a.jpg": DOG, "y.jpg/a.jpg": CAT, "y (2).jpg": DOG}


def test_what_was_there_before_is_never_overwritten(tmp_path):
    (tmp_path / "into/cat").mkdir(parents=True)
    (tmp_path / "into/cat/a.jpg").write_bytes(b"mine")
    (tmp_path / "into/dog").write_bytes(b"mine too")
    files, _ = unpacked(tmp_path, zip_of({"cat/a.jpg": CAT, "dog/b.jpg": DOG}))
    assert files == {"cat/a.jpg": b"mine", "cat/a (2).jpg": CAT, "dog": b"mine too", "dog (2)/b.jpg": DOG}


def test_very_long_names_are_shortened_and_stay_apart(tmp_path):
    members = {f"{'c' * 300}/{'x' * 400}{number}.jpg": bytes([number]) for number in range(3)}
    files, left_out = unpacked(tmp_path, zip_of(members))
    assert (len(files), left_out) == (3, {})
    assert {path.partition("/")[0][:100] for path in files} == {"c" * 100}
    assert all(path.endswith(".jpg") for path in files)
    assert all(len(part.encode()) <= 255 for path in files for part in path.split("/"))


def test_folders_a_hundred_deep_come_out(tmp_path):
    files, left_out = unpacked(tmp_path, zip_of({"cat/" + "deep/" * 100 + "a.jpg": CAT}))
    assert (list(files.values()), left_out) == ([CAT], {})
    assert next(iter(files)).startswith("cat/")


NAMES = {
    "utf-8": ["猫/ü.jpg", "собака/a.jpg", "🐈/b.jpg"],  # macOS
    "gb2312": ["猫咪/照片.jpg", "狗/a.jpg"],  # Chinese Windows
    "cp437": ["Käfer/große.jpg", "señor/a.jpg"],  # Western DOS, the standard
}


@pytest.mark.parametrize("encoding", NAMES)
def test_names_come_out_right_whatever_program_wrote_them(tmp_path, encoding):
    raw = {name.encode(encoding): name.encode() for name in NAMES[encoding]}
    files, _ = unpacked(tmp_path, with_raw_names(raw))
    assert files == {name: name.encode() for name in NAMES[encoding]}


def test_accents_in_utf8_are_not_taken_for_chinese(tmp_path):
    """Most bytes of one are valid in the other."""
    assert "é".encode().decode("gb2312")
    files, _ = unpacked(tmp_path, with_raw_names({"bébé/é.jpg".encode(): CAT}))
    assert files == {"bébé/é.jpg": CAT}


def test_a_name_of_unknown_bytes_still_comes_out_below_one_folder(tmp_path):
    raw = {"кошка/a.jpg".encode("cp866"): CAT, "кошка/b.jpg".encode("cp866"): DOG}
    files, _ = unpacked(tmp_path, with_raw_names(raw))
    assert len({path.rpartition("/")[0] for path in files}) == 1
    assert len(files) == 2


def test_the_unicode_name_beside_the_old_one_counts(tmp_path):
    info = zipfile.ZipInfo("old/a.jpg")
    name = "猫/a.jpg".encode()
    info.extra = struct.pack("<HHBI", 0x7075, 5 + len(name), 1, zlib.crc32(b"old/a.jpg")) + name
    files, _ = unpacked(tmp_path, zip_of([(info, CAT)]))
    assert files == {"猫/a.jpg": CAT}
