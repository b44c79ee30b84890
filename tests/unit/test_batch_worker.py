"""Many uploaded photos in a process of their own: stopped, killed, torn and added to, no photo is looked at twice."""

import io
import json
import os
import signal
import time
import zipfile
from pathlib import Path

import pytest

from core.data import intake
from core.inference import batch_worker
from core.inference.batch_folder import BatchFolder, located
from core.inference.sorted_zip import sorted_zip
from core.runs.store import RunDirectory
from core.workspace import Workspace
from tests.colours import Colours, paint, zipped

RUN = "20261121-051543-d0bbc0de"


@pytest.fixture
def folder(tmp_path: Path) -> BatchFolder:
    upload = intake.begin(Workspace(tmp_path / "workspace", "me"), purpose="many")
    run = tmp_path / RUN
    run.mkdir()
    (run / "model.safetensors").write_bytes(b"a model")
    for name, colour in (("a/1.png", "red"), ("a/2.png", "lime"), ("b/1.png", "blue")):
        paint(upload.photos / name, colour)
    zipped(upload.photos / "more.zip", {"c/1.png": "red", "2.png": "blue"})
    return BatchFolder(upload.folder, RunDirectory(run))


ANSWERS = {"a/1.png": "red", "a/2.png": "green", "b/1.png": "blue", "more.zip/2.png": "blue", "more.zip/c/1.png": "red"}


def work(folder: BatchFolder) -> Colours:
    """Answer as the process would; returns the model, which knows what it was shown."""
    model = Colours(ahead=0)
    batch_worker.work(folder, lambda run: model)
    return model


def told(folder: BatchFolder) -> dict[str, str | None]:
    answers = list(folder.read())
    assert len({answer.path for answer in answers}) == len(answers)
    return {answer.path: answer.label for answer in answers}


def test_every_photo_and_every_photo_in_a_zip_gets_an_answer(folder):
    assert batch_worker.watch(folder).status == "waiting"
    work(folder)
    assert told(folder) == ANSWERS
    known = batch_worker.watch(folder)
    assert (known.status, known.done, known.total) == ("ready", 5, 5)
    assert known.counts == {"red": 2, "blue": 2, "green": 1}


def test_one_that_was_stopped_goes_on_with_the_rest(folder, monkeypatch):
    real, looked = Colours._look, []

    def stop_at_the_second(model: Colours, photo: Path) -> object:
        looked.append(photo)
        if len(looked) == 2:
            batch_worker.stop(folder)
        return real(model, photo)

    monkeypatch.setattr(Colours, "_look", stop_at_the_second)
    work(folder)
    known = batch_worker.watch(folder)
    assert (known.status, known.done, known.total, len(told(folder))) == ("stopped", 2, 5, 2)
    folder.stop.unlink()
    assert len(work(folder).opened) == 3
    assert told(folder) == ANSWERS
    assert batch_worker.watch(folder).counts == {"red": 2, "blue": 2, "green": 1}


@pytest.mark.parametrize("torn", [1, 20, 60])
def test_a_torn_last_line_is_looked_at_again_and_no_other(folder, torn):
    work(folder)
    data = folder.answers.read_bytes()
    folder.answers.write_bytes(data[:-torn])
    assert len(told(folder)) == 4
    assert len(work(folder).opened) == 1
    assert told(folder) == ANSWERS


def test_photos_that_come_later_are_looked_at_without_the_others(folder):
    work(folder)
    paint(folder.photos / "late.png", "lime")
    assert batch_worker.watch(folder).status == "waiting"
    assert [path.name for path in work(folder).opened] == ["late.png"]
    assert told(folder) == {**ANSWERS, "late.png": "green"}


def test_another_model_looks_at_everything_again(folder):
    work(folder)
    folder.run.model.write_bytes(b"another model")
    assert batch_worker.watch(folder).status == "waiting"
    assert told(folder) == {}
    assert len(work(folder).opened) == 5


def test_a_zip_that_can_t_be_opened_and_a_broken_photo_have_a_reason(folder):
    (folder.photos / "bad.zip").write_text("no zip")
    (folder.photos / "bad.jpg").write_text("no photo")
    work(folder)
    reasons = {answer.path: answer.error for answer in folder.read() if answer.label is None}
    assert set(reasons) == {"bad.zip", "bad.jpg"}
    assert all(reasons.values())
    assert batch_worker.watch(folder).unreadable == 2


def test_our_own_mistake_is_not_taken_for_the_end(folder):
    def broken(run: RunDirectory) -> Colours:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        batch_worker.work(folder, broken)
    assert batch_worker.watch(folder).status == "lost"


