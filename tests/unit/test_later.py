"""A run scored on other photos: classes by name, photos it knows told apart, stopped, torn, killed and gone on with."""

import json
import os
import signal
import time
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from core.config import TrainConfig
from core.data import datasets, mending, scanning
from core.data.datasets import Dataset
from core.data.report import Sample, Split
from core.data.store import read_report
from core.errors import DataError, RunError
from core.inference import later, later_worker
from core.inference.later import TestFolder, match
from core.runs import deleting, store
from core.runs.store import RunDirectory
from core.workspace import Workspace
from tests.blobs import report_of
from tests.colours import CLASSES, Colours, paint

HUES = {"red": "red", "green": "lime", "blue": "blue"}


class Nobody:
    """An executor whose workers have all ended."""

    def start(self, run: RunDirectory) -> None:
        raise AssertionError

    def died(self, run: RunDirectory) -> bool:
        return True


class Card:
    classes = CLASSES


class Seer(Colours):
    """The model of the run below: it knows colours."""

    card = Card()
    detector = None


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace", "me")


@pytest.fixture
def photos(workspace: Workspace) -> Dataset:
    """Three photos of each of three colours, one of them in the wrong folder, and two of a class nobody knows."""
    made = datasets.create(workspace, "colours", "upload")
    for label, hue in HUES.items():
        for number in range(3):
            _shade(made.root / label / f"{number}.png", hue, number)
    _shade(made.root / "red" / "wrong.png", "blue", 9)
    for number in range(2):
        _shade(made.root / "yellow" / f"{number}.png", "yellow", number)
    _shade(made.root / "to label" / "0.png", "red", 7)
    scanning.work(made)
    return datasets.open_dataset(workspace, made.id)


