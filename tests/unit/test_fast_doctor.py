"""Each fast finding on a set where it was planted, and on one where it wasn't. What is right was worked out apart."""

import io
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from core.data.facts import SIDE, Facts, measure
from core.data.image import open_photo
from core.data.report import DatasetReport
from core.data.scan import scan
from core.doctor.amounts import error_points
from core.doctor.fast import examine_fast
from core.doctor.report import Diagnosis, Examination
from core.doctor.shortcut import told_apart
from tests.unit.test_alike import coloured

Found = dict[str, Diagnosis]
PHOTOS = 9  # of each of the two classes: scenes of their own


def write(path: Path, image: Image.Image, **options) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)


@pytest.fixture(scope="module")
def clean(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("clean")
    for place, label in enumerate(("ant", "bee")):
        for number in range(PHOTOS):
            write(root / label / f"{number}.jpg", coloured(100 * place + number), quality=92)
    return root


@pytest.fixture
def folder(clean, tmp_path) -> Path:
    return Path(shutil.copytree(clean, tmp_path / "set"))


def examine(root: Path, **options) -> Found:
    facts: dict[str, Facts] = {}
    report = scan(root, facts=facts)
    found = examine_fast(report, facts, **options)
    for one in found:
        assert all((one.title, one.meaning, one.mend))
        assert "{" not in one.title + one.meaning + one.mend + "".join(map(one.case_text, one.cases))
        assert all(0 <= case.confidence <= 1 for case in one.cases)
    return {one.kind: one for one in found}


def test_a_clean_set_has_too_few_photos_and_nothing_else(clean):
    assert list(examine(clean)) == ["few_photos"]


def test_an_exact_copy_is_set_aside_but_one(folder):
    shutil.copy(folder / "ant/3.jpg", folder / "ant/later.jpg")
    found = examine(folder)
    case = found["exact_copies"].cases[0]
    assert case.paths == ("ant/3.jpg", "ant/later.jpg")
    assert case.suggestion is not None
    assert (case.suggestion.field, case.suggestion.paths) == ("aside", ("ant/later.jpg",))
    assert not {"near_copies", "torn", "leak"} & set(found)


def test_of_near_copies_the_largest_is_kept(folder):
    small = coloured(3).resize((280, 210))
    write(folder / "ant/a small.jpg", small, quality=70)
    write(folder / "ant/mirror.jpg", ImageOps.mirror(small), quality=70)
    case = examine(folder)["near_copies"].cases[0]
    assert set(case.paths) == {"ant/3.jpg", "ant/a small.jpg", "ant/mirror.jpg"}
    assert case.suggestion is not None
    assert set(case.suggestion.paths) == {"ant/a small.jpg", "ant/mirror.jpg"}
    assert case.confidence > 0.99


def test_of_a_long_series_nothing_is_set_aside(folder):
    for number in range(10):
        write(folder / f"ant/frame {number}.jpg", coloured(3), quality=60 + number)
    case = examine(folder)["near_copies"].cases[0]
    assert len(case.paths) == 11
    assert case.suggestion is None


@pytest.mark.parametrize("quality", [None, 60])
def test_one_picture_in_two_classes_is_left_to_the_person(folder, quality):
    if quality is None:
        shutil.copy(folder / "ant/3.jpg", folder / "bee/x.jpg")
    else:
        write(folder / "bee/x.jpg", coloured(3), quality=quality)
    found = examine(folder)
    assert [case.paths for case in found["torn"].cases] == [("ant/3.jpg", "bee/x.jpg")]
    assert found["torn"].cases[0].suggestion is None
    assert found["torn"].weight == "serious"
    assert not {"exact_copies", "near_copies"} & set(found)


def test_a_picture_in_training_and_testing_leaves_training(clean, tmp_path):
    for part in ("train", "test"):
        shutil.copytree(clean, tmp_path / part)
        for path in (tmp_path / part).glob("*/*.jpg"):
            if (int(path.stem) < 3) == (part == "train"):
                path.unlink()
    assert "leak" not in examine(tmp_path)
    write(tmp_path / "train/ant/again.jpg", ImageOps.mirror(coloured(1)), quality=80)
    case = examine(tmp_path)["leak"].cases[0]
    assert set(case.paths) == {"test/ant/1.jpg", "train/ant/again.jpg"}
    assert case.suggestion is not None
    assert case.suggestion.paths == ("train/ant/again.jpg",)


def test_poor_photos_are_found_and_only_they(folder):
    scene = coloured(50)
    write(folder / "ant/blank.png", Image.new("RGB", (300, 300), (200, 180, 160)))
    write(folder / "ant/dark.png", ImageEnhance.Brightness(scene).enhance(0.1))
    write(folder / "ant/bright.png", scene.point(lambda value: min(255, 235 + value // 9)))
    write(folder / "ant/blurred.png", scene.filter(ImageFilter.GaussianBlur(6)))
    write(folder / "ant/tiny.png", scene.resize((40, 30)))
    write(folder / "ant/long.png", scene.resize((900, 200)))
    frames = [coloured(seed) for seed in (60, 61)]
    write(folder / "ant/moving.gif", frames[0], save_all=True, append_images=frames[1:])
    exif = Image.Exif()
    exif[0x0112] = 6
    write(folder / "ant/turned.jpg", coloured(62), exif=exif)
    found = examine(folder)
    planted = {kind: (f"ant/{file}",) for kind, file in (
        ("blank", "blank.png"), ("dark", "dark.png"), ("bright", "bright.png"), ("blurred", "blurred.png"),
        ("tiny", "tiny.png"), ("extreme_shape", "long.png"), ("animated", "moving.gif"), ("turned", "turned.jpg"),
    )}  # fmt: skip
    assert {kind: found[kind].paths for kind in planted if kind in found} == planted


def test_what_a_person_found_fine_is_not_told_again(folder):
    write(folder / "ant/blank.png", Image.new("RGB", (300, 300), (200, 180, 160)))
    write(folder / "ant/white.png", Image.new("RGB", (300, 300), "white"))
    assert examine(folder)["blank"].values["n"] == 2
    assert examine(folder, refused={"blank": {"ant/blank.png"}})["blank"].paths == ("ant/white.png",)
    assert "blank" not in examine(folder, refused={"blank": {"ant/blank.png", "ant/white.png"}})
    assert "blank" in examine(folder, refused={"dark": {"ant/blank.png", "ant/white.png"}})


def test_photos_that_were_never_measured_are_passed_over(folder):
    shutil.copy(folder / "ant/3.jpg", folder / "ant/later.jpg")
    report = scan(folder)
    assert [one.kind for one in examine_fast(report, {})] == ["exact_copies", "few_photos"]


def test_an_examination_with_every_kind_comes_back_from_json(folder):
    shutil.copy(folder / "ant/3.jpg", folder / "bee/later.jpg")
    facts: dict[str, Facts] = {}
    report = scan(folder, facts=facts)
    examined = Examination(report.fingerprint, "fast", examine_fast(report, facts), 0.1)
    assert Examination.from_json(examined.to_json()) == examined


# Error bars


def test_the_error_bar_is_half_of_wilsons_interval():
    # By hand for 6 of them: (0.9 + 3.8415/12 ± 1.96·√(0.09/6 + 3.8415/144)) / (1 + 3.8415/6) = 0.744 ± 0.244
    assert error_points(6) == 24
    assert error_points(2) == 36
    assert error_points(1000) == 2


def test_imbalance_says_how_exactly_both_classes_are_known(folder):
    for number in range(3 * PHOTOS):
        write(folder / "bee" / f"more {number}.jpg", coloured(200 + number), quality=92)
    values = examine(folder)["imbalance"].values
    assert (values["largest"], values["smallest"], values["times"]) == ("bee", "ant", 4.0)
    assert values["smallest_points"] == error_points(1)
    assert values["largest_points"] == error_points(5)


# Shortcuts


@pytest.fixture(scope="module")
def measured(tmp_path_factory) -> tuple[DatasetReport, dict[str, Facts]]:
    """Two classes of 40 scenes that differ in nothing but chance."""
    root = tmp_path_factory.mktemp("many")
    for number in range(80):
        scene = ImageEnhance.Brightness(coloured(300 + number)).enhance(0.9 + number % 7 / 60)
        write(root / ("ant" if number % 2 else "bee") / f"{number}.jpg", scene.resize((200, 150)), quality=92)
    facts: dict[str, Facts] = {}
    return scan(root, facts=facts), facts


def shortcuts(report: DatasetReport, facts: dict[str, Facts]) -> set[tuple[object, object]]:
    found = {one.kind: one for one in examine_fast(report, facts)}
    cases = found["shortcut"].cases if "shortcut" in found else ()
    return {(case.values["told_by"], case.values["name"]) for case in cases}


def test_two_classes_taken_alike_have_no_shortcut(measured):
    assert shortcuts(*measured) == set()


def test_a_class_brightened_by_15_percent_is_found(measured):
    report, _ = measured
    saved: dict[float, dict[str, Facts]] = {1.0: {}, 1.15: {}}  # all saved once more, so that the light alone differs
    for photo in report.photos:
        image = Image.open(Path(report.root) / photo.path)
        for factor, again in saved.items():
            file = io.BytesIO()
            ImageEnhance.Brightness(image).enhance(factor).save(file, "JPEG", quality=92)
            again[photo.sha256] = measure(open_photo(file.getvalue(), SIDE))
    brighter = {photo.sha256: saved[1.15 if photo.label == "ant" else 1.0][photo.sha256] for photo in report.photos}
    assert shortcuts(report, saved[1.0]) == set()
    assert {("light", "ant"), ("light", "bee")} <= shortcuts(report, brighter)


@pytest.mark.parametrize(
    ("told_by", "change"),
    [("camera", {"camera": "Canon EOS 5D"}), ("format", {"kind": "PNG"}), ("background", {"border": (0.9, 0.1, 0.1)})],
)
def test_a_class_with_its_own_camera_format_or_background_is_found(measured, told_by, change):
    report, facts = measured
    ants = {photo.sha256 for photo in report.photos if photo.label == "ant"}
    changed = {sha256: replace(row, **change) if sha256 in ants else row for sha256, row in facts.items()}
    assert shortcuts(report, changed) == {(told_by, "ant"), (told_by, "bee")}


def test_a_class_of_its_own_size_is_found(measured):
    report, facts = measured
    photos = tuple(replace(photo, width=640, height=480) if photo.label == "ant" else photo for photo in report.photos)
    assert shortcuts(replace(report, photos=photos), facts) == {("size", "ant"), ("size", "bee")}


def test_how_well_a_class_is_told_agrees_with_scikit_learn():
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import cross_val_predict

    random = np.random.default_rng(0)
    labels = ["a"] * 150 + ["b"] * 150
    columns = random.normal(size=(300, 2))
    columns[:150, 0] += 1.0
    scores = cross_val_predict(LinearDiscriminantAnalysis(), columns, labels, cv=5, method="decision_function")
    expected = roc_auc_score([label == "b" for label in labels], scores)
    assert told_apart(columns, labels) == pytest.approx({"a": expected, "b": expected}, abs=0.02)
    assert told_apart(random.normal(size=(300, 2)), labels)["a"] == pytest.approx(0.5, abs=0.1)
