"""Labelling on the Photos page: many guesses in one step, or one photo after the other, each with its way back."""

from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from core.data import datasets, mending, scanning
from core.data.datasets import Dataset
from core.data.store import read_report
from core.doctor.folder import Round
from core.doctor.labelling import Proposal, Proposals
from core.words import say
from core.workspace import Workspace
from tests.app.doctored import Doctor
from tests.app.test_pages import texts
from tests.photos import CLASSES, draw

Visit = Callable[..., AppTest]
WAITING = 10


@pytest.fixture
def photos(workspace: Workspace) -> Dataset:
    """Three classes of six, and ten photos in a folder called "to label"."""
    made = datasets.create(workspace, "shapes", "upload")
    for place, label in enumerate((*CLASSES, "to label")):
        (made.root / label).mkdir(parents=True)
        for number in range(WAITING if label == "to label" else 6):
            draw(CLASSES[place % 3], place * 1000 + number, side=40).save(made.root / label / f"{number}.jpg")
    scanning.work(made)
    assert len(read_report(made).unlabelled) == WAITING
    return made


@pytest.fixture
def page(visit: Visit, doctor: Doctor, photos: Dataset) -> AppTest:
    """Guesses from 99 % down to 54 %, all squares; the least sure are the most useful."""
    report = read_report(photos)
    paths = [photo.path for photo in report.unlabelled]
    certain = tuple(Proposal(path, "square", 0.99 - 0.05 * place) for place, path in enumerate(paths))
    doctor.findings[report.fingerprint] = ()
    doctor.proposals = Proposals(report.fingerprint, certain, tuple(reversed(paths)), 0.8, 18)
    return visit("photos", set=photos.id, section=say("photos.section.label"))


def squares(photos: Dataset) -> list[str]:
    found = [photo.path for photo in read_report(photos).photos if photo.label == "square"]
    return [path for path in found if path.startswith("to label/")]


def test_the_slider_says_how_many_and_how_many_of_them_may_be_wrong(page: AppTest) -> None:
    assert not page.exception
    page.slider(key="labelling_least").set_value(80).run()
    shown = " ".join(texts(page))
    # 99, 94, 89 and 84 % certain: 0.01 + 0.06 + 0.11 + 0.16 = 0.34 wrong ones are to be expected.
    assert say("labelling_page.taken", n=4, of=WAITING) in shown
    assert say("labelling_page.wrong", n=0) in shown
    page.slider(key="labelling_least").set_value(54).run()
    assert say("labelling_page.wrong", n=2) in " ".join(texts(page))  # 2.35


def test_confirming_many_is_one_step_and_undo_brings_the_version_back(page: AppTest, photos: Dataset) -> None:
    before = read_report(photos)
    page.slider(key="labelling_least").set_value(80).run()
    page.button(key="labelling_confirm").click().run()
    assert not page.exception
    (step,) = mending.history(photos).steps
    assert step.kind == "confirm"
    assert len(squares(photos)) == 4
    assert len(read_report(photos).unlabelled) == WAITING - 4
    page.button(key="undo_labelling").click().run()
    after = read_report(photos)
    assert (after.fingerprint, after.unlabelled) == (before.fingerprint, before.unlabelled)


def test_one_by_one_asks_for_the_most_telling_first(page: AppTest, photos: Dataset) -> None:
    first, second, *_ = (photo.path for photo in reversed(read_report(photos).unlabelled))
    page.segmented_control(key="labelling_way").set_value("useful").run()
    assert page.button(key="label_0").label == "circle"
    page.button(key="label_0").click().run()
    assert {photo.path: photo.label for photo in read_report(photos).photos}[first] == "circle"
    page.button(key="label_skip").click().run()
    page.button(key="label_aside").click().run()
    aside = [photo.path for photo in read_report(photos).aside]
    assert len(aside) == 1
    assert second not in aside, "what was skipped stays as it is"
    assert [step.kind for step in mending.history(photos).steps] == ["move", "set_aside"]


def test_a_class_that_nobody_has_named_yet_can_be_given(page: AppTest, photos: Dataset) -> None:
    page.segmented_control(key="labelling_way").set_value("useful").run()
    page.text_input(key="labelling_new").set_value("moon").run()
    page.button(key="label_new").click().run()
    assert "moon" in read_report(photos).classes


def test_what_each_round_brought_is_told_once_there_are_two(page: AppTest, doctor: Doctor) -> None:
    heading = say("labelling_page.rounds")
    assert heading not in [one.value for one in page.subheader]
    doctor.rounds = (Round("a", 18, 10, 0.8, 18), Round("b", 24, 4, 0.9, 18))
    page.run()
    assert heading in [one.value for one in page.subheader]


def test_without_guesses_the_photos_can_still_be_labelled_one_by_one(
    visit: Visit, doctor: Doctor, photos: Dataset
) -> None:
    doctor.findings[read_report(photos).fingerprint] = ()
    page = visit("photos", set=photos.id, section=say("photos.section.label"))
    assert not page.exception
    assert say("labelling_page.no_guesses") in [box.value for box in page.info]
    assert page.button(key="label_0")
