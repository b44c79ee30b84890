"""Many photos on Try it: started, stopped and gone on with; the table, narrowed down; what is taken away."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.data import intake
from core.data.image import UnusablePhoto
from core.data.intake import Upload
from core.inference import batch_worker
from core.inference.batch_folder import BatchFolder
from core.runs import RunDirectory
from core.words import say
from core.workspace import Workspace
from tests.app.conftest import Recorder, finish, make_photos, make_run
from tests.colours import Colour, Colours, paint

Visit = Callable[..., AppTest]


@pytest.fixture
def run(workspace: Workspace, recorder: Recorder) -> RunDirectory:
    return finish(make_run(workspace, make_photos(workspace, per_class=4), recorder))


@pytest.fixture
def upload(workspace: Workspace) -> Upload:
    """Three red photos, a green one, one that can't be read and one between red and blue."""
    made = intake.begin(workspace, purpose="many")
    for number in range(3):
        paint(made.photos / "reds" / f"{number}.png", "red")
    paint(made.photos / "=green.png", "lime")
    paint(made.photos / "unsure.png", "#800040")
    (made.photos / "bad.png").write_text("no photo")
    return made


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The work is done when it is asked for, by a model that knows colours."""
    monkeypatch.setattr(batch_worker, "start", lambda folder: batch_worker.work(folder, lambda run: Colours()))


def table(page: AppTest) -> list[tuple[str, str]]:
    frame = page.dataframe[0].value
    return list(zip(frame["path"], frame["label"], strict=True))


def captions(page: AppTest) -> list[str]:
    return [one.value for one in page.caption]


def test_a_few_photos_come_first_and_many_are_one_press_away(visit: Visit, run: RunDirectory) -> None:
    page = visit("try_it", run=run.id)
    assert not page.exception
    assert "many" not in page.query_params
    page.segmented_control(key="try_way").set_value("many").run()
    assert not page.exception
    assert page.query_params["many"]
    page.segmented_control(key="try_way").set_value("few").run()
    assert "many" not in page.query_params


def test_the_address_brings_back_photos_and_answers(visit: Visit, run: RunDirectory, upload: Upload) -> None:
    page = visit("try_it", run=run.id, many=upload.id)
    page.button(key="many_start").click().run()
    assert not page.exception
    again = visit("try_it", run=run.id, many=upload.id)
    assert [box.value for box in again.success] == [say("many.ready", n=6)]
    assert ("=green.png", "green") in table(again)
    assert len(table(again)) == 6


def test_the_table_is_narrowed_to_a_class_or_to_what_is_unsure(visit: Visit, run: RunDirectory, upload: Upload) -> None:
    visit("try_it", run=run.id, many=upload.id).button(key="many_start").click().run()
    page = visit("try_it", run=run.id, many=upload.id)
    page.selectbox(key="many_class").set_value("red").run()
    assert [path for path, _ in table(page)] == ["reds/0.png", "reds/1.png", "reds/2.png", "unsure.png"]
    page.segmented_control(key="many_which").set_value("unsure").run()
    assert [path for path, _ in table(page)] == ["unsure.png"]
    assert say("many.shown", shown=1, n=6) in captions(page)
    page.slider(key="many_sure").set_value(50).run()  # it is 50.2 % sure of that one
    assert table(page) == []
    page.segmented_control(key="many_which").set_value("sure").run()
    assert len(table(page)) == 4
    page.segmented_control(key="many_which").set_value("unreadable").run()
    assert table(page) == [("bad.png", "")]
    assert say("many.which_unknown") not in page.segmented_control(key="many_which").options


def test_photos_the_model_does_not_know_are_told_so_and_can_be_picked_out(
    visit: Visit, run: RunDirectory, upload: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    class NoGreen(Colours):
        def _look(self, photo: Path) -> Colour | UnusablePhoto:
            answer = super()._look(photo)
            return replace(answer, unknown=answer.top[0][0] == "green") if isinstance(answer, Colour) else answer

    monkeypatch.setattr(batch_worker, "start", lambda folder: batch_worker.work(folder, lambda run: NoGreen()))
    visit("try_it", run=run.id, many=upload.id).button(key="many_start").click().run()
    page = visit("try_it", run=run.id, many=upload.id)
    assert ("=green.png", say("unknown.title")) in table(page)
    assert "red: 4 · I don't know: 1 · can't be read: 1" in captions(page)
    assert all("green" not in option for option in page.selectbox(key="many_class").options)
    page.segmented_control(key="many_which").set_value("unknown").run()
    assert table(page) == [("=green.png", say("unknown.title"))]
    assert list(page.dataframe[0].value["second"]) == ["green"]
    page.segmented_control(key="many_which").set_value("sure").run()
    assert "=green.png" not in [path for path, _ in table(page)]


def test_one_that_was_stopped_offers_to_go_on(visit: Visit, run: RunDirectory, upload: Upload) -> None:
    folder = BatchFolder(upload.folder, run)
    folder.path.mkdir(parents=True)
    batch_worker.stop(folder)
    batch_worker.work(folder, lambda run: Colours())
    page = visit("try_it", run=run.id, many=upload.id)
    assert [box.value for box in page.info] == [say("many.stopped", done=1, n=6)]
    folder.stop.unlink()
    page.button(key="many_start").click().run()
    assert [box.value for box in page.success] == [say("many.ready", n=6)]


def test_while_it_works_there_is_a_bar_and_a_way_to_stop(
    visit: Visit, run: RunDirectory, upload: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    working = batch_worker.Batch("working", "look", 2, 6, 10.0, {"**red**": 2})
    monkeypatch.setattr(batch_worker, "watch", lambda folder: working)
    page = visit("try_it", run=run.id, many=upload.id)
    assert not page.exception
    assert not [one for one in page.button if one.key == "many_start"]
    assert r"\*\*red\*\*: 2" in captions(page)
    BatchFolder(upload.folder, run).path.mkdir(parents=True)
    page.button(key="many_stop").click().run()
    assert BatchFolder(upload.folder, run).stop.exists()


def test_clearing_takes_the_upload_away_and_begins_anew(visit: Visit, run: RunDirectory, upload: Upload) -> None:
    page = visit("try_it", run=run.id, many=upload.id)
    page.button(key="many_clear").click().run()
    assert not page.exception
    assert not upload.folder.exists()
    assert page.query_params["many"] != [upload.id]
