"""Ways in without a browser: classes that are named, filled, taken out and put back; the same photos, the same set."""

import csv
import io
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from core.data import datasets, intake, piles, scanning
from core.data.datasets import Dataset
from core.data.intake import Quota, Upload
from core.data.journal import forget
from core.data.scan import scan
from core.errors import CoreError, DataError
from core.workspace import Workspace
from tests.hostile import jpeg, write_photos

ROOMY = Quota(free_bytes=0)
COUNTS = {"cat": 3, "dog": 2}


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setattr(datasets, "start_scan", lambda dataset: True)  # scanned below, in this process
    return Workspace(tmp_path / "workspace")


@pytest.fixture
def upload(workspace: Workspace) -> Upload:
    return intake.begin(workspace, purpose="classes")


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    return write_photos(tmp_path / "pets", COUNTS)


def bring(upload: Upload, label: str, count: int, start: int = 0) -> None:
    for number in range(start, start + count):
        intake.receive(upload, f"{label}/{number}.jpg", jpeg(number), quota=ROOMY)


def looked_at(dataset: Dataset) -> Dataset:
    scanning.work(dataset)
    state = datasets.watch(dataset)
    assert state.status == "ready", state.error or state.log
    return dataset


def fingerprint(dataset: Dataset) -> str:
    report = datasets.watch(looked_at(dataset)).report
    assert report is not None
    return report.fingerprint


# Classes


def test_a_class_that_was_named_is_there_before_its_first_photo(upload: Upload) -> None:
    assert piles.add_class(upload, "  big \n cat ") == "big cat"
    bring(upload, "dog", 2)
    assert piles.classes(upload) == {"big cat": 0, "dog": 2}
    assert piles.add_class(upload, "DOG") == "dog"
    assert piles.without_empty(upload) == ("dog",)
    assert [path.name for path in upload.photos.iterdir()] == ["dog"]


@pytest.mark.parametrize(
    ("typed", "key"),
    [
        ("", "no_name"), (" \0\u202e ", "no_name"), ("x" * 81, "long_name"), ("a/b", "bad_name"), ("a\\b", "bad_name"),
        ("..", "bad_name"), ("CON", "bad_name"), ("what?", "bad_name"), ("end.", "bad_name"), ("<b>", "bad_name"),
        (".hidden", "not_a_class"), ("to label", "not_a_class"), ("Unsorted", "not_a_class"),
        ("__MACOSX", "not_a_class"), ("\u200d", "no_name"),
    ],
)  # fmt: skip
def test_a_name_that_would_be_no_class_is_refused(upload: Upload, typed: str, key: str) -> None:
    with pytest.raises(DataError) as caught:
        piles.add_class(upload, typed)
    assert caught.value.key == f"ways.{key}"
    assert caught.value.message
    assert caught.value.hint
    assert piles.classes(upload) == {}


@pytest.mark.parametrize("typed", ["train", "猫", "🐈‍⬛", "O'Hara & sons", "می‌خواهم", "100 %", "a" * 80])
def test_any_other_name_is_a_class(upload: Upload, typed: str) -> None:
    name = piles.add_class(upload, typed)
    assert name == typed
    piles.add_class(upload, "other")
    for number, label in enumerate((name, "other")):
        intake.receive(upload, f"{label}/a.jpg", jpeg(number), quota=ROOMY)
    piles.without_empty(upload)
    assert set(scan(upload.photos).classes) == {name, "other"}


def test_classes_that_together_would_be_parts_are_refused(upload: Upload) -> None:
    bring(upload, piles.add_class(upload, "train"), 2)
    bring(upload, piles.add_class(upload, "test"), 2)
    with pytest.raises(DataError) as caught:
        piles.without_empty(upload)
    assert caught.value.key == "ways.not_a_class"
    assert piles.classes(upload) == {"test": 2, "train": 2}


def test_a_class_that_was_taken_out_is_as_if_never_sent_and_comes_back_whole(upload: Upload) -> None:
    bring(upload, "cat", 3)
    bring(upload, "dog", 2, start=10)
    piles.remove_class(upload, "cat")
    assert piles.classes(upload) == {"dog": 2}
    assert intake.summary(upload).files == intake.count_on_disk(upload) == 2
    # The first photo is sent again, and another one under the name of the second.
    assert not intake.receive(upload, "cat/0.jpg", jpeg(0), quota=ROOMY).again
    intake.receive(upload, "cat/1.jpg", jpeg(99), quota=ROOMY)
    ((identifier, told),) = piles.removed_classes(upload).items()
    assert told == ("cat", 3)
    piles.bring_back_class(upload, identifier)
    assert piles.removed_classes(upload) == {}
    contents = {path.read_bytes() for path in (upload.photos / "cat").iterdir()}
    assert contents == {jpeg(0), jpeg(1), jpeg(2), jpeg(99)}
    assert piles.classes(upload) == {"cat": 4, "dog": 2}
    forget(upload.folder)  # another server reads the same from the disk
    assert piles.classes(upload) == {"cat": 4, "dog": 2}
    assert intake.summary(upload).files == 6


