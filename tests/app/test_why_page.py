"""Look inside: which photo, what speaks for which class in it, and what the page says where it can't look."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from core.data import intake
from core.data.datasets import Dataset
from core.data.image import open_rgb
from core.errors import RunError
from core.inference.heat import Heat
from core.models.registry import Preprocessing
from core.runs import RunDirectory
from core.words import say
from core.workspace import Workspace
from pages.parts import attention, panels
from pages.parts.attention_choice import Candidate
from tests.app.conftest import Recorder, finish, make_photos, make_run
from tests.app.test_pages import HOSTILE_NAMES, boxes, texts

Visit = Callable[..., AppTest]
SEEN = Preprocessing(40, 32, (0.5,) * 3, (0.5,) * 3, "bilinear")


@dataclass(frozen=True)
class Near:
    path: str
    label: str
    likeness: float


class Corners:
    """A model that finds its first class at the top left, its second a little at the bottom right, and no third."""

    def __init__(self, classes: tuple[str, ...], near: tuple[Near, ...] = (), unknown: bool = False) -> None:
        self.classes, self.near, self.unknown = classes, near, unknown
        self.asked: list[tuple[str, str | None]] = []

    def heat(self, photo: Path, target: str | None = None, near: int = 0) -> Heat:
        open_rgb(photo)
        self.asked.append((photo.name, target))
        values = np.zeros((4, 4), np.float32)
        place = 0 if target is None else self.classes.index(target)
        if place == 0:
            values[0, 0] = 1.0
        if place == 1:
            values[3, 3] = 0.25
        top = tuple(zip(self.classes, (0.7, 0.2, *[0.1] * (len(self.classes) - 2)), strict=True))
        pixels = np.zeros((32, 32, 3), np.uint8)
        return Heat(values, pixels, self.classes[place], SEEN, top, self.unknown, self.near[:near])


@pytest.fixture
def photos(workspace: Workspace) -> Dataset:
    return make_photos(workspace)


@pytest.fixture
def run(workspace: Workspace, photos: Dataset, recorder: Recorder) -> RunDirectory:
    """Finished: every test photo was taken for the first of three classes, each time 90 % sure."""
    return finish(make_run(workspace, photos, recorder))


@pytest.fixture
def corners(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> Corners:
    made = Corners(run.split().classes)
    monkeypatch.setattr(attention, "_explainer", lambda path, stamp: made)
    return made


def told(page: AppTest) -> str:
    assert not page.exception
    return "\n".join(texts(page)).replace("\\", "")


def alts(page: AppTest) -> list[str]:
    return [picture.alt for block in page.get("image") for picture in block.proto.imgs]


def picks(page: AppTest) -> list[Any]:
    return [button for button in page.button if str(button.key).startswith(("why_photo_", "why_mine_"))]


def class_box(page: AppTest) -> Any:
    return next(box for box in page.selectbox if str(box.key).startswith("why_class_"))


@pytest.mark.usefixtures("corners")
def test_the_surest_mistake_is_looked_into_at_first(visit: Visit, run: RunDirectory) -> None:
    page = visit("why", run=run.id)
    classes = run.split().classes
    wrong = [sample for sample in run.split().test if sample.target]
    share = panels.percent(0.7)
    assert say("why.said_wrong", true=classes[1], said=classes[0], share=share) in told(page)
    assert len(picks(page)) == min(6, len(wrong))
    assert picks(page)[0].label == panels.plain(
        say("results.mistake", true=classes[1], predicted=classes[0], confidence=panels.percent(0.9))
    )
    name = Path(min(sample.path for sample in wrong)).name
    assert say("why.heat_alt", name=name, target=classes[0], where=say("why.where.left_top")) in alts(page)


@pytest.mark.usefixtures("corners")
def test_right_answers_and_one_class_can_be_chosen(visit: Visit, run: RunDirectory) -> None:
    first, _, third = run.split().classes
    page = visit("why", run=run.id)
    page.selectbox(key=f"why_true_{run.id}").set_value(2).run()
    assert say("why.said_wrong", true=third, said=first, share=panels.percent(0.7)) in told(page)
    page.segmented_control(key=f"why_right_{run.id}").set_value(True).run()
    assert say("why.none") in boxes(page)  # no photo of the third class was recognised
    page.selectbox(key=f"why_true_{run.id}").set_value(0).run()
    assert say("why.said_right", true=first, share=panels.percent(0.7)) in told(page)


def test_another_photo_is_looked_into_when_its_button_is_pressed(
    visit: Visit, run: RunDirectory, corners: Corners
) -> None:
    page = visit("why", run=run.id)
    before = corners.asked[-1][0]
    page = picks(page)[1].click().run()
    wrong = sorted(sample.path for sample in run.split().test if sample.target)
    assert (before, corners.asked[-1][0]) == tuple(Path(path).name for path in wrong[:2])
    assert any(Path(wrong[1]).name in text for text in alts(page))


def test_any_class_can_be_asked_about_and_is_said_to_be_fainter(
    visit: Visit, run: RunDirectory, corners: Corners
) -> None:
    first, second, third = run.split().classes
    page = visit("why", run=run.id)
    assert class_box(page).value == first
    page = class_box(page).set_value(second).run()
    assert corners.asked[-1][1] == second
    assert say("why.fainter", target=second, share=panels.percent(0.25), answered=first) in told(page)
    assert any(say("why.where.right_bottom") in text for text in alts(page))
    page = class_box(page).set_value(third).run()
    assert say("why.empty", target=third) in boxes(page)
    assert any(text.endswith(f"nothing in it speaks for {third}.") for text in alts(page))


def test_the_same_photo_and_class_are_computed_once(visit: Visit, run: RunDirectory, corners: Corners) -> None:
    page = visit("why", run=run.id)
    page.slider(key="why_opacity").set_value(20).run()
    assert len(corners.asked) == 1


def test_the_map_of_all_photos_is_here_and_no_single_photo_is_computed_for_it(
    visit: Visit, run: RunDirectory, corners: Corners
) -> None:
    page = visit("why", run=run.id)
    asked = len(corners.asked)
    page.segmented_control(key="why_way").set_value("all").run()
    assert say("map.how") in told(page)
    assert not picks(page)
    assert len(corners.asked) == asked


def test_what_it_looks_like_is_shown_where_the_run_knows(visit: Visit, run: RunDirectory, corners: Corners) -> None:
    assert say("why.no_near") in told(visit("why", run=run.id))
    divided = run.split()
    corners.near = tuple(Near(one.path, divided.classes[one.target], 0.87) for one in divided.train[:3])
    corners.unknown = True
    page = visit("why", run=run.id)
    attention._heat.clear()
    page = page.run()
    assert say("why.no_near") not in told(page)
    assert len([text for text in alts(page) if "0.87" in text]) == 3
    assert say("unknown.guess") in boxes(page)


@pytest.mark.usefixtures("corners")
def test_a_photo_that_is_gone_is_said_to_be_gone(visit: Visit, run: RunDirectory) -> None:
    divided = run.split()
    gone = min(sample.path for sample in divided.test if sample.target)
    (Path(divided.root_of("test")) / gone).unlink()
    page = visit("why", run=run.id)
    assert say("why.gone") in boxes(page).replace("\\", "")
    assert told(page).count(say("judge.matrix.no_picture")) == 1


@pytest.mark.usefixtures("corners")
def test_where_all_photos_are_gone_a_photo_of_ones_own_is_asked_for(
    visit: Visit, run: RunDirectory, photos: Dataset
) -> None:
    shutil.rmtree(photos.folder)
    page = visit("why", run=run.id)
    assert not page.exception
    assert boxes(page) == say("why.not_here")
    assert picks(page) == []
    assert say("why.from_results") not in told(visit("results", run=run.id))


def test_the_scores_lead_here(visit: Visit, run: RunDirectory) -> None:
    assert say("why.from_results") in told(visit("results", run=run.id))


@pytest.mark.usefixtures("corners")
def test_without_test_photos_one_of_ones_own_is_looked_into(
    visit: Visit, run: RunDirectory, workspace: Workspace, photos: Dataset
) -> None:
    run.metrics.unlink()
    page = visit("why", run=run.id)
    assert boxes(page) == say("why.no_test")
    assert picks(page) == []
    upload = intake.begin(workspace, purpose="try")
    intake.receive(upload, "mine.jpg", next(photos.root.rglob("*.jpg")).read_bytes())
    page = visit("why", run=run.id, tried=upload.id)
    assert say("why.said", said=run.split().classes[0], share=panels.percent(0.7)) in told(page)
    assert say("why.photo_alt", name="mine.jpg") in alts(page)


@pytest.mark.usefixtures("corners")
def test_a_photo_that_cant_be_read_says_why(visit: Visit, run: RunDirectory, workspace: Workspace) -> None:
    upload = intake.begin(workspace, purpose="try")
    intake.receive(upload, "mine.png", next(run_photos(run)).read_bytes())
    next(upload.photos.rglob("mine.png")).write_bytes(b"no photo")
    page = visit("why", run=run.id, tried=upload.id)
    assert not page.exception
    assert page.segmented_control(key="why_from").value == "own"  # the address names the photos
    assert len(page.warning) == 1
    assert say("why.gone") not in boxes(page)


def test_a_broken_model_says_what_to_do(visit: Visit, run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(path: str, stamp: tuple[int, int]) -> Corners:
        raise RunError("known.broken", run=run.id, file="known.safetensors")

    monkeypatch.setattr(attention, "_explainer", broken)
    page = visit("why", run=run.id)
    assert not page.exception
    assert "known" in page.error[0].value


def run_photos(run: RunDirectory) -> Any:
    return (Path(run.split().root) / sample.path for sample in run.split().train)


def test_names_that_look_like_markup_are_shown_as_they_are(
    visit: Visit, workspace: Workspace, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    classes = tuple(name.replace("/", "∕") for name in HOSTILE_NAMES)  # a folder's name has no slash
    run = finish(make_run(workspace, make_photos(workspace, classes, per_class=6), recorder))
    model = Corners(run.split().classes)
    monkeypatch.setattr(attention, "_explainer", lambda path, stamp: model)
    page = visit("why", run=run.id)
    for label in run.split().classes:
        page = class_box(page).set_value(label).run()
        assert not page.exception
        shown = [text for text in texts(page) if any(name in text for name in classes)]
        assert shown == []


def test_a_photo_of_few_pixels_is_enlarged_in_squares(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "digit.png")
    shown = attention._shown(Candidate(tmp_path, "digit.png", "0" * 64, "a digit"))
    assert shown.size == (560, 560)
    assert len(np.unique(np.asarray(shown)[:70, :70].reshape(-1, 3), axis=0)) == 1
