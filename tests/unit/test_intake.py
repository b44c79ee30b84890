"""Uploads: what arrives is whole, under a safe name, and never over something else."""

import hashlib
import json
import os
import subprocess
import sys
import threading
import unicodedata
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as some

from core.data import intake
from core.data.intake import Arrival, Quota
from core.data.journal import forget
from core.data.names import collision_key, numbered, safe_path
from core.errors import ConfigError, CoreError, DataError
from core.workspace import Workspace

ROOMY = Quota(free_bytes=0)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


@pytest.fixture
def upload(workspace: Workspace) -> intake.Upload:
    return intake.begin(workspace, purpose="dataset")


def on_disk(upload: intake.Upload) -> dict[str, bytes]:
    files = sorted(path for path in upload.photos.rglob("*") if path.is_file())
    return {path.relative_to(upload.photos).as_posix(): path.read_bytes() for path in files}


def test_a_file_arrives_byte_for_byte_with_its_folders(upload: intake.Upload) -> None:
    received = intake.receive(upload, "pets/cat/a.jpg", [b"one ", b"two"])
    assert on_disk(upload) == {"pets/cat/a.jpg": b"one two"}
    assert received == intake.Received(
        "pets/cat/a.jpg", "pets/cat/a.jpg", 7, hashlib.sha256(b"one two").hexdigest(), again=False
    )


def test_the_same_file_sent_again_counts_once(upload: intake.Upload) -> None:
    intake.receive(upload, "cat/a.jpg", b"meow")
    again = intake.receive(upload, "cat/a.jpg", b"meow")
    assert again.again
    assert on_disk(upload) == {"cat/a.jpg": b"meow"}
    assert intake.summary(upload).files == intake.count_on_disk(upload) == 1


def test_another_file_of_the_same_name_gets_a_number_and_overwrites_nothing(upload: intake.Upload) -> None:
    for content in (b"first", b"second", b"third", b"second"):
        intake.receive(upload, "cat/a.b.jpg", content)
    assert on_disk(upload) == {"cat/a.b.jpg": b"first", "cat/a.b (2).jpg": b"second", "cat/a.b (3).jpg": b"third"}


def test_a_number_that_a_real_file_already_has_is_passed_over(upload: intake.Upload) -> None:
    intake.receive(upload, "a (2).jpg", b"the real second")
    intake.receive(upload, "a.jpg", b"first")
    intake.receive(upload, "a.jpg", b"other")
    assert on_disk(upload) == {"a (2).jpg": b"the real second", "a.jpg": b"first", "a (3).jpg": b"other"}


def test_names_that_differ_only_in_case_or_unicode_form_are_all_kept(upload: intake.Upload) -> None:
    names = ["cat/A.jpg", "cat/a.JPG", "cat/\u00e9.jpg", "cat/e\u0301.jpg", "cat/E\u0301.jpg", "cat/\u1e9e.jpg"]
    for number, name in enumerate(names):
        intake.receive(upload, name, str(number).encode())
    stored = on_disk(upload)
    assert sorted(stored.values()) == [str(number).encode() for number in range(len(names))]
    assert len({unicodedata.normalize("NFC", name).casefold() for name in stored}) == len(names)
    assert all(name == unicodedata.normalize("NFC", name) for name in stored)


def test_a_file_and_a_folder_of_one_name_live_side_by_side(upload: intake.Upload) -> None:
    intake.receive(upload, "cat.jpg", b"a file")
    intake.receive(upload, "cat.jpg/a.jpg", b"below a folder")
    intake.receive(upload, "dog/a.jpg", b"below")
    intake.receive(upload, "dog", b"a file called like the folder")
    assert sorted(on_disk(upload).values()) == sorted(
        [b"a file", b"below a folder", b"below", b"a file called like the folder"]
    )


@pytest.mark.parametrize(
    ("hostile", "safe"),
    [
        ("../../etc/passwd.jpg", "etc/passwd.jpg"),
        ("/etc/passwd.jpg", "etc/passwd.jpg"),
        ("C:\\..\\cat\\a.jpg", "cat/a.jpg"),
        ("\\\\server\\share\\a.jpg", "server/share/a.jpg"),
        ("cat/./a.jpg", "cat/a.jpg"),
        ("cat//a.jpg", "cat/a.jpg"),
        ("cat/a\x00.jpg", "cat/a_.jpg"),
        ("cat/a\n.jpg", "cat/a_.jpg"),
        ("cat/12:30?.jpg", "cat/12_30_.jpg"),
        ("con/aux.jpg", "_con/_aux.jpg"),
        ("LPT1", "_LPT1"),
        ("console/auxiliary.jpg", "console/auxiliary.jpg"),
        ("cat. /a.jpg . ", "cat/a.jpg"),
        ("\ud800.jpg", "_.jpg"),
        (".hidden/.a.jpg", ".hidden/.a.jpg"),
        ("猫/صورة 1 🐈.jpg", "猫/صورة 1 🐈.jpg"),
        ("e\u0301.jpg", "\u00e9.jpg"),
    ],
)
def test_a_hostile_name_loses_its_power_and_keeps_its_file(hostile: str, safe: str) -> None:
    assert safe_path(hostile) == safe


