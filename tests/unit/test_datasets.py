"""A data set's directory through its whole life: real uploads, real processes, real kills."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core import processes
from core.data import datasets, intake, scanning
from core.data.datasets import DatasetState, watch
from core.data.report import DatasetReport, Photo
from core.data.store import Dataset, read_report, write_report
from core.errors import CoreError, DataError
from core.workspace import Workspace

PROJECT = Path(__file__).parent.parent.parent
PATIENCE_SECONDS = 60.0  # for a process to start and scan a handful of photos on a busy machine


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace")


def jpeg(number: int = 0) -> bytes:
    """A small photo, different for each number."""
    pixels = np.random.default_rng(number).integers(0, 256, (30, 40, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()


def pets(count: int = 3) -> dict[str, bytes]:
    labels = ("cat", "dog")
    return {
        f"{label}/{number}.jpg": jpeg(place * 1000 + number)
        for place, label in enumerate(labels)
        for number in range(count)
    }


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def uploaded(workspace: Workspace, files: dict[str, bytes]) -> intake.Upload:
    upload = intake.begin(workspace, purpose="dataset")
    for name, data in files.items():
        intake.receive(upload, name, data)
    return upload


def settled(dataset: Dataset) -> DatasetState:
    """The state once no scan is at work."""
    return reached(dataset, lambda state: state.status != "scanning")


def reached(dataset: Dataset, wanted) -> DatasetState:
    end = time.monotonic() + PATIENCE_SECONDS
    while not wanted(state := watch(dataset)):
        assert time.monotonic() < end, f"still {state}"
        time.sleep(0.02)
    return state


def kill(dataset: Dataset) -> None:
    os.kill(int(dataset.heartbeat.read_text()), signal.SIGKILL)


def below(dataset: Dataset) -> set[str]:
    return {path.relative_to(dataset.root).as_posix() for path in dataset.root.rglob("*") if path.is_file()}


# From an upload


def test_an_upload_becomes_a_data_set_that_is_scanned(workspace):
    upload = uploaded(workspace, {f"pets/{name}": data for name, data in pets().items()})
    dataset = datasets.adopt(workspace, upload)
    state = settled(dataset)
    assert (state.status, state.done, state.total) == ("ready", 6, 6)
    assert state.report is not None
    assert dict(state.report.counts) == {"cat": 3, "dog": 3}
    assert Path(state.report.root) == dataset.root
    assert dataset.name == "pets"
    assert not upload.folder.exists()


def test_several_class_folders_give_the_data_set_their_names(workspace):
    files = pets(1) | {"cow/1.jpg": jpeg(8), "elk/1.jpg": jpeg(9)}
    dataset = datasets.adopt(workspace, uploaded(workspace, files))
    settled(dataset)
    assert dataset.name == "cat, cow, dog, …"


def test_an_upload_is_adopted_once(workspace):
    upload = uploaded(workspace, pets())
    settled(datasets.adopt(workspace, upload))
    with pytest.raises(DataError) as caught:
        datasets.adopt(workspace, upload)
    assert caught.value.key == "upload.gone"
    assert len(datasets.list_datasets(workspace)) == 1


def test_an_upload_of_nothing_is_refused(workspace):
    with pytest.raises(DataError) as caught:
        datasets.adopt(workspace, intake.begin(workspace, purpose="dataset"))
    assert caught.value.key == "dataset.nothing_arrived"
    assert datasets.list_datasets(workspace) == ()


def test_a_scan_that_finds_nothing_names_the_data_set_and_not_our_folder(workspace):
    dataset = datasets.adopt(workspace, uploaded(workspace, {"pets/cat/a.jpg": b"not a photo"}))
    state = settled(dataset)
    assert state.status == "failed"
    assert "“pets”" in state.error.message
    assert str(workspace.root) not in str(state.error)


# From zips


def test_a_zip_alone_is_unpacked_and_gone(workspace):
    files = {**pets(), "notes.txt": b"hello", "../evil.jpg": jpeg(77)}
    dataset = datasets.adopt(workspace, uploaded(workspace, {"pets.zip": zipped(files)}))
    report = settled(dataset).report
    assert (dataset.name, dict(report.counts)) == ("pets", {"cat": 3, "dog": 3})
    assert below(dataset) == set(pets())
    assert {entry.path: entry.reason for entry in report.left_out} == {
        "notes.txt": "other_file",
        "../evil.jpg": "unsafe_name",
    }
    assert sorted(path.name for path in dataset.folder.iterdir() if path.is_dir()) == ["photos"]


def test_zips_beside_folders_become_folders_beside_them(workspace):
    wolves = {f"{number}.jpg": jpeg(500 + number) for number in range(2)}
    files = {**pets(), "wolf.zip": zipped({**wolves, "list.txt": b"two wolves"}), "dog.ZIP": zipped({"9.jpg": jpeg(9)})}
    dataset = datasets.adopt(workspace, uploaded(workspace, files))
    report = settled(dataset).report
    assert dict(report.counts) == {"cat": 3, "dog": 3, "dog (2)": 1, "wolf": 2}
    assert [(entry.path, entry.reason) for entry in report.left_out] == [("wolf/list.txt", "other_file")]
    assert not list(dataset.root.glob("*.zip"))


def test_a_broken_zip_is_refused_by_name_and_kept(workspace):
    dataset = datasets.adopt(workspace, uploaded(workspace, {"pets.zip": zipped(pets())[:-200]}))
    state = settled(dataset)
    assert state.status == "failed"
    assert "“pets.zip”" in state.error.message
    assert (dataset.folder / "zipped" / "pets.zip").exists()


def test_a_broken_zip_beside_good_photos_is_listed_and_the_rest_goes_on(workspace):
    dataset = datasets.adopt(workspace, uploaded(workspace, {**pets(), "wolf.zip": b"PK\x03\x04 and no more"}))
    report = settled(dataset).report
    assert len(report.photos) == 6
    assert [(entry.path, entry.reason) for entry in report.left_out] == [("wolf.zip", "archive_inside")]


@pytest.fixture
def at_rest(workspace) -> Dataset:
    """A data set with two class folders and a zip beside them, none of it scanned."""
    dataset = datasets.create(workspace, "pets", "upload")
    for name, data in {**pets(), "wolf.zip": zipped({"1.jpg": jpeg(501), "2.jpg": jpeg(502)})}.items():
        (dataset.root / name).parent.mkdir(parents=True, exist_ok=True)
        (dataset.root / name).write_bytes(data)
    return dataset


@pytest.mark.parametrize("call", range(1, 5))
@pytest.mark.parametrize("alone", [False, True])
def test_a_scan_killed_at_any_step_of_unpacking_loses_and_doubles_nothing(at_rest, monkeypatch, call, alone):
    """The steps that move something; a crash comes before the first of them, the second …."""
    if alone:
        shutil.rmtree(at_rest.root / "cat")
        shutil.rmtree(at_rest.root / "dog")
    calls = 0

    def crashing(step):
        def counted(*arguments, **options):
            nonlocal calls
            calls += 1
            if calls == call:
                raise KeyboardInterrupt
            return step(*arguments, **options)

        return counted

    with monkeypatch.context() as patch:
        patch.setattr(scanning.os, "rename", crashing(os.rename))
        patch.setattr(scanning, "write_atomically", crashing(scanning.write_atomically))
        patch.setattr(Path, "unlink", crashing(Path.unlink))
        with pytest.raises(KeyboardInterrupt):
            scanning._unpack_all(at_rest)
    scanning._unpack_all(at_rest)
    assert below(at_rest) == ({"1.jpg", "2.jpg"} if alone else {*pets(), "wolf/1.jpg", "wolf/2.jpg"})


# From a folder of the server


def test_a_folder_on_the_server_stays_where_it_is(workspace, tmp_path):
    folder = tmp_path / "allowed" / "my pets"
    for name, data in pets().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    dataset = datasets.from_server_folder(workspace, folder, (tmp_path / "allowed",))
    state = settled(dataset)
    assert (dataset.name, len(state.report.photos), Path(state.report.root)) == ("my pets", 6, folder)
    assert not (dataset.folder / "photos").exists()
    assert len(list(folder.rglob("*.jpg"))) == 6


def test_a_folder_outside_the_allowed_ones_is_refused_by_name_whether_it_exists_or_not(workspace, tmp_path):
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    (tmp_path / "secret").mkdir()
    (allowed / "link").symlink_to(tmp_path / "secret")
    for folder in (tmp_path / "secret", tmp_path / "nowhere", allowed / ".." / "secret", allowed / "link", Path("/")):
        with pytest.raises(DataError) as caught:
            datasets.from_server_folder(workspace, folder, (allowed,))
        assert caught.value.key == "dataset.folder_not_allowed"
        assert str(folder) in str(caught.value)
        assert "GRAFT_FOLDERS" in str(caught.value)
    assert datasets.list_datasets(workspace) == ()


@pytest.mark.parametrize(
    ("name", "key"),
    [("nowhere", "data.scan.missing"), ("file.txt", "data.scan.not_a_folder"), ("a\0b", "data.scan.missing")],
)
def test_a_folder_that_is_not_there_is_refused(workspace, tmp_path, name, key):
    (tmp_path / "file.txt").touch()
    with pytest.raises(DataError) as caught:
        datasets.from_server_folder(workspace, Path(str(tmp_path), name), (tmp_path,))
    assert caught.value.key == key


def test_without_allowed_folders_the_setting_is_named(workspace, tmp_path):
    with pytest.raises(DataError, match="GRAFT_FOLDERS"):
        datasets.from_server_folder(workspace, tmp_path, ())


def test_the_setting_lists_folders_as_path_does():
    assert datasets.allowed_folders({}) == ()
    assert datasets.allowed_folders({"GRAFT_FOLDERS": f"/a{os.pathsep}{os.pathsep}/b c"}) == (Path("/a"), Path("/b c"))


# The demo


@pytest.mark.slow
def test_the_demo_is_drawn_once_even_when_the_drawing_was_killed(workspace):
    dataset = datasets.make_demo(workspace)
    state = reached(dataset, lambda state: state.phase == "demo" and state.done > 5)
    assert state.total == 160
    kill(dataset)
    assert settled(dataset).status == "lost"
    again = datasets.make_demo(workspace)
    report = settled(again).report
    assert again.id == dataset.id
    assert dict(report.counts) == {"ginkgo": 40, "maple": 40, "oak": 40, "willow": 40}
    assert report.left_out == ()
    assert report.findings == ()
    assert datasets.make_demo(workspace).id == dataset.id


# Watching


def test_a_new_data_set_waits(workspace):
    assert watch(datasets.create(workspace, "pets", "upload")).status == "waiting"


def test_a_killed_scan_is_lost_at_once_and_can_be_started_again(at_rest):
    datasets.start_scan(at_rest)
    kill(at_rest)
    killed = time.monotonic()
    assert settled(at_rest).status == "lost"
    assert time.monotonic() - killed < processes.STALE_SECONDS
    assert datasets.start_scan(at_rest)
    assert settled(at_rest).status == "ready"


def test_a_scan_whose_server_died_too_is_lost_when_its_heart_stops(at_rest):
    at_rest.progress.write_text('{"phase": "scan", "done": 3, "total": 9}')
    at_rest.heartbeat.write_text("1")
    state = watch(at_rest)
    assert (state.status, state.phase, state.done, state.total) == ("scanning", "scan", 3, 9)
    long_ago = time.time() - 60
    os.utime(at_rest.heartbeat, (long_ago, long_ago))
    assert watch(at_rest).status == "lost"


def test_a_scan_that_was_only_suspended_is_not_taken_for_dead(at_rest):
    at_rest.heartbeat.write_text("1")
    os.utime(at_rest.heartbeat, (0, 0))
    with at_rest.scan_lock():
        assert watch(at_rest).status == "scanning"
    assert watch(at_rest).status == "waiting"


def test_a_process_that_fails_on_its_first_line_is_lost_with_its_last_words(at_rest):
    (at_rest.folder / "meta.json").write_text("{}")
    datasets.start_scan(at_rest)
    state = settled(at_rest)
    assert state.status == "lost"
    assert "DataError" in state.log


def test_of_two_starts_at_once_one_is_refused(at_rest):
    answers: list[bool] = []
    threads = [threading.Thread(target=lambda: answers.append(datasets.start_scan(at_rest))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [False, False, False, True]
    assert settled(at_rest).status == "ready"


def test_a_second_process_leaves_the_first_alone(at_rest):
    with at_rest.scan_lock():
        command = [sys.executable, "-m", "core.data.scanning", str(at_rest.folder)]
        answer = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    assert "Another process" in answer.stdout
    assert not at_rest.report.exists()


def test_a_finished_scan_leaves_no_heartbeat_and_can_be_repeated(at_rest):
    datasets.start_scan(at_rest)
    first = settled(at_rest).report
    assert not at_rest.heartbeat.exists()
    assert datasets.start_scan(at_rest)
    assert settled(at_rest).report == first


def test_a_disk_that_fails_is_told_in_words(at_rest, monkeypatch):
    def broken(*_arguments, **_options):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(scanning, "scan", broken)
    scanning.work(at_rest)
    state = watch(at_rest)
    assert state.status == "failed"
    assert "“pets” could not be read: Input/output error" in state.error.message


def test_damaged_files_are_survived(at_rest):
    datasets.start_scan(at_rest)
    settled(at_rest)
    whole = at_rest.report.read_bytes()
    at_rest.progress.write_text('{"phase": "sc')
    for torn in (whole[: len(whole) // 2], b"", b"[]", b'{"format": 1}'):
        at_rest.report.write_bytes(torn)
        assert watch(at_rest).status == "lost"
    (at_rest.folder / "summary.json").write_text("{")
    assert datasets.open_dataset(Workspace(at_rest.folder.parents[2]), at_rest.id).summary is None
    assert datasets.start_scan(at_rest)
    assert settled(at_rest).status == "ready"


def test_a_report_of_a_newer_graft_is_refused_with_words(at_rest):
    at_rest.report.write_text('{"format": 99}')
    state = watch(at_rest)
    assert (state.status, state.error.key) == ("failed", "data.newer")


def test_a_moved_workspace_finds_its_photos(workspace, tmp_path):
    dataset = datasets.adopt(workspace, uploaded(workspace, pets()))
    settled(dataset)
    shutil.move(workspace.root, tmp_path / "elsewhere")
    moved = datasets.open_dataset(Workspace(tmp_path / "elsewhere"), dataset.id)
    report = watch(moved).report
    assert all((Path(report.root) / photo.path).is_file() for photo in report.photos)


def test_progress_is_written_a_few_times_a_second(at_rest, monkeypatch):
    written: list[dict] = []
    monkeypatch.setattr(scanning, "write_atomically", lambda path, data: written.append(json.loads(data)))
    tell = scanning._teller(at_rest, "scan")
    started = time.monotonic()
    for done in range(1, 2001):
        tell(done, 2000)
    assert len(written) <= 2 + (time.monotonic() - started) / scanning.TELL_SECONDS
    assert written[-1] == {"phase": "scan", "done": 2000, "total": 2000}


# Finding


def test_the_list_is_newest_first_and_passes_over_what_is_not_a_data_set(workspace, monkeypatch):
    made = []
    for number in range(3):
        monkeypatch.setattr(datasets.time, "time", lambda number=number: 1000.0 + number)
        made.append(datasets.create(workspace, f"set {number}", "upload").id)
    (workspace.datasets / "not-one-of-ours").mkdir()
    (workspace.datasets / "20260101-000000-00000000").mkdir()  # half made
    (workspace.datasets / "20260101-000000-00000001").mkdir()
    (workspace.datasets / "20260101-000000-00000001" / "meta.json").write_text('{"name": 3')
    (workspace.datasets / "file").touch()
    assert [dataset.id for dataset in datasets.list_datasets(workspace)] == made[::-1]


def test_the_list_tells_how_much_is_in_a_data_set(workspace):
    settled(datasets.adopt(workspace, uploaded(workspace, {**pets(), "cat/notes.txt": b"hello"})))
    (dataset,) = datasets.list_datasets(workspace)
    expected = sum(len(data) for data in pets().values())
    assert (dataset.summary.photos, dataset.summary.classes, dataset.summary.left_out) == (6, 2, 1)
    assert dataset.summary.bytes == expected
    assert dataset.summary.fingerprint == read_report(dataset).fingerprint


@pytest.mark.parametrize("identifier", ["..", "", "20260101-000000-00000000", "../20260101-000000-00000000"])
def test_an_unknown_id_is_refused(workspace, identifier):
    with pytest.raises(CoreError):
        datasets.open_dataset(workspace, identifier)


def test_another_owners_data_set_is_not_there(workspace):
    dataset = datasets.create(workspace, "pets", "upload")
    with pytest.raises(DataError, match="isn't there"):
        datasets.open_dataset(Workspace(workspace.root, "someone-else"), dataset.id)


def test_a_data_set_can_be_renamed(workspace):
    dataset = datasets.create(workspace, "pets", "upload")
    datasets.rename(dataset, "  My\n pets\u202e ")
    assert datasets.open_dataset(workspace, dataset.id).name == "My pets"
    with pytest.raises(DataError, match="needs a name"):
        datasets.rename(dataset, " \n\u200b")


def test_names_in_any_script_are_kept_and_long_ones_cut(workspace):
    assert datasets.create(workspace, "我的猫 🐈 été", "upload").name == "我的猫 🐈 été"
    assert datasets.create(workspace, "x" * 500, "upload").name == "x" * 80


def test_a_report_comes_back_as_it_was(workspace):
    dataset = datasets.create(workspace, "pets", "upload")
    photo = Photo("cat/ü.jpg", "cat", None, "0" * 64, 40, 30, 1234)
    report = DatasetReport(str(dataset.root), (photo,), (), (), "classes")
    write_report(dataset, report)
    assert read_report(dataset) == report
    assert watch(dataset).report == report


def test_a_data_set_written_by_the_first_version_still_opens(workspace):
    """Frozen: what format 1 looks like on disk."""
    folder = workspace.datasets / "20261121-051543-d0bbc0de"
    folder.mkdir(parents=True)
    (folder / "meta.json").write_text('{"format":1,"name":"pets","kind":"server","created":5.0,"root":"/photos"}')
    (folder / "summary.json").write_text('{"photos":1,"classes":1,"left_out":0,"bytes":9,"fingerprint":"f"}')
    photo = '{"path":"cat/a.jpg","label":"cat","part":"val","sha256":"00","width":4,"height":3,"bytes":9}'
    left_out = '{"path":"b.txt","reason":"other_file","values":{}}'
    finding = '{"kind":"one_class","values":{"name":"cat"},"photos":["cat/a.jpg"]}'
    (folder / "report.json").write_text(
        f'{{"format":1,"fingerprint":"f","root":"/old","photos":[{photo}],"left_out":[{left_out}],'
        f'"findings":[{finding}],"layout":"parts"}}'
    )
    dataset = datasets.open_dataset(workspace, folder.name)
    report = watch(dataset).report
    assert (dataset.name, dataset.kind, dataset.created, dataset.root) == ("pets", "server", 5.0, Path("/photos"))
    assert report.photos == (Photo("cat/a.jpg", "cat", "val", "00", 4, 3, 9),)
    assert report.root == "/photos"
    assert "“cat”" in report.findings[0].text
