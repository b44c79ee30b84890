"""Results on other photos: tested, told, chosen by the address, stopped, deleted; and the score group by group."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.data import datasets, scanning
from core.data.datasets import Dataset
from core.data.facts import read_facts
from core.data.store import read_report, write_columns
from core.inference import later, later_worker
from core.inference.metrics import Answer, Results
from core.runs import RunDirectory
from core.words import say
from core.workspace import Workspace
from tests.app.conftest import Recorder, finish, make_photos, make_run
from tests.app.test_pages import boxes, texts
from tests.colours import Colours, paint

Visit = Callable[..., AppTest]
COLOURS = ("blue", "green", "red")


class Card:
    classes = COLOURS


class Seer(Colours):
    card = Card()
    detector = None


@pytest.fixture
def photos(workspace: Workspace) -> Dataset:
    return make_photos(workspace, COLOURS)


@pytest.fixture
def run(workspace: Workspace, photos: Dataset, recorder: Recorder) -> RunDirectory:
    made = finish(make_run(workspace, photos, recorder))
    made.model_card.write_text(json.dumps({"classes": COLOURS}))
    return made


@pytest.fixture
def others(workspace: Workspace) -> Dataset:
    """Seven photos, one in a wrong folder, one of a class that the model doesn't know."""
    made = datasets.create(workspace, "*holiday*", "upload")
    for number in range(3):
        paint(made.root / "red" / f"{number}.png", f"#f0000{number}")
        paint(made.root / "blue" / f"{number}.png", f"#0000f{number}" if number else "#f00007")
    paint(made.root / "white" / "0.png", "white")
    scanning.work(made)
    return datasets.open_dataset(workspace, made.id)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The work is done when it is asked for, by a model that knows colours."""

    def start(folder: later.TestFolder, dataset: Dataset) -> None:
        folder.stop.unlink(missing_ok=True)
        later_worker.work(folder, dataset, lambda run: Seer())

    monkeypatch.setattr(later_worker, "start", start)


def told(page: AppTest) -> str:
    assert not page.exception
    return "\n".join(texts(page))


def test_a_photo_set_is_tested_on_and_its_score_is_chosen_by_the_address(
    visit: Visit, run: RunDirectory, others: Dataset
) -> None:
    page = visit("results", run=run.id)
    assert not [box for box in page.selectbox if box.label == say("later.which")]
    page.segmented_control(key="later_way").set_value("sets").run()
    page.selectbox(key="later_set").set_value(0).run()  # the newest
    page.button(key="later_start").click().run()
    [folder] = later.tests(run)
    assert "**5 of 6 right: between" in told(page)
    own = Results.from_json(run.results() or {})
    choice = next(box for box in page.selectbox if box.label == say("later.which"))
    assert choice.value == ""
    assert f"**{own.correct} of {own.total} right: between" in told(page)
    choice.set_value(folder.id).run()
    assert page.query_params["test"] in (folder.id, [folder.id])
    words = told(visit("results", run=run.id, test=folder.id))
    assert words.count("**5 of 6 right: between") == 2  # above, and among the tests
    assert f"**{own.correct} of {own.total} right: between" not in words
    assert say("later.unknown", n=1, names="“white”") in words
    assert r"\*holiday\*" in words
    assert "*holiday*" not in words.replace(r"\*holiday\*", "")


def test_photos_that_the_run_knows_count_only_when_asked_for(visit: Visit, run: RunDirectory, photos: Dataset) -> None:
    folder = later.begin(run, photos)
    later_worker.start(folder, photos)
    test = later.read(folder)
    assert test is not None
    divided = run.split()
    assert set(test.seen) == {sample.path for sample in (*divided.train, *divided.val)}
    page = visit("results", run=run.id, test=folder.id)
    assert say("later.seen", n=len(test.seen)) in boxes(page)
    unseen = test.score()
    assert unseen.total == len(divided.test)
    assert f"**{unseen.correct} of {unseen.total} right" in told(page)
    page.checkbox(key=f"later_seen_{folder.id}").check().run()
    assert say("later.seen_counted", n=len(test.seen)) in boxes(page)
    assert f"**{test.results.correct} of {test.results.total} right" in told(page)


def test_where_it_knows_every_photo_there_is_no_score_and_the_page_says_why(
    visit: Visit, run: RunDirectory, workspace: Workspace, photos: Dataset
) -> None:
    known = datasets.create(workspace, "known", "upload")
    for sample in run.split().train:
        place = known.root / sample.path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes((photos.root / sample.path).read_bytes())
    scanning.work(known)
    folder = later.begin(run, known)
    later_worker.start(folder, known)
    page = visit("results", run=run.id, test=folder.id)
    assert say("later.nothing_left") in boxes(page)
    assert not page.exception


def test_a_run_without_test_photos_gets_its_score_from_others(visit: Visit, run: RunDirectory, others: Dataset) -> None:
    run.metrics.unlink()
    page = visit("results", run=run.id)
    assert say("results.no_test") in boxes(page)
    page.segmented_control(key="later_way").set_value("sets").run()
    page.button(key="later_start").click().run()
    assert "**5 of 6 right: between" in told(page)
    assert say("results.no_test") not in boxes(page)


def test_one_that_was_stopped_offers_to_go_on_and_one_that_failed_says_why(
    visit: Visit, run: RunDirectory, others: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(later_worker, "LOT", 2)
    folder = later.begin(run, others)
    folder.stop.touch()
    later_worker.work(folder, others, lambda run: Seer())
    page = visit("results", run=run.id)
    assert say("later.stopped", name=r"\*holiday\*", done=2, n=6) in boxes(page)
    page.button(key=f"later_go_{folder.id}").click().run()
    assert "**5 of 6 right: between" in told(page)
    run.model_card.write_text(json.dumps({"classes": ("x", "y")}))
    run.model.write_text("another model")
    page.button(key=f"later_go_{folder.id}").click().run()
    assert "None of these photos is of a class that the model knows" in boxes(page).replace("\\", "")
    assert not page.exception


def test_while_it_works_there_is_a_bar_and_a_way_to_stop(visit: Visit, run: RunDirectory, others: Dataset) -> None:
    folder = later.begin(run, others)
    folder.heartbeat.touch()
    folder.tell({"phase": "look", "done": 2, "total": 6, "model": later.model_stamp(run)})
    with folder.lock():
        page = visit("results", run=run.id)
        assert not page.exception
        assert not [one for one in page.button if one.key == f"later_go_{folder.id}"]
        page.button(key=f"later_stop_{folder.id}").click().run()
    assert folder.stop.exists()


def test_a_test_is_deleted_and_its_photos_stay(visit: Visit, run: RunDirectory, others: Dataset) -> None:
    folder = later.begin(run, others)
    later_worker.start(folder, others)
    page = visit("results", run=run.id, test=folder.id)
    page.button(key=f"later_delete_{folder.id}").click().run()
    assert not page.exception
    assert later.tests(run) == ()
    assert "test" not in page.query_params
    assert (others.root / "red" / "0.png").exists()


def test_of_a_test_whose_photos_are_gone_the_score_stays(visit: Visit, run: RunDirectory, others: Dataset) -> None:
    import shutil

    folder = later.begin(run, others)
    later_worker.start(folder, others)
    shutil.rmtree(others.folder)
    page = visit("results", run=run.id, test=folder.id)
    assert "**5 of 6 right: between" in told(page)
    assert say("later.gone") in told(page)


def test_photos_that_have_just_arrived_become_a_photo_set_and_are_tested_on(
    visit: Visit, run: RunDirectory, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from core.data import intake

    monkeypatch.setattr(datasets, "start_scan", lambda dataset: scanning.work(dataset) or True)
    upload = intake.begin(workspace, purpose="test")
    for name in ("trip/red/1.png", "trip/blue/1.png"):
        made = paint(Path(run.path) / "picture.png", name.split("/")[1])
        intake.receive(upload, name, made.read_bytes())
    page = visit("results", run=run.id, testing=upload.id)
    page.session_state["test_upload_told"] = {
        "id": "1", "upload": upload.id, "status": "done", "sent": 2, "received": 2, "expected": 2,
    }  # fmt: skip
    page.run()
    assert not page.exception
    [folder] = later.tests(run)
    assert folder.plan()["name"] == "trip"
    assert not upload.folder.exists()
    assert "**2 of 2 right: between" in told(page)


# Groups


def test_groups_that_are_known_are_told_with_the_worst_first(
    visit: Visit, workspace: Workspace, recorder: Recorder
) -> None:
    photos = make_photos(workspace, COLOURS, per_class=60)
    paths = [photo.path for photo in read_report(photos).photos]
    write_columns(photos, {"patient": {path: f"p{place % 2}" for place, path in enumerate(paths)}})
    run = finish(make_run(workspace, photos, recorder))
    patients = {path: f"p{place % 2}" for place, path in enumerate(paths)}
    tested = run.split().test
    answers = [
        Answer(sample.path, sample.target, ((sample.target if patients[sample.path] == "p0" else 3, 0.9), (4, 0.1)))
        for sample in tested
    ]
    made = Results((*run.split().classes, "x", "y"), tuple(answers))
    run.metrics.write_text(json.dumps(made.to_json()))
    page = visit("results", run=run.id)
    words = told(page)
    wrong = sum(patients[sample.path] == "p1" for sample in tested)
    assert f"It does worse on **“p1” \\(patient\\)**: 0 of {wrong} right" in words
    box = page.selectbox(key="groups_by")
    assert say("groups.kind.column", column="patient") in box.options
    assert say("groups.kind.light") in box.options
    box.set_value(box.options.index(say("groups.kind.column", column="patient"))).run()
    table = next(frame.value for frame in page.dataframe if say("groups.group") in frame.value)
    assert list(table[say("groups.group")]) == ["p1", "p0"]
    assert list(table[say("groups.photos")]) == [wrong, len(tested) - wrong]
    box = page.selectbox(key="groups_by")
    box.set_value(box.options.index(say("groups.kind.light"))).run()
    table = next(frame.value for frame in page.dataframe if say("groups.group") in frame.value)
    bright = sorted(read_facts(photos)[sample.sha256].brightness for sample in tested)
    assert len(table) == 3
    assert any(f"below {100 * bright[len(bright) // 3]:.0f}" in name for name in table[say("groups.group")])


def test_where_nothing_is_known_of_groups_nothing_is_said(visit: Visit, run: RunDirectory) -> None:
    assert say("groups.title") not in [one.value for one in visit("results", run=run.id).subheader]