@pytest.mark.parametrize("name", ["", "/", "..", "../..", "C:", "\\", " . /.. "])
def test_a_name_of_which_nothing_is_left_is_refused_and_listed(upload: intake.Upload, name: str) -> None:
    with pytest.raises(CoreError) as caught:
        intake.receive(upload, name, b"x")
    assert caught.value.key == "upload.no_name"
    assert [refused.name for refused in intake.summary(upload).refused] == [name]
    assert on_disk(upload) == {}


def test_overlong_names_keep_their_suffix_and_stay_apart(upload: intake.Upload) -> None:
    long = "cat/" + "é" * 400
    for number, ending in enumerate(["1.jpeg", "2.jpeg", "3"]):
        intake.receive(upload, long + ending, str(number).encode())
    stored = list(on_disk(upload))
    assert len(stored) == 3
    assert sum(name.endswith(".jpeg") for name in stored) == 2
    assert all(len(part.encode()) <= 200 for name in stored for part in name.split("/"))


def test_a_very_deep_path_keeps_its_class_and_fits_a_path(upload: intake.Upload) -> None:
    received = intake.receive(upload, "root/" + "d" * 100 + "/x" * 2000 + "/cat/a.jpg", b"x")
    assert received.path.endswith("/cat/a.jpg")
    assert len(received.path.encode()) < 1000


@given(some.text(max_size=300))
@example("\u0130/\u0131.jpg")
@example("a" * 181)
@example("~" * 400 + ". " * 20)
def test_every_name_becomes_a_path_that_stays_below_on_every_system(name: str) -> None:
    safe = safe_path(name)
    if safe is None:
        return
    assert safe.encode()
    assert safe_path(safe) == safe, "a safe path is its own safe form"
    for pure in (PurePosixPath(safe), PureWindowsPath(safe)):
        assert not pure.is_absolute()
        assert not pure.drive
        assert pure.parts
        assert ".." not in pure.parts
        assert all(len(part.encode()) <= 200 for part in pure.parts)


@given(some.text(max_size=40), some.integers(2, 99))
def test_a_number_changes_the_name_and_nothing_else(name: str, number: int) -> None:
    safe = safe_path(f"cat/{name}x.jpg")
    assert safe is not None
    other = numbered(safe, number)
    assert collision_key(other) != collision_key(safe)
    assert other.replace(f" ({number})", "", 1) == safe or f"({number})" in safe


def test_an_interrupted_file_leaves_nothing_behind(upload: intake.Upload) -> None:
    def torn() -> "list[bytes]":
        yield b"half of"  # type: ignore[misc]
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        intake.receive(upload, "cat/a.jpg", torn())
    assert on_disk(upload) == {}
    assert list(upload.parts.iterdir()) == []
    intake.receive(upload, "cat/a.jpg", b"the whole file")
    assert on_disk(upload) == {"cat/a.jpg": b"the whole file"}


def test_a_large_file_goes_on_where_the_connection_broke_even_in_another_process(upload: intake.Upload) -> None:
    key = "ab" * 16
    first = Arrival(upload, "photos.zip", quota=ROOMY, size=10, resume=key)
    first.write(b"0123")
    first.close()
    assert on_disk(upload) == {}
    forget(upload.folder)  # what another process knows: the disk
    second = Arrival(upload, "photos.zip", quota=ROOMY, size=10, resume=key)
    assert second.have == 4
    second.write(b"456789")
    assert second.complete
    received = second.finish()
    second.close()
    assert on_disk(upload) == {"photos.zip": b"0123456789"}
    assert received.sha256 == hashlib.sha256(b"0123456789").hexdigest()


def test_two_writers_of_one_large_file_do_not_mix(upload: intake.Upload) -> None:
    first = Arrival(upload, "photos.zip", quota=ROOMY, size=4, resume="0" * 32)
    first.write(b"ab")
    with pytest.raises(intake.BusyError):
        Arrival(upload, "photos.zip", quota=ROOMY, size=4, resume="0" * 32)
    first.write(b"cd")
    first.finish()
    first.close()
    assert on_disk(upload) == {"photos.zip": b"abcd"}


