"""The terminal's commands, run as a program would run them: JSON on stdout, words on stderr, an exit status."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.photos import draw, make_folder

PROJECT = Path(__file__).parent.parent.parent
pytestmark = pytest.mark.slow  # each command is a process of its own that imports torch


def core(*arguments: object) -> tuple[int, list[dict], str]:
    command = [sys.executable, "-m", "core", *map(str, arguments)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=240)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    root = make_folder(tmp_path_factory.mktemp("photos"), per_class=8)
    (root / "circle" / "broken.jpg").write_text("not a picture")
    return root


@pytest.fixture(scope="module")
def trained(tmp_path_factory, photos) -> tuple[Path, dict]:
    out = tmp_path_factory.mktemp("runs") / "run"
    status, answers, _ = core("train", photos, "--out", out, "--seed", 3, "--set", "head_epochs=5")
    assert status == 0
    return out, answers[-1]


def test_scan_counts_classes_and_names_what_was_left_out(photos):
    status, [answer], words = core("scan", photos)
    assert status == 0
    assert answer["classes"] == {"circle": 8, "square": 8, "stripes": 8}
    assert [row["path"] for row in answer["left_out"]] == ["circle/broken.jpg"]
    assert "files looked at" in words


def test_doctor_finds_what_was_planted_and_tells_it_in_one_object(tmp_path):
    """A copy saved anew, a black picture, and a square among the stripes."""
    root = make_folder(tmp_path / "sick", per_class=14)
    with Image.open(root / "circle" / "003.jpg") as picture:
        picture.save(root / "circle" / "again.jpg", quality=60)
    Image.new("RGB", (96, 96)).save(root / "square" / "black.jpg")
    draw("square", 4711).save(root / "stripes" / "a_square.jpg")
    status, answers, words = core("doctor", root)
    assert status == 0
    answer = answers[-1]
    found = {row["kind"]: row for row in answer["findings"]}
    assert sorted(found["near_copies"]["photos"]) == ["circle/003.jpg", "circle/again.jpg"]
    assert "square/black.jpg" in found["blank"]["photos"]
    assert "stripes/a_square.jpg" in found["label_error"]["photos"]
    for row in answer["findings"]:
        assert 0 <= row["confidence"] <= 1
        assert row["title"]
        assert row["meaning"]
    assert answer["images"] == 45
    assert 0.5 < answer["accuracy"] <= 1
    assert "comparing the photos" in words


def test_guessed_labels_teach_only_when_asked_and_are_counted(photos, tmp_path):
    root = make_folder(tmp_path / "partly", per_class=10)
    make_folder(tmp_path / "more", per_class=6, seed=3)
    (root / "to label").mkdir()
    for label in ("circle", "square", "stripes"):
        for number in range(6):
            photo = tmp_path / "more" / label / f"{number:03}.jpg"
            photo.rename(root / "to label" / f"{label} {number}.jpg")
    status, answers, _ = core("train", root, "--out", tmp_path / "plain", "--set", "head_epochs=2")
    assert (status, answers[-1]["guessed_labels"]) == (0, 0)
    status, answers, _ = core(
        "train", root, "--out", tmp_path / "run", "--set", "head_epochs=2", "--set", "pseudo_labels=0.5"
    )
    guessed = answers[-1]["guessed_labels"]
    assert (status, 0 < guessed <= 18) == (0, True)
    parts = json.loads((tmp_path / "run" / "split.json").read_text("utf-8"))
    assert sum(row["path"].startswith("to label/") for row in parts["train"]) == guessed
    assert not any(row["path"].startswith("to label/") for part in ("val", "test") for row in parts[part])


def test_train_tells_what_it_did_in_one_object(trained):
    _, answer = trained
    assert (answer["backbone"], answer["freeze_depth"], answer["seed"]) == ("efficientnet_lite0", 8, 3)
    assert (answer["images"], answer["skipped"], answer["epochs"]) == (24, 1, 5)
    assert answer["weights"]["source"] == "package"
    assert answer["weights"]["sha256"].startswith("57934424")
    assert 0 <= answer["best_val_accuracy"] <= 1
    assert answer["test_accuracy"] == answer["test_correct"] / answer["test_total"]
    assert answer["seconds"] == pytest.approx(sum(answer["seconds_by_phase"].values()))


def test_predict_gives_one_object_a_photo_and_an_error_for_what_is_none(trained, photos):
    out, _ = trained
    status, answers, _ = core("predict", out, photos / "square", photos / "circle" / "broken.jpg")
    assert status == 0
    assert len(answers) == 9
    assert all(answer["label"] == answer["top"][0]["label"] for answer in answers[:8])
    assert sum(row["confidence"] for row in answers[0]["top"]) == pytest.approx(1, abs=1e-5)
    assert {type(answer["unknown"]) for answer in answers} == {bool}
    assert answers[8]["label"] is None
    assert "broken.jpg" in answers[8]["path"]


def test_evaluate_scores_another_folder(trained, tmp_path):
    out, _ = trained
    make_folder(tmp_path / "more", per_class=4, seed=9)
    make_folder(tmp_path / "more", per_class=2, classes=("unheard",))
    status, [answer], _ = core("evaluate", out, tmp_path / "more")
    assert (status, answer["total"], answer["unknown_classes"]) == (0, 12, ["unheard"])
    assert sum(map(sum, answer["confusion"])) == 12


def test_a_second_folder_is_the_test_part_and_all_of_the_first_is_learnt_from(photos, tmp_path):
    make_folder(tmp_path / "second", per_class=3, seed=5)
    status, answers, _ = core(
        "train", photos, "--test", tmp_path / "second", "--out", tmp_path / "run", "--set", "head_epochs=2"
    )
    assert (status, answers[-1]["test_total"]) == (0, 9)
    split = json.loads((tmp_path / "run" / "split.json").read_text("utf-8"))
    assert len(split["train"]) + len(split["val"]) == 24


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("scan", "nowhere/at/all"), "nowhere/at/all"),
        (("predict", "{run}", "nowhere.jpg"), "nowhere.jpg"),
        (("train", "{photos}", "--out", "{run}", "--set", "epochs=many"), "many"),
        (("train", "{photos}", "--out", "{run}", "--set", "speed=9"), "speed"),
        (("train", "{photos}", "--out", "{run}", "--set", "epochs"), "epochs"),
        (("train", "{photos}", "--out", "{run}", "--backbone", "resnet81"), "resnet81"),
        (("train", "{photos}", "--out", "{run}", "--freeze-depth", "99"), "99"),
        (("train", "{photos}", "--out", "{run}"), "{run}"),
    ],
)
def test_a_mistake_of_the_users_is_named_with_the_next_step_and_status_2(trained, photos, arguments, named):
    places = {"run": trained[0], "photos": photos}
    status, answers, words = core(*(str(part).format(**places) for part in arguments))
    assert status == 2
    assert named.format(**places) in answers[-1]["error"]
    assert answers[-1]["hint"] in words
    assert "Traceback" not in words


def test_an_unfinished_run_in_the_same_folder_goes_on(photos, tmp_path):
    out = tmp_path / "run"
    whole = core("train", photos, "--out", out, "--set", "head_epochs=3")[1][-1]
    lines = (out / "events.jsonl").read_text("utf-8").splitlines(keepends=True)
    (out / "events.jsonl").write_text("".join(line for line in lines if '"kind": "Ended"' not in line), "utf-8")
    status, answers, _ = core("train", photos, "--out", out, "--set", "head_epochs=3")
    assert status == 0
    assert answers[-1]["test_accuracy"] == whole["test_accuracy"]


def test_backbones_lists_every_family_and_where_weights_are():
    status, [answer], _ = core("backbones")
    rows = {row["name"]: row for row in answer["backbones"]}
    assert status == 0
    assert rows["efficientnet_lite0"]["at_hand"]
    assert {"vgg16", "swin_t", "vit_b_16", "convnext_tiny", "densenet121", "regnet_y_400mf"} <= set(rows)
    assert not rows["vgg16"]["at_hand"]