def test_an_empty_class_that_is_taken_out_leaves_nothing_to_bring_back(upload: Upload) -> None:
    piles.add_class(upload, "cat")
    piles.remove_class(upload, "cat")
    assert (piles.classes(upload), piles.removed_classes(upload)) == ({}, {})


@pytest.mark.parametrize("name", ["cat", "../photos", "..", "/etc", ""])
def test_only_a_class_that_is_there_can_be_taken_out(upload: Upload, name: str) -> None:
    bring(upload, "dog", 1)
    with pytest.raises(DataError):
        piles.remove_class(upload, name)
    with pytest.raises(CoreError):
        piles.bring_back_class(upload, name)
    assert piles.classes(upload) == {"dog": 1}


# The same photos by any way


def by_folder(workspace: Workspace, pets: Path) -> Dataset:
    upload = intake.begin(workspace, purpose="dataset")
    for path in sorted(pets.rglob("*.jpg")):
        intake.receive(upload, f"pets/{path.relative_to(pets).as_posix()}", path.read_bytes(), quota=ROOMY)
    return datasets.adopt(workspace, upload)


def zipped(workspace: Workspace, members: dict[str, bytes]) -> Dataset:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        for name, data in members.items():
            packed.writestr(name, data)
    upload = intake.begin(workspace, purpose="dataset")
    intake.receive(upload, "pets.zip", file.getvalue(), quota=ROOMY)
    return datasets.adopt(workspace, upload)


def by_zip(workspace: Workspace, pets: Path) -> Dataset:
    return zipped(workspace, {path.relative_to(pets).as_posix(): path.read_bytes() for path in pets.rglob("*.jpg")})


def loose(pets: Path) -> dict[str, bytes]:
    """The photos beside a table, under names that say nothing."""
    paths = sorted(pets.rglob("*.jpg"))
    rows = [["photo", "kind"], *([f"{number}.jpg", path.parent.name] for number, path in enumerate(paths))]
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return {"table.csv": text.getvalue().encode(), **{f"{n}.jpg": path.read_bytes() for n, path in enumerate(paths)}}


def by_table(workspace: Workspace, pets: Path) -> Dataset:
    upload = intake.begin(workspace, purpose="dataset")
    for name, data in loose(pets).items():
        intake.receive(upload, name, data, quota=ROOMY)
    return datasets.adopt(workspace, upload)


def by_zipped_table(workspace: Workspace, pets: Path) -> Dataset:
    return zipped(workspace, loose(pets))


def by_class(workspace: Workspace, pets: Path) -> Dataset:
    """Chosen, dropped, pasted and recorded photos all come like this."""
    upload = intake.begin(workspace, purpose="classes")
    for path in sorted(pets.rglob("*.jpg")):
        label = piles.add_class(upload, path.parent.name)
        intake.receive(upload, f"{label}/2026-11-21 13.25.0{path.name}", path.read_bytes(), quota=ROOMY)
    piles.without_empty(upload)
    return datasets.adopt(workspace, upload)


def by_adding(workspace: Workspace, pets: Path) -> Dataset:
    """One class first, the other later."""
    for place, label in enumerate(COUNTS):
        upload = intake.begin(workspace, purpose="classes")
        for path in sorted((pets / label).iterdir()):
            intake.receive(upload, f"{label}/{path.name}", path.read_bytes(), quota=ROOMY)
        if place == 0:
            made = looked_at(datasets.adopt(workspace, upload))
        else:
            datasets.add(made, upload)
    return made


def by_labelling(workspace: Workspace, pets: Path) -> Dataset:
    """Loose photos, labelled by the table afterwards, in one step."""
    from core.data import matching, mending

    upload = intake.begin(workspace, purpose="dataset")
    for name, data in loose(pets).items():
        folder = "" if name.endswith(".csv") else "a/" if name < "2" else "b/"
        intake.receive(upload, f"{folder}{name}", data, quota=ROOMY)
    made = looked_at(datasets.adopt(workspace, upload))
    report = datasets.watch(made).report
    assert report is not None
    assert report.classes == ("a", "b"), "two folders name classes: the table is only offered"
    paths = [photo.path for photo in report.photos]
    read = matching.best(made.root, ("table.csv",), paths)
    assert read is not None
    mending.use_table(made, "table.csv", read.applied.labels, read.applied.parts)
    assert mending.history(made).version == 1
    return made