def _shade(path: Path, hue: str, number: int) -> None:
    """Photos of one colour that differ in their bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.new("RGB", (16, 16), hue)
    picture.putpixel((0, 0), (number, number, number))
    picture.save(path)


@pytest.fixture
def run(workspace: Workspace, photos: Dataset) -> RunDirectory:
    """It has learnt from one of the photos, and another decided when it was done."""
    known = {photo.path: photo.sha256 for photo in read_report(photos).photos}
    divided = Split(
        CLASSES, (Sample("x.png", 0, known["red/0.png"]),), (Sample("y.png", 1, known["green/1.png"]),), (), "/x"
    )
    made = store.create(workspace.runs, TrainConfig(), divided, title="t", dataset={})
    made.model.write_bytes(b"a model")
    made.model_card.write_text(json.dumps({"classes": CLASSES}))
    return made


def work(folder: TestFolder, photos: Dataset) -> Seer:
    model = Seer(ahead=0)
    later_worker.work(folder, photos, lambda run: model)
    return model


def test_photos_of_known_classes_are_scored_and_the_others_are_told(run: RunDirectory, photos: Dataset) -> None:
    folder = later.begin(run, photos)
    assert later.known_of(folder).status == "waiting"
    work(folder, photos)
    assert later.known_of(folder).status == "ready"
    test = later.read(folder)
    assert test is not None
    assert (test.results.correct, test.results.total) == (9, 10)
    assert [answer.path for answer in test.results.answers if not answer.right] == ["red/wrong.png"]
    assert (test.unknown, test.unlabelled) == ({"yellow": 2}, 1)
    assert set(test.seen) == {"red/0.png", "green/1.png"}
    assert (test.name, test.dataset, test.root) == ("colours", photos.id, str(photos.root))
    assert [one.id for one in later.tests(run)] == [folder.id]


def test_what_the_run_has_seen_counts_only_when_asked_for(run: RunDirectory, photos: Dataset) -> None:
    folder = later.begin(run, photos)
    work(folder, photos)
    test = later.read(folder)
    assert test is not None
    assert (test.score().correct, test.score().total) == (7, 8)
    assert (test.score(with_seen=True).correct, test.score(with_seen=True).total) == (9, 10)
    plain = [answer for answer in test.results.answers if answer.path not in ("red/0.png", "green/1.png")]
    assert list(test.score().answers) == plain


def test_one_that_was_stopped_goes_on_with_the_rest(
    run: RunDirectory, photos: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(later_worker, "LOT", 4)
    folder = later.begin(run, photos)
    folder.stop.touch()
    work(folder, photos)
    known = later.known_of(folder)
    assert (known.status, known.told["done"], known.told["total"]) == ("stopped", 4, 10)
    assert later.read(folder) is None
    folder.stop.unlink()
    assert len(work(folder, photos).opened) == 6
    test = later.read(folder)
    assert test is not None
    assert (test.results.correct, test.results.total) == (9, 10)


@pytest.mark.parametrize("torn", [1, 30, 80])
def test_a_torn_last_line_is_looked_at_again_and_no_other(run: RunDirectory, photos: Dataset, torn: int) -> None:
    folder = later.begin(run, photos)
    work(folder, photos)
    before = later.read(folder)
    folder.result.unlink()
    folder.answers.write_bytes(folder.answers.read_bytes()[:-torn])
    assert len(work(folder, photos).opened) == 1
    assert later.read(folder) == before


def test_another_model_or_mended_labels_are_tested_from_the_beginning(run: RunDirectory, photos: Dataset) -> None:
    folder = later.begin(run, photos)
    work(folder, photos)
    run.model.write_bytes(b"another model")
    assert later.known_of(folder).status == "waiting"
    old = later.read(folder)
    assert old is not None
    assert old.results.total == 10  # of the model before: it stays until it is tested again
    assert len(work(folder, photos).opened) == 10
    mending.move(photos, ["red/wrong.png"], "blue")
    assert len(work(folder, photos).opened) == 10
    test = later.read(folder)
    assert test is not None
    assert (test.results.correct, test.results.total) == (10, 10)


def test_a_photo_that_can_t_be_read_any_more_is_listed_apart(run: RunDirectory, photos: Dataset) -> None:
    (photos.root / "blue" / "1.png").write_text("no photo")
    folder = later.begin(run, photos)
    work(folder, photos)
    test = later.read(folder)
    assert test is not None
    assert (test.results.total, test.results.unreadable) == (9, ("blue/1.png",))


def test_classes_of_other_names_only_are_refused_in_words(run: RunDirectory, workspace: Workspace) -> None:
    other = datasets.create(workspace, "others", "upload")
    paint(other.root / "cat" / "1.png", "red")
    paint(other.root / "dog" / "1.png", "blue")
    scanning.work(other)
    folder = later.begin(run, other)
    work(folder, other)
    known = later.known_of(folder)
    assert known.status == "failed"
    assert known.error is not None
    assert "“cat”, “dog”" in known.error.message
    assert "“red”" in known.error.hint


def test_a_scan_that_failed_is_said_as_the_scan_says_it(run: RunDirectory, workspace: Workspace) -> None:
    empty = datasets.create(workspace, "empty", "upload")
    empty.root.mkdir()
    scanning.work(empty)
    folder = later.begin(run, empty)
    work(folder, empty)
    known = later.known_of(folder)
    assert known.status == "failed"
    assert known.error is not None
    assert known.error.message


def test_a_name_in_the_other_unicode_form_is_the_same_class(run: RunDirectory) -> None:
    composed, decomposed = unicodedata.normalize("NFC", "café"), unicodedata.normalize("NFD", "café")
    report = report_of([decomposed, "tea"])
    matched = match(report, ("tea", composed), run)
    assert [sample.target for sample in matched.samples] == [1, 0]
    with pytest.raises(DataError):
        match(replace(report, photos=()), ("tea",), run)


def test_a_test_is_deleted_without_its_photos_and_never_while_it_works(run: RunDirectory, photos: Dataset) -> None:
    folder = later.begin(run, photos)
    work(folder, photos)
    lock = folder.lock()
    folder.heartbeat.touch()
    with lock:
        with pytest.raises(RunError):
            later.delete(folder)
        with pytest.raises(RunError):
            deleting.delete(run, Nobody())
    folder.heartbeat.unlink()
    later.delete(folder)
    assert later.tests(run) == ()
    assert later.read(folder) is None
    assert (photos.root / "red" / "0.png").exists()


def test_a_damaged_result_names_its_file(run: RunDirectory, photos: Dataset) -> None:
    folder = later.begin(run, photos)
    folder.result.write_text("{")
    with pytest.raises(RunError) as caught:
        later.read(folder)
    assert folder.result.name in caught.value.message


@pytest.mark.slow
def test_a_killed_process_is_missed_and_the_next_one_goes_on(
    run: RunDirectory, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a real network, in a process of its own."""
    from core.inference.predictor import ModelCard, write_model
    from core.models.build import build
    from core.models.head import HeadSpec

    network = build("efficientnet_lite0", 3, weights=None)
    write_model(
        run, network, ModelCard("efficientnet_lite0", CLASSES, network.backbone.preprocessing, None, HeadSpec())
    )
    many = datasets.create(workspace, "many", "upload")
    for number in range(300):
        _shade(many.root / "red" / f"{number}.png", "red", number % 256)
        if number < 10:
            _shade(many.root / "blue" / f"{number}.png", "blue", number)
    scanning.work(many)
    folder = later.begin(run, many)
    assert later_worker.start(folder, many)
    assert not later_worker.start(folder, many)
    until = time.monotonic() + 120
    while not folder.answers.exists() or len(folder.answers.read_bytes().splitlines()) < 100:
        assert time.monotonic() < until, folder.log_tail()
        time.sleep(0.05)
    os.kill(int(folder.heartbeat.read_text()), signal.SIGKILL)
    while later.known_of(folder).status == "working":
        time.sleep(0.05)
    if later.known_of(folder).status == "ready":
        pytest.skip("it was done before it could be killed")
    assert later.known_of(folder).status == "lost"
    lines = folder.answers.read_bytes()
    assert later_worker.start(folder, many)
    while later.known_of(folder).status == "working":
        assert time.monotonic() < until
        time.sleep(0.05)
    assert later.known_of(folder).status == "ready"
    assert folder.answers.read_bytes().startswith(lines[: lines.rindex(b"\n") + 1])
    test = later.read(folder)
    assert test is not None
    assert test.results.total == 310