@pytest.mark.parametrize("resume", ["", "../../x", "0" * 65, "ABCDEF0123456789"])
def test_an_id_to_resume_by_that_is_not_one_is_refused(upload: intake.Upload, resume: str) -> None:
    with pytest.raises(ValueError, match="not an id"):
        Arrival(upload, "a.zip", quota=ROOMY, size=1, resume=resume)


def test_more_bytes_than_announced_are_an_error(upload: intake.Upload) -> None:
    arrival = Arrival(upload, "a.jpg", quota=ROOMY, size=3)
    with pytest.raises(ValueError, match="more than"):
        arrival.write(b"four")
    arrival.close()
    assert on_disk(upload) == {}


@pytest.mark.parametrize(
    ("quota", "reason"),
    [
        (Quota(total_bytes=10, free_bytes=0), "too_much"),
        (Quota(files=1, free_bytes=0), "too_many"),
        (Quota(bytes_per_file=5, free_bytes=0), "too_large"),
        (Quota(free_bytes=2**62), "disk_full"),
    ],
)
@pytest.mark.parametrize("announced", [True, False])
def test_each_limit_refuses_the_file_by_name_and_leaves_nothing(
    upload: intake.Upload, quota: Quota, reason: str, announced: bool
) -> None:
    intake.receive(upload, "first.jpg", b"12345", quota=ROOMY)

    def send() -> None:
        if announced:
            Arrival(upload, "second.jpg", quota=quota, size=6)
        else:
            intake.receive(upload, "second.jpg", iter([b"123", b"456"]), quota=quota)

    with pytest.raises(CoreError) as caught:
        send()
    assert caught.value.key == f"upload.{reason}"
    assert "second.jpg" in caught.value.message
    assert caught.value.hint
    (refused,) = intake.summary(upload).refused
    assert refused.text == caught.value.message
    assert on_disk(upload) == {"first.jpg": b"12345"}
    assert list(upload.parts.iterdir()) == []


def test_files_on_their_way_count_against_the_limit(upload: intake.Upload) -> None:
    quota = Quota(total_bytes=10, free_bytes=0)
    on_its_way = Arrival(upload, "a.jpg", quota=quota, size=8)
    with pytest.raises(CoreError):
        Arrival(upload, "b.jpg", quota=quota, size=8)
    on_its_way.close()
    Arrival(upload, "b.jpg", quota=quota, size=8).close()


def test_a_refused_file_that_arrives_later_is_no_longer_listed(upload: intake.Upload) -> None:
    with pytest.raises(CoreError):
        intake.receive(upload, "a.jpg", b"123456", quota=Quota(total_bytes=3, free_bytes=0))
    intake.receive(upload, "a.jpg", b"123456", quota=ROOMY)
    assert intake.summary(upload).refused == ()


def test_limits_come_from_the_environment() -> None:
    quota = Quota.from_environment(
        {"GRAFT_MAX_UPLOAD_GB": "2.5", "GRAFT_MAX_UPLOAD_FILES": "30", "GRAFT_MAX_FILE_GB": "1"}
    )
    assert quota == Quota(total_bytes=2_500_000_000, files=30, bytes_per_file=1_000_000_000)