def by_server(workspace: Workspace, pets: Path) -> Dataset:
    return datasets.from_server_folder(workspace, pets, (pets.parent,))


@pytest.mark.parametrize(
    "way", [by_folder, by_zip, by_table, by_zipped_table, by_class, by_adding, by_labelling, by_server]
)
def test_the_same_photos_by_any_way_have_the_same_fingerprint(
    workspace: Workspace, pets: Path, way: Callable[[Workspace, Path], Dataset]
) -> None:
    assert fingerprint(way(workspace, pets)) == scan(pets).fingerprint


def test_a_set_of_loose_photos_waits_to_be_labelled(workspace: Workspace, pets: Path) -> None:
    upload = intake.begin(workspace, purpose="dataset")
    for path in (pets / "cat").iterdir():
        intake.receive(upload, path.name, path.read_bytes(), quota=ROOMY)
    report = datasets.watch(looked_at(datasets.adopt(workspace, upload))).report
    assert report is not None
    assert (len(report.photos), len(report.unlabelled)) == (0, 3)


def test_other_columns_of_a_table_are_kept_for_groups(workspace: Workspace, pets: Path) -> None:
    from core.data.store import columns_of

    members = loose(pets)
    lines = members["table.csv"].decode().splitlines()
    members["table.csv"] = "\n".join(
        [f"{lines[0]},plant", *(f"{line},p{n // 2}" for n, line in enumerate(lines[1:]))]
    ).encode()
    made = looked_at(zipped(workspace, members))
    assert columns_of(made) == {"plant": {"0.jpg": "p0", "1.jpg": "p0", "2.jpg": "p1", "3.jpg": "p1", "4.jpg": "p2"}}


# Killed in the middle

KILLED = """
import os, signal, sys
from pathlib import Path
from core.data import intake, piles
from core.data.intake import Arrival, Quota
from core.workspace import Workspace
from tests.hostile import jpeg
upload = intake.open_upload(Workspace(Path(sys.argv[1])), sys.argv[2])
label = piles.add_class(upload, "cat")
for number in range(3):
    intake.receive(upload, f"{label}/{number}.jpg", jpeg(number), quota=Quota(free_bytes=0))
half = Arrival(upload, f"{label}/3.jpg", quota=Quota(free_bytes=0), size=len(jpeg(3)))
half.write(jpeg(3)[:500])
if sys.argv[3] == "removing":
    rename = os.rename
    def cut(source, target):
        if sys.argv[4] == "after":
            rename(source, target)
        os.kill(os.getpid(), signal.SIGKILL)
    os.rename = cut
    piles.remove_class(upload, label)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(("doing", "when"), [("receiving", ""), ("removing", "before"), ("removing", "after")])
def test_a_server_killed_in_the_middle_leaves_classes_that_open(
    workspace: Workspace, upload: Upload, doing: str, when: str
) -> None:
    command = [sys.executable, "-c", KILLED, str(workspace.root), upload.id, doing, when]
    killed = subprocess.run(command, cwd=Path(__file__).parent.parent.parent, check=False, timeout=60)
    assert killed.returncode < 0
    for identifier in piles.removed_classes(upload):
        assert when == "after"
        piles.bring_back_class(upload, identifier)
    assert piles.classes(upload) == {"cat": 3}
    bring(upload, "dog", 2, start=10)
    intake.receive(upload, "cat/3.jpg", jpeg(3), quota=ROOMY)  # what was half there is sent again
    piles.without_empty(upload)
    report = datasets.watch(looked_at(datasets.adopt(workspace, upload))).report
    assert report is not None
    assert (report.counts, report.left_out) == ({"cat": 4, "dog": 2}, ())


def test_nothing_that_was_removed_stays_once_the_photos_are_used(workspace: Workspace, upload: Upload) -> None:
    bring(upload, "cat", 1)
    bring(upload, "dog", 1, start=5)
    bring(upload, "fox", 1, start=9)
    piles.remove_class(upload, "fox")
    made = looked_at(datasets.adopt(workspace, upload))
    report = datasets.watch(made).report
    assert report is not None
    assert report.classes == ("cat", "dog")
    assert not upload.folder.exists()
    shutil.rmtree(made.folder)
    assert os.listdir(workspace.uploads) == []
