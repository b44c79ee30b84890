"""Many photos at once: which ones are meant, under which names, and that memory doesn't grow with their number."""

import csv
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from core.errors import DataError
from core.inference import batch
from core.inference.answers_file import PhotoAnswer
from tests.colours import Colours, paint, zipped
from tests.photos import make_folder

PROJECT = Path(__file__).parent.parent.parent


def ask(*paths: Path, scratch: Path) -> list[PhotoAnswer]:
    return list(batch.answers(Colours(), batch.Photos(paths, scratch)))


def test_a_folder_means_the_photos_below_it_in_the_order_of_their_names(tmp_path):
    folder = tmp_path / "mixed"
    for name, colour in (("b/2.png", "blue"), ("b/1.png", "red"), ("a.png", "lime"), ("c.png", "red")):
        paint(folder / name, colour)
    (folder / "notes.txt").write_text("no photo")
    (folder / "._a.png").write_text("what macOS leaves behind")
    told = ask(folder, scratch=tmp_path / "scratch")
    assert [(Path(answer.path).relative_to(folder).as_posix(), answer.label) for answer in told] == [
        ("a.png", "green"), ("b/1.png", "red"), ("b/2.png", "blue"), ("c.png", "red"),
    ]  # fmt: skip


def test_photos_of_a_zip_are_known_by_their_names_inside(tmp_path):
    archive = zipped(tmp_path / "some.zip", {"cats/1.png": "red", "2.png": "blue"})
    told = ask(archive, scratch=tmp_path / "scratch")
    assert {answer.path: answer.label for answer in told} == {"cats/1.png": "red", "2.png": "blue"}


def test_photos_of_two_zips_can_be_told_apart(tmp_path):
    archives = [zipped(tmp_path / name, {"1.png": colour}) for name, colour in (("a.zip", "red"), ("b.zip", "blue"))]
    told = ask(*archives, scratch=tmp_path / "scratch")
    assert {answer.path: answer.label for answer in told} == {
        f"{archives[0]}/1.png": "red",
        f"{archives[1]}/1.png": "blue",
    }


def test_a_hostile_zip_writes_nothing_outside_and_says_so_of_the_photo(tmp_path):
    archive = zipped(tmp_path / "some.zip", {"../../out.png": "red", "in.png": "blue"})
    told = {answer.path: answer for answer in ask(archive, scratch=tmp_path / "deep" / "scratch")}
    assert told["in.png"].label == "blue"
    assert told["../../out.png"].error
    assert not list(tmp_path.rglob("out.png"))


def test_a_file_that_is_no_photo_has_a_reason_instead_of_an_answer(tmp_path):
    paint(tmp_path / "photos" / "1.png", "red")
    (tmp_path / "photos" / "2.jpg").write_text("not a picture")
    (tmp_path / "photos" / "3.heic").write_bytes(b"\0\0\0\x18ftypheic")
    (tmp_path / "photos" / "0.heic").write_bytes(b"\0\0\0\x18ftypheic")
    told = ask(tmp_path / "photos", scratch=tmp_path)
    assert [(Path(answer.path).name, answer.label) for answer in told] == [
        ("0.heic", None), ("1.png", "red"), ("2.jpg", None), ("3.heic", None),
    ]  # fmt: skip
    assert all(answer.error for answer in told if answer.label is None)


@pytest.mark.parametrize("name", ["nowhere.jpg", "empty", "fake.zip", "only_text.zip"])
def test_a_path_without_photos_is_named(tmp_path, name):
    (tmp_path / "empty").mkdir()
    (tmp_path / "fake.zip").write_text("no zip")
    with zipfile.ZipFile(tmp_path / "only_text.zip", "w") as archive:
        archive.writestr("notes.txt", "no photo")
    with pytest.raises(DataError) as raised:
        batch.Photos([tmp_path / name], tmp_path / "scratch")
    assert name in raised.value.message
    assert raised.value.hint


@pytest.mark.skipif(os.name == "nt", reason="Windows asks for rights to make a link")
def test_a_folder_that_leads_in_a_circle_is_walked_once(tmp_path):
    paint(tmp_path / "photos" / "1.png", "red")
    (tmp_path / "photos" / "again").symlink_to(tmp_path / "photos")
    assert len(ask(tmp_path / "photos", scratch=tmp_path)) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="only here may a name be any bytes")
