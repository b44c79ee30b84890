"""A few photos on Try it: an answer or "I don't know", the nearest training photos, the classes that may be right."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.data import intake
from core.data.image import UnusablePhoto, open_rgb
from core.data.intake import Upload
from core.errors import RunError
from core.runs import RunDirectory
from core.words import say
from core.workspace import Workspace
from pages.parts.likely import Likely
from pages.server.models import MODELS
from tests.app.conftest import Recorder, finish, make_photos, make_run
from tests.colours import paint

Visit = Callable[..., AppTest]


@dataclass(frozen=True)
class Near:
    path: str
    label: str
    likeness: float


@dataclass(frozen=True)
class Said:
    """An answer as a predictor gives it."""

    top: tuple[tuple[str, float], ...]
    strangeness: float | None
    unknown: bool
    near: tuple[Near, ...]

    @property
    def label(self) -> str:
        return self.top[0][0]

    @property
    def confidence(self) -> float:
        return self.top[0][1]


class Careful:
    """A model that knows red and blue photos by their colour, and no grey one."""

    def __init__(self, near: tuple[Near, ...] = (), judges: bool = True) -> None:
        self.near, self.judges = near, judges

    def predict(self, photos: Iterable[Path], near: int = 0) -> Iterator[Said | UnusablePhoto]:
        for photo in photos:
            try:
                red, _, blue = open_rgb(photo).resize((1, 1)).getpixel((0, 0))
            except UnusablePhoto as error:
                yield error
                continue
            share = (red + 1) / (red + blue + 2)
            top = sorted((("re*d*", share), ("blue", 1 - share)), key=lambda row: -row[1])
            strangeness = 1 - abs(red - blue) / 255
            unknown = self.judges and strangeness > 0.9
            yield Said(tuple(top), strangeness if self.judges else None, unknown, self.near[:near])


@pytest.fixture
def run(workspace: Workspace, recorder: Recorder) -> RunDirectory:
    return finish(make_run(workspace, make_photos(workspace, per_class=4), recorder))


@pytest.fixture
def near(run: RunDirectory) -> tuple[Near, ...]:
    """Three photos that the run learnt from."""
    divided = run.split()
    return tuple(Near(one.path, divided.classes[one.target], 0.87) for one in divided.train[:3])


@pytest.fixture
def careful(monkeypatch: pytest.MonkeyPatch, near: tuple[Near, ...]) -> None:
    monkeypatch.setattr(MODELS, "get", lambda run: Careful(near))


def give(workspace: Workspace, **colours: str) -> Upload:
    """Photos of these colours, as the uploader leaves them."""
    made = intake.begin(workspace, purpose="try")
    for name, colour in colours.items():
        intake.receive(made, f"{name}.png", paint(workspace.root / "given" / f"{name}.png", colour).read_bytes())
    return made


def headings(page: AppTest) -> list[str]:
    """What each card says, from the top."""
    return [one.value.removeprefix("### ") for one in page.markdown if one.value.startswith("### ")]


def texts(page: AppTest) -> str:
    return "\n".join([*(one.value for one in page.markdown), *(one.value for one in page.caption)])


def pictures(page: AppTest) -> list[str]:
    """The descriptions of the training photos that are shown."""
    found = [picture for block in page.get("image") for picture in block.proto.imgs]
    return [picture.alt for picture in found if "likeness" in picture.alt]


@pytest.mark.usefixtures("careful")
def test_a_photo_unlike_the_training_photos_is_answered_i_dont_know_with_the_nearest_ones(
    visit: Visit, workspace: Workspace, run: RunDirectory, near: tuple[Near, ...]
) -> None:
    page = visit("try_it", run=run.id, tried=give(workspace, grey="#808080", red="red").id)
    assert not page.exception
    assert headings(page) == [r"re\*d\*", say("unknown.title")]
    assert "less like the training photos" in texts(page)
    assert len(pictures(page)) == 3
    assert all(one.path in text and "0.87" in text for one, text in zip(near, pictures(page), strict=True))


@pytest.mark.usefixtures("careful")
def test_the_best_guess_is_one_switch_away_and_says_that_it_is_a_guess(
    visit: Visit, workspace: Workspace, run: RunDirectory
) -> None:
    page = visit("try_it", run=run.id, tried=give(workspace, grey="#808080").id)
    assert not page.warning
    page.toggle(key="try_unknown").set_value(False).run()
    assert headings(page) == [r"re\*d\*"]
    (warning,) = page.warning
    assert warning.value.startswith(say("unknown.guess"))


@pytest.mark.usefixtures("careful")
def test_what_a_known_photo_looks_like_is_drawn_when_somebody_asks(
    visit: Visit, workspace: Workspace, run: RunDirectory
) -> None:
    upload = give(workspace, red="red")
    page = visit("try_it", run=run.id, tried=upload.id)
    assert pictures(page) == []
    (key,) = [one.key for one in page.expander]
    page.session_state[key] = True
    page.run()
    assert len(pictures(page)) == 3


@pytest.mark.usefixtures("careful")
def test_training_photos_that_were_deleted_are_counted_not_shown(
    visit: Visit, workspace: Workspace, run: RunDirectory, near: tuple[Near, ...]
) -> None:
    upload = give(workspace, grey="#808080")
    visit("try_it", run=run.id, tried=upload.id)  # their small pictures are kept now
    for one in near[:2]:
        (Path(run.split().root) / one.path).unlink()
    page = visit("try_it", run=run.id, tried=upload.id)
    assert len(pictures(page)) == 1
    assert say("unknown.near_gone", n=2) in texts(page)


def test_an_older_model_answers_as_before_and_says_in_a_line_what_it_lacks(
    visit: Visit, workspace: Workspace, run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MODELS, "get", lambda run: Careful(judges=False))
    page = visit("try_it", run=run.id, tried=give(workspace, grey="#808080").id)
    assert headings(page) == [r"re\*d\*"]
    assert say("unknown.none_yet") in texts(page)
    assert not [one for one in page.toggle if one.key == "try_unknown"]
    assert not page.expander


@pytest.mark.usefixtures("careful")
def test_a_file_that_is_no_photo_says_so(visit: Visit, workspace: Workspace, run: RunDirectory) -> None:
    upload = give(workspace, red="red")
    (upload.photos / "red.png").write_bytes(b"no photo")
    page = visit("try_it", run=run.id, tried=upload.id)
    assert not page.exception
    assert "red" in page.warning[0].value


def test_a_model_that_cannot_be_read_is_said_in_words(
    visit: Visit, workspace: Workspace, run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = RunError("runs.no_model", run=run.id)

    def broken(run: RunDirectory) -> object:
        raise error

    monkeypatch.setattr(MODELS, "get", broken)
    page = visit("try_it", run=run.id, tried=give(workspace, red="red").id)
    assert not page.exception
    assert error.hint in page.error[0].value.replace("\\", "")


def test_a_camera_is_the_third_way_and_says_what_becomes_of_its_pictures(visit: Visit, run: RunDirectory) -> None:
    card = {"classes": ["a", "b"], "preprocessing": {"resize": 256, "crop": 224}}
    run.model_card.write_text(json.dumps(card))
    page = visit("try_it", run=run.id)
    page.segmented_control(key="try_way").set_value("live").run()
    assert not page.exception
    assert say("live.private") in texts(page)
    assert say("unknown.none_yet") in texts(page)
    run.known.touch()
    page.run()
    assert page.toggle(key="try_unknown").value is True


def validate(run: RunDirectory, photos: int) -> None:
    """So many validation photos: the model was 70 % sure of what is right each time, but for one of ten."""
    sure = [0.7 if place % 10 else 0.2 for place in range(photos)]
    logits = np.log([[share, 1 - share] for share in sure]).tolist()
    run.validation.write_text(json.dumps({"logits": logits, "targets": [0] * photos, "classes": ["re*d*", "blue"]}))


@pytest.mark.usefixtures("careful")
def test_all_classes_that_may_be_right_are_named_as_often_as_was_promised(
    visit: Visit, workspace: Workspace, run: RunDirectory
) -> None:
    validate(run, 60)
    # Of the second it is 59 % sure: less than the limit allows for one class.
    upload = give(workspace, red="red", mixed="#a00070")
    page = visit("try_it", run=run.id, tried=upload.id)
    page.toggle(key="try_sets").set_value(True).run()
    assert say("likely.promise", share=90, n=60) in texts(page)
    # 0.9 of 61, rounded up: the 55th of the scores 0.3 (54 times) and 0.8 (6 times).
    assert say("likely.one", label=r"re\*d\*") in texts(page)
    assert say("likely.several", first=r"re\*d\*", last="blue") in texts(page)


@pytest.mark.parametrize(
    ("chances", "named"),
    [
        ((0.9, 0.07, 0.03), ("a",)),  # within the limit
        ((0.5, 0.45, 0.05), ("a", "b")),  # none is: the likeliest that come to 0.9 together
        ((0.4, 0.35, 0.25), ("a", "b", "c")),
    ],
)
def test_where_the_model_wavers_most_classes_are_named_rather_than_none(
    chances: tuple[float, ...], named: tuple[str, ...]
) -> None:
    answer = Said(tuple(zip("abc", chances, strict=True)), None, False, ())
    assert Likely(coverage=0.9, limit=0.3).of(answer) == named


@pytest.mark.usefixtures("careful")
def test_with_too_few_validation_photos_it_says_how_many_are_needed(
    visit: Visit, workspace: Workspace, run: RunDirectory
) -> None:
    validate(run, 12)
    page = visit("try_it", run=run.id, tried=give(workspace, red="red").id)
    page.toggle(key="try_sets").set_value(True).run()
    assert not page.info
    page.segmented_control(key="try_coverage").set_value(0.95).run()
    assert [one.value for one in page.info] == [say("likely.too_few", n=12, needed=19, share=95)]
    assert "May be right" not in texts(page)
