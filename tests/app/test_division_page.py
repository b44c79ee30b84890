"""The Photos page's division: the parts in numbers, and the rule that keeps photos together, with its preview."""

from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from core.data import datasets, mending, scanning
from core.data.datasets import Dataset
from core.data.split import split
from core.data.store import read_report
from core.words import say
from core.workspace import Workspace
from pages.parts import rules
from tests.app.doctored import Doctor
from tests.app.test_pages import texts
from tests.photos import CLASSES, draw

Visit = Callable[..., AppTest]


@pytest.fixture
def photos(workspace: Workspace) -> Dataset:
    """Three classes; each plant has three photos: ``plant_4_b.jpg``."""
    made = datasets.create(workspace, "plants", "upload")
    for place, label in enumerate(CLASSES):
        (made.root / label).mkdir(parents=True)
        for number in range(12):
            name = f"plant_{number // 3}_{'abc'[number % 3]}.jpg"
            draw(label, place * 1000 + number, side=40).save(made.root / label / name)
    scanning.work(made)
    return made


@pytest.fixture
def division(visit: Visit, doctor: Doctor, photos: Dataset) -> AppTest:
    return visit("photos", set=photos.id, section=say("photos.section.division"))


def widget(page: AppTest, start: str):
    return next(
        one
        for kind in (page.segmented_control, page.number_input, page.selectbox)
        for one in kind
        if str(one.key).startswith(start)
    )


def test_the_parts_are_counted_as_the_division_has_them(division: AppTest, photos: Dataset) -> None:
    assert not division.exception
    divided = split(read_report(photos))
    shown = {metric.label: metric.value for metric in division.metric}
    for part, samples in (("train", divided.train), ("val", divided.val), ("test", divided.test)):
        assert shown[say(f"photos.part.{part}")].split(" · ")[0] == str(len(samples))
    assert say("division.drawn") in texts(division)


def test_a_rule_is_previewed_used_and_undone(division: AppTest, photos: Dataset) -> None:
    widget(division, "rule_kind_").set_value("name").run()
    assert not division.exception
    shown = texts(division)
    assert any("plant\\_0\\_a\\.jpg → **plant\\_0**" in text for text in shown), (
        "the guess keeps all but the last piece"
    )
    # A plant's number is the same in the three classes: the name alone says so.
    assert say("division.groups", n=4, photos=36, of=36, largest=9) in shown
    division.button(key="use_rule").click().run()
    assert mending.history(photos).state().rule == {"kind": "name", "separator": "_", "parts": 2}
    of = {path: group for group, paths in enumerate(read_report(photos).groups) for path in paths}
    divided = split(read_report(photos))
    parts = [{of[sample.path] for sample in divided.part(part)} for part in ("train", "val", "test")]
    assert parts[0].isdisjoint(parts[1])
    assert parts[0].isdisjoint(parts[2])
    shown_parts = {metric.label: metric.value.split(" · ")[0] for metric in division.metric}
    assert shown_parts[say("photos.part.test")] == str(len(divided.test)), "the page divides anew"
    division.button(key="undo_rule").click().run()
    assert mending.history(photos).state().rule == {}


def test_a_rule_that_puts_nearly_all_together_is_warned_of(division: AppTest) -> None:
    widget(division, "rule_kind_").set_value("name").run()
    widget(division, "rule_pieces_").set_value(1).run()
    assert [box.value for box in division.warning] == [say("division.too_large", largest=36, of=36)]


def test_only_rules_that_could_say_something_are_offered(division: AppTest) -> None:
    assert list(widget(division, "rule_kind_").options) == [
        say("division.kind.none"),
        say("division.kind.name"),
    ]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a/leaf_1_a.jpg", "a/leaf_1_b.jpg", "a/leaf_2_a.jpg"], ("_", 2)),
        (["a/p1-03.jpg", "a/p1-04.jpg", "a/p2-01.jpg"], ("-", 1)),
        (["a/1.jpg", "a/2.jpg"], ("_", 1)),
    ],
)
def test_the_guess_is_the_sign_of_most_names_without_the_last_piece(
    names: list[str], expected: tuple[str, int]
) -> None:
    assert rules.guess(names) == expected