def test_names_that_no_table_likes_keep_their_photo(tmp_path):
    (tmp_path / "photos").mkdir()
    for number, name in enumerate((b"new\nline.png", b'"quo"te.png', b"=1+1.png", b"latin-\xe9.png")):
        paint(tmp_path / f"{number}.png", "red").rename(tmp_path / "photos" / os.fsdecode(name))
    told = ask(tmp_path / "photos", scratch=tmp_path)
    assert [answer.label for answer in told] == ["red"] * 4


def test_photos_are_opened_as_answers_are_taken_and_not_before(tmp_path):
    for number in range(40):
        paint(tmp_path / "photos" / f"{number:02}.png", "red")
    looking = Colours(ahead=4)
    answered = batch.answers(looking, batch.Photos([tmp_path / "photos"], tmp_path))
    for taken in range(1, 11):
        next(answered)
        assert len(looking.opened) <= taken + 4


def test_progress_is_told_with_the_last_answer_and_starts_where_it_was(tmp_path):
    for number in range(3):
        paint(tmp_path / "photos" / f"{number}.png", "red")
    photos, told = batch.Photos([tmp_path / "photos"], tmp_path), []
    list(batch.watched(batch.answers(Colours(), photos), 10, told.append, done=7))
    assert (told[-1].done, told[-1].total) == (10, 10)
    assert told[-1].per_second > 0


def test_looking_for_photos_does_not_need_torch():
    code = "import sys, core.inference.batch, core.inference.answers_file; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


# With a real network, in a process of its own


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A run with a network whose head knows nothing yet."""
    from core.inference.predictor import ModelCard, write_model
    from core.models.build import build
    from core.models.head import HeadSpec
    from core.runs.store import RunDirectory

    network = build("efficientnet_lite0", 3, weights=None)
    card = ModelCard("efficientnet_lite0", ("=cat", "dog", "hen"), network.backbone.preprocessing, None, HeadSpec())
    made = RunDirectory(tmp_path_factory.mktemp("run"))
    write_model(made, network, card)
    return made.path


def predict(*arguments: object) -> tuple[int, list[dict], str]:
    command = [sys.executable, "-m", "core", "predict", *map(str, arguments)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=240)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


@pytest.mark.slow
def test_three_hundred_photos_from_a_zip_and_a_folder_become_lines_and_a_table(run, tmp_path):
    root = make_folder(tmp_path / "photos", per_class=100)
    with zipfile.ZipFile(tmp_path / "circle.zip", "w") as archive:
        for photo in sorted((root / "circle").iterdir()):
            archive.write(photo, f"round/{photo.name}")
    table = tmp_path / "answers.csv"
    status, answers, words = predict(run, tmp_path / "circle.zip", root / "square", root / "stripes", "--csv", table)
    assert status == 0
    assert len(answers) == 300
    assert answers[0]["path"] == "round/000.jpg"
    assert "300 of 300 photos" in words
    with table.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == [answer["path"] for answer in answers]
    assert {row["label"] for row in rows} <= {"'=cat", "dog", "hen"}
    for row, answer in zip(rows, answers, strict=True):
        assert row["label"].lstrip("'") == answer["label"]
        assert float(row["confidence"]) == pytest.approx(answer["confidence"], abs=1e-6)
        assert float(row["second_confidence"]) == pytest.approx(answer["top"][1]["confidence"], abs=1e-6)


@pytest.mark.slow
def test_a_table_that_is_there_ends_the_command_before_anything_else(run, tmp_path):
    (tmp_path / "mine.csv").write_text("precious")
    status, answers, words = predict(run, make_folder(tmp_path / "photos", per_class=1), "--csv", tmp_path / "mine.csv")
    assert (status, len(answers)) == (2, 1)
    assert str(tmp_path / "mine.csv") in answers[0]["error"]
    assert "Traceback" not in words


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only here may a name be any bytes")
def test_a_name_that_is_not_utf_8_is_answered_with_its_exact_bytes(run, tmp_path):
    folder = make_folder(tmp_path / "photos", per_class=1) / "circle"
    name = os.fsdecode(b"latin-\xe9.jpg")
    (folder / "000.jpg").rename(folder / name)
    status, [answer], _ = predict(run, folder)
    assert status == 0
    assert answer["path"] == str(folder / name)