@pytest.mark.parametrize("value", ["many", "-1", "nan", "inf"])
def test_a_limit_that_is_no_number_is_refused_by_name(value: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Quota.from_environment({"GRAFT_MAX_UPLOAD_GB": value})
    assert "GRAFT_MAX_UPLOAD_GB" in caught.value.message
    assert value in caught.value.message


def test_another_process_finds_what_arrived(upload: intake.Upload, workspace: Workspace) -> None:
    intake.receive(upload, "cat/a.jpg", b"meow")
    code = (
        "import sys; from pathlib import Path; from core.data import intake; from core.workspace import Workspace\n"
        f"upload = intake.open_upload(Workspace(Path({str(workspace.root)!r})), {upload.id!r})\n"
        "print(intake.arrived(upload), intake.summary(upload).files, upload.purpose, 'torch' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "'cat/a.jpg'" in answer
    assert answer.strip().endswith("1 dataset False")


def test_a_torn_last_line_and_a_file_without_a_line_cost_nothing(upload: intake.Upload) -> None:
    intake.receive(upload, "a.jpg", b"1")
    intake.receive(upload, "b.jpg", b"2")
    journal = upload.folder / "journal.jsonl"
    journal.write_bytes(journal.read_bytes()[:-20])  # the machine stopped while the last line was written
    forget(upload.folder)
    assert {received.path for received in intake.arrived(upload)} == {"a.jpg", "b.jpg"}
    intake.receive(upload, "c.jpg", b"3")
    assert intake.receive(upload, "b.jpg", b"2").again
    forget(upload.folder)
    assert {received.path for received in intake.arrived(upload)} == {"a.jpg", "b.jpg", "c.jpg"}


def test_a_file_that_another_server_placed_meanwhile_is_neither_lost_nor_doubled(upload: intake.Upload) -> None:
    assert intake.arrived(upload) == ()  # the table is now in memory, and knows nothing of what comes next
    (upload.photos / "same.jpg").write_bytes(b"same")
    (upload.photos / "other.jpg").write_bytes(b"theirs")
    intake.receive(upload, "same.jpg", b"same")
    intake.receive(upload, "other.jpg", b"ours")
    assert on_disk(upload) == {"same.jpg": b"same", "other.jpg": b"theirs", "other (2).jpg": b"ours"}


def test_a_file_system_without_hard_links_works_as_well(upload: intake.Upload, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", refuse)
    for content in (b"1", b"2", b"1"):
        intake.receive(upload, "a.jpg", content)
    assert on_disk(upload) == {"a.jpg": b"1", "a (2).jpg": b"2"}


def test_many_threads_sending_the_same_names_lose_and_double_nothing(upload: intake.Upload) -> None:
    def send(sender: int) -> None:
        for number in range(40):
            intake.receive(upload, f"cat/{number}.jpg", f"{sender % 2} {number}".encode(), quota=ROOMY)

    threads = [threading.Thread(target=send, args=(sender,)) for sender in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stored = on_disk(upload)
    assert sorted(stored.values()) == sorted(f"{half} {number}".encode() for half in (0, 1) for number in range(40))
    assert intake.summary(upload).files == 80


def test_an_upload_that_is_not_there_is_named(workspace: Workspace) -> None:
    with pytest.raises(DataError) as caught:
        intake.open_upload(workspace, "20261121-051543-d0bbc0de")
    assert "20261121-051543-d0bbc0de" in caught.value.message


@pytest.mark.parametrize("identifier", ["..", "../../etc", "", "x" * 200])
def test_an_id_that_is_no_id_opens_nothing(workspace: Workspace, identifier: str) -> None:
    with pytest.raises(CoreError):
        intake.open_upload(workspace, identifier)


def test_a_discarded_upload_is_gone_and_others_stay(workspace: Workspace) -> None:
    one, other = (intake.begin(workspace, purpose="try") for _ in range(2))
    intake.receive(one, "a.jpg", b"1")
    intake.receive(other, "a.jpg", b"1")
    intake.discard(one)
    with pytest.raises(DataError):
        intake.open_upload(workspace, one.id)
    assert intake.summary(intake.open_upload(workspace, other.id)).files == 1


def test_half_a_file_that_a_killed_server_left_goes_after_an_hour_and_pieces_that_can_be_resumed_stay(
    upload: intake.Upload,
) -> None:
    for name in ("old.tmp", "young.tmp", f"{'0' * 32}.part"):
        (upload.parts / name).write_bytes(b"half")
    for name in ("old.tmp", f"{'0' * 32}.part"):
        os.utime(upload.parts / name, (0, 0))
    forget(upload.folder)
    intake.summary(upload)
    assert {path.name for path in upload.parts.iterdir()} == {"young.tmp", f"{'0' * 32}.part"}


def test_only_old_uploads_that_nobody_used_are_cleared_away(workspace: Workspace) -> None:
    empty, used, resumable = (intake.begin(workspace, purpose="dataset") for _ in range(3))
    intake.receive(used, "a.jpg", b"1")
    half = Arrival(resumable, "a.zip", quota=ROOMY, size=2, resume="0" * 32)
    half.write(b"x")
    half.close()
    for upload in (empty, used, resumable):
        os.utime(upload.folder / "upload.json", (0, 0))
    fresh = intake.begin(workspace, purpose="dataset")
    assert {path.name for path in workspace.uploads.iterdir()} == {used.id, resumable.id, fresh.id}


def test_thousands_of_refusals_are_counted_but_not_kept(upload: intake.Upload) -> None:
    for number in range(1500):
        with pytest.raises(CoreError):
            intake.receive(upload, f"{number}.jpg", b"123", quota=Quota(bytes_per_file=1, free_bytes=0))
    told = intake.summary(upload)
    assert told.refused_count == 1500
    assert len(told.refused) == 1000
    assert len((upload.folder / "journal.jsonl").read_text().splitlines()) == 1000


def test_the_journal_is_one_json_object_a_line(upload: intake.Upload) -> None:
    intake.receive(upload, "cat/a\n.jpg", b"meow")
    (line,) = (upload.folder / "journal.jsonl").read_text("utf-8").splitlines()
    assert json.loads(line)["path"] == "cat/a_.jpg"
