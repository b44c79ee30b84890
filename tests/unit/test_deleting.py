"""Photos lie on the disk once, and deleting a data set frees what no other one holds."""

import os
from pathlib import Path

import pytest

from core.config import TrainConfig
from core.data import datasets, deleting, once, scanning
from core.data.scan import scan
from core.data.split import split
from core.data.store import read_report
from core.data.thumbnails import thumbnail
from core.errors import DataError
from core.runs import store, uses
from core.workspace import Workspace
from tests.photos import make_folder


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    return Workspace(tmp_path)


def made(workspace, *, seed: int = 0, per_class: int = 3):
    dataset = datasets.create(workspace, f"shapes {seed}", "upload")
    make_folder(dataset.root, per_class=per_class, seed=seed)
    scanning.work(dataset)
    return dataset


def bytes_on_disk(folder: Path) -> int:
    """As ``du`` counts: a file with several names once."""
    files = [path.stat() for path in folder.rglob("*") if path.is_file()]
    return sum({facts.st_ino: facts.st_size for facts in files}.values())


def test_the_same_photos_in_two_data_sets_take_their_space_once(workspace):
    one = made(workspace)
    alone = bytes_on_disk(workspace.home)
    two = made(workspace)
    size = sum(photo.bytes for photo in read_report(one).photos)
    assert bytes_on_disk(workspace.home) < alone + size / 2
    for photo in read_report(one).photos:
        assert os.path.samefile(one.root / photo.path, two.root / photo.path)


def test_deleting_one_of_two_keeps_what_the_other_holds(workspace):
    one, two = made(workspace), made(workspace)
    before = {path.name: path.read_bytes() for path in two.root.rglob("*.jpg")}
    deleting.delete(workspace, one)
    assert not one.folder.exists()
    assert {path.name: path.read_bytes() for path in two.root.rglob("*.jpg")} == before
    assert read_report(two).fingerprint
    assert [dataset.id for dataset in datasets.list_datasets(workspace)] == [two.id]


def test_deleting_the_last_one_frees_its_space_and_its_thumbnails(workspace):
    dataset = made(workspace)
    photo = read_report(dataset).photos[0]
    thumbnail(dataset.root, photo.path, photo.sha256, workspace.cache / "thumbnails")
    deleting.delete(workspace, dataset)
    assert bytes_on_disk(workspace.home) == 0


def test_what_a_crash_left_of_a_deletion_goes_with_the_next(workspace):
    half_gone = made(workspace, seed=1)
    half_gone.folder.rename(half_gone.folder.with_name(f".deleting-{half_gone.id}"))
    assert datasets.list_datasets(workspace) == ()
    deleting.delete(workspace, made(workspace, seed=2))
    assert list(workspace.datasets.iterdir()) == []


def test_photos_in_a_folder_on_the_server_stay_there(workspace, tmp_path):
    folder = make_folder(tmp_path / "elsewhere", per_class=2)
    dataset = datasets.create(workspace, "elsewhere", "server", folder)
    scanning.work(dataset)
    deleting.delete(workspace, dataset)
    assert len(list(folder.rglob("*.jpg"))) == 6
    assert deleting.size_bytes(dataset) == 0


def test_a_data_set_that_is_being_scanned_is_not_deleted(workspace):
    dataset = made(workspace)
    with dataset.scan_lock():
        dataset.heartbeat.touch()
        with pytest.raises(DataError) as told:
            deleting.delete(workspace, dataset)
    assert told.value.key == "dataset.in_use"
    assert dataset.root.exists()


def test_who_depends_on_a_data_set_is_known(workspace):
    one, two = made(workspace), made(workspace, seed=5)
    divided = split(read_report(one))
    run = store.create(
        workspace.runs, TrainConfig(), divided, title="shapes", dataset={"id": one.id, "fingerprint": ""}
    )
    assert [found.id for found, _ in uses.dependants(workspace.runs, one)] == [run.id]
    assert uses.dependants(workspace.runs, two) == ()


def test_a_file_changed_under_its_hash_is_trusted_no_more(workspace):
    one = made(workspace)
    photo = read_report(one).photos[0]
    kept = once.place(workspace.photos, photo.sha256)
    kept.unlink()
    kept.write_bytes(b"something else")
    two = made(workspace)
    assert (two.root / photo.path).read_bytes() == (one.root / photo.path).read_bytes()


def test_where_there_are_no_hard_links_copies_stay_copies(workspace, monkeypatch):
    def no_links(*arguments, **named):
        raise PermissionError("no hard links here")

    monkeypatch.setattr(os, "link", no_links)
    one, two = made(workspace), made(workspace)
    assert read_report(one).fingerprint == read_report(two).fingerprint
    assert scan(two.root).photos == read_report(two).photos