def test_a_full_disk_is_said_in_words(folder):
    def full(run: RunDirectory) -> Colours:
        raise OSError(28, "No space left on device")

    batch_worker.work(folder, full)
    known = batch_worker.watch(folder)
    assert known.status == "failed"
    assert "No space left on device" in known.error.message


def test_sorted_into_folders_each_photo_lies_below_its_answer_unchanged(folder):
    paint(folder.photos / "d" / "1.png", "#fe0000")
    work(folder)
    data = b"".join(sorted_zip(located(folder, folder.read())))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        assert sorted(names) == sorted(
            ["red/1.png", "red/1 (2).png", "red/1 (3).png", "green/2.png", "blue/1.png", "blue/2.png"]
        )
        assert archive.read("green/2.png") == (folder.photos / "a/2.png").read_bytes()
    assert (folder.photos / "a/1.png").exists()


@pytest.mark.parametrize("label", ["../../etc", "/", "..", "a/b", "C:\\x", "con", "a\0b", "=1"])
def test_no_class_leads_out_of_the_zip(tmp_path, label):
    from core.inference.answers_file import PhotoAnswer

    photo = paint(tmp_path / "1.png", "red")
    data = b"".join(sorted_zip([(PhotoAnswer("x/../1.png", ((label, 1.0),)), photo)]))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        [name] = archive.namelist()
    assert name.count("/") == 1
    assert ".." not in name.split("/")
    assert not name.startswith("/")


def test_photos_the_model_does_not_know_spoil_no_class(folder):
    from core.inference.answers_file import PhotoAnswer

    photo = folder.photos / "a/1.png"
    answers = [PhotoAnswer("1.png", (("red", 0.9),)), PhotoAnswer("2.png", (("red", 0.9),), unknown=True)]
    data = b"".join(sorted_zip((answer, photo) for answer in answers))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.namelist() == ["red/1.png", "not known/2.png"]


def test_a_class_that_is_called_like_their_folder_keeps_apart_from_them(folder):
    from core.inference.answers_file import PhotoAnswer

    photo = folder.photos / "a/1.png"
    answers = [PhotoAnswer("1.png", (("Not Known", 0.9),)), PhotoAnswer("1.png", (("red", 0.9),), unknown=True)]
    data = b"".join(sorted_zip((answer, photo) for answer in answers))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.namelist() == ["Not Known (2)/1.png", "not known/1.png"]


def test_a_zip_is_made_a_photo_at_a_time(tmp_path):
    """What is handed out at once is never more than one photo and what surrounds it."""
    from core.inference.answers_file import PhotoAnswer

    photo = tmp_path / "1.jpg"
    photo.write_bytes(os.urandom(100_000))
    pieces = list(sorted_zip((PhotoAnswer(f"{n}.jpg", (("x", 1.0),)), photo) for n in range(30)))
    assert max(map(len, pieces[:-1])) < 101_000
    assert len(pieces) == 31
    with zipfile.ZipFile(io.BytesIO(b"".join(pieces))) as archive:
        assert archive.testzip() is None
        assert len(archive.namelist()) == 30


def wait_for(folder: BatchFolder, *statuses: str) -> batch_worker.Batch:
    ends = time.monotonic() + 120
    while (known := batch_worker.watch(folder)).status not in statuses:
        assert time.monotonic() < ends, known
        time.sleep(0.1)
    return known


@pytest.mark.slow
def test_a_killed_process_is_missed_at_once_and_the_next_one_goes_on(folder):
    """With a real network, in a process of its own."""
    from core.inference.predictor import ModelCard, write_model
    from core.models.build import build
    from core.models.head import HeadSpec

    network = build("efficientnet_lite0", 3, weights=None)
    card = ModelCard("efficientnet_lite0", ("x", "y", "z"), network.backbone.preprocessing, None, HeadSpec())
    write_model(folder.run, network, card)
    for number in range(400):
        paint(folder.photos / "many" / f"{number:03}.png", "red")
    assert batch_worker.start(folder)
    assert not batch_worker.start(folder)
    while not 32 <= sum(1 for _ in folder.read()) < 405:
        time.sleep(0.05)
    os.kill(int(folder.heartbeat.read_text()), signal.SIGKILL)
    before = wait_for(folder, "lost", "ready")
    assert before.status == "lost"
    lines = folder.answers.read_bytes()
    assert batch_worker.start(folder)
    after = wait_for(folder, "ready", "lost", "failed")
    assert (after.status, after.done, len(told(folder))) == ("ready", 405, 405)
    kept = lines[: lines.rindex(b"\n") + 1]
    assert folder.answers.read_bytes().startswith(kept)
    assert json.loads(lines.splitlines()[0])["format"] == 1
