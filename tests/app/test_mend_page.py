"""The mending panel without a browser: what it shows, what its buttons do, and what it never reads as markup."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from core.data import datasets, mending
from core.data.datasets import Dataset
from core.data.store import read_report
from core.words import say
from core.workspace import Workspace
from pages.parts import history
from tests.app.conftest import SECONDS, Recorder, finish, make_photos, make_run
from tests.app.test_pages import HOSTILE_NAMES, boxes, texts

STAGE = Path(__file__).parent.parent / "browser" / "stage" / "mending.py"


@pytest.fixture
def photos(workspace: Workspace) -> Dataset:
    return make_photos(workspace)


@pytest.fixture
def show(workspace: Workspace) -> Callable[..., AppTest]:
    """``show(dataset, shown=…)``: the panel on a page of its own."""

    def open_stage(dataset: Dataset, **query: Any) -> AppTest:
        page = AppTest.from_file(str(STAGE), default_timeout=SECONDS)
        page.query_params["set"] = dataset.id
        for name, value in query.items():
            page.query_params[name] = value
        page.run()
        assert not page.exception
        return page

    return open_stage


def grid_data(page: AppTest) -> dict[str, Any]:
    """What the element was given, from the message that goes to the browser."""
    import json

    found = page.get("bidi_component")
    assert len(found) == 1
    return json.loads(found[0].proto.json)


def shown_paths(page: AppTest) -> list[str]:
    return [tile["path"] for tile in grid_data(page)["tiles"]]


def last_line(page: AppTest) -> str:
    return next(text for text in texts(page) if text.startswith(":material/history:"))


def test_a_fresh_set_shows_all_photos_and_nothing_to_undo(show, photos):
    page = show(photos)
    assert len(shown_paths(page)) == 24
    assert say("mend.history.none") in last_line(page).replace("\\", "")
    assert not [button for button in page.button if button.key in ("mend_undo", "mend_redo")]
    assert page.selectbox(key="mend_view").options == [
        "All photos", "Class “circle”", "Class “square”", "Class “stripes”",
    ]  # fmt: skip


def test_a_view_and_a_search_narrow_what_is_shown(show, photos):
    page = show(photos)
    page.selectbox(key="mend_view").set_value("class:square").run()
    assert shown_paths(page) == [f"square/{number}.jpg" for number in range(8)]
    page.text_input(key="mend_query").set_value("3.J").run()
    assert shown_paths(page) == ["square/3.jpg"]
    page.text_input(key="mend_query").set_value("no such").run()
    data = grid_data(page)
    assert (data["tiles"], data["nothing"]) == ([], say("mend.nothing"))


def test_set_aside_photos_have_a_view_of_their_own_with_the_reason(show, photos):
    mending.set_aside(photos, ["circle/0.jpg"], "poor")
    page = show(photos)
    page.selectbox(key="mend_view").set_value("aside").run()
    data = grid_data(page)
    assert [(tile["path"], tile["badge"]) for tile in data["tiles"]] == [("circle/0.jpg", say("mend.why.poor"))]
    assert data["actions"] == ["back"]


def test_undo_and_redo_stand_beside_the_last_step(show, photos):
    before = read_report(photos).fingerprint
    mending.move(photos, ["circle/0.jpg"], "square")
    moved = read_report(photos).fingerprint
    page = show(photos)
    assert "1 photo moved to" in last_line(page)
    page.button(key="mend_undo").click().run()
    assert read_report(photos).fingerprint == before
    page.button(key="mend_redo").click().run()
    assert read_report(photos).fingerprint == moved


def test_a_class_gets_another_name_and_the_view_follows(show, photos):
    page = show(photos)
    page.selectbox(key="mend_view").set_value("class:circle").run()
    page.selectbox(key="mend_old").set_value("circle").run()
    assert page.button(key="mend_rename").disabled
    page.text_input(key="mend_new").set_value("  Ring ").run()
    assert say("mend.classes.rename_says", old="circle", new="Ring") in [box.value for box in page.markdown]
    page.button(key="mend_rename").click().run()
    assert not page.exception
    assert read_report(photos).classes == ("Ring", "square", "stripes")
    assert page.selectbox(key="mend_view").value == "class:Ring"
    assert page.text_input(key="mend_new").value == ""


def test_the_name_of_another_class_merges_and_says_so_first(show, photos):
    page = show(photos)
    page.selectbox(key="mend_old").set_value("circle").run()
    page.text_input(key="mend_new").set_value("SQUARE").run()
    words = say("mend.classes.merge_says", old="circle", new="square", count=8, other=8, together=16)
    assert words in [box.value.replace("\\", "") for box in page.markdown]
    assert page.button(key="mend_rename").label == say("mend.classes.merge")
    page.button(key="mend_rename").click().run()
    assert read_report(photos).counts == {"square": 16, "stripes": 8}


@pytest.mark.parametrize("typed", ["x" * 150, "\u202e\u2066"])
def test_a_name_that_is_none_gets_a_message_and_changes_nothing(show, photos, typed):
    page = show(photos)
    page.text_input(key="mend_new").set_value(typed).run()
    assert len(page.error) == 1
    assert page.button(key="mend_rename").disabled
    assert read_report(photos).version == 0


def test_the_history_tells_each_version_and_leads_back_to_it(show, photos):
    before = read_report(photos).fingerprint
    mending.set_aside(photos, ["circle/0.jpg"])
    mending.rename_class(photos, "square", "box")
    page = show(photos)
    assert [button.key for button in page.button if "_back_" in str(button.key)] == ["mend_back_1", "mend_back_0"]
    page.button(key="mend_back_0").click().run()
    assert read_report(photos).fingerprint == before
    assert read_report(photos).version == 3
    assert [button.key for button in page.button if "_back_" in str(button.key)] == ["mend_back_2", "mend_back_1"]


def test_a_long_history_is_cut_until_it_is_asked_for(show, photos):
    for number in range(history.SHOWN_STEPS + 3):
        mending.move(photos, ["circle/0.jpg"], f"class {number}")
    page = show(photos)
    assert not [button for button in page.button if button.key == "mend_back_0"]
    page.toggle(key="mend_all").set_value(True).run()
    page.button(key="mend_back_0").click().run()
    assert read_report(photos).classes == ("circle", "square", "stripes")


def test_a_hundred_and_twenty_photos_make_a_page(show, workspace):
    made = make_photos(workspace, per_class=45)
    page = show(made)
    data = grid_data(page)
    assert (len(data["tiles"]), data["total"]) == (120, 135)
    page.session_state["mend_page"] = 2
    page.run()
    assert len(shown_paths(page)) == 15
    mending.set_aside(made, shown_paths(page))
    page.run()
    assert not page.exception
    assert len(shown_paths(page)) == 120  # the second page is gone


def test_only_some_photos_are_shown_where_a_finding_asks_for_them(show, photos):
    page = show(photos, shown=["stripes/3.jpg", "gone.jpg", "circle/1.jpg"])
    assert shown_paths(page) == ["stripes/3.jpg", "circle/1.jpg"]
    assert not page.selectbox


def test_names_are_shown_and_never_read_as_markup(show, photos):
    for number, name in enumerate(HOSTILE_NAMES):
        mending.move(photos, [f"circle/{number}.jpg"], name)
    mending.rename_class(photos, "square", "![x](//evil)")
    page = show(photos)
    page.selectbox(key="mend_old").set_value("$x$").run()
    page.text_input(key="mend_new").set_value(":red[x]").run()
    assert not page.exception
    for text in texts(page):
        for name in (*HOSTILE_NAMES, "![x](//evil)"):
            assert name not in text


# The grid's deeds, as a browser would tell them


def tell(photos: Dataset, monkeypatch: pytest.MonkeyPatch, *rows: dict[str, object]) -> tuple[list[str], list[str]]:
    """What the panel's callback makes of deeds; returns those done and those that couldn't be."""
    from types import SimpleNamespace

    from pages.parts import grid, mend

    every = [photo.path for photo in read_report(photos).photos]
    state: dict[str, Any] = {"mend_grid": {"acted": list(rows)}, grid.SESSION: "now"}
    fake = SimpleNamespace(session_state=state)
    monkeypatch.setattr(grid, "st", fake)
    monkeypatch.setattr(history, "st", fake)
    for _ in range(2):  # Streamlit may tell it again
        grid._act("mend_grid", "all 1 ", lambda action: mend._act(photos, every, "mend", action))
    return state["mend_grid_told"]


def test_each_deed_is_done_once_and_in_order(photos, monkeypatch):
    paths = ["circle/0.jpg", "circle/1.jpg"]
    done, failed = tell(
        photos, monkeypatch,
        {"id": "1", "name": "move", "paths": paths, "value": "ring"},
        {"id": "2", "name": "aside", "paths": paths[:1], "value": "poor"},
        {"id": "3", "name": "undo", "paths": [], "session": "now"},
        {"id": "6", "name": "undo", "paths": [], "session": "before"},
        {"id": "4", "name": "forget", "paths": ["square/0.jpg"]},
        {"id": "5", "name": "move", "paths": paths, "value": " "},
    )  # fmt: skip
    assert (done, failed) == (["1", "2", "3", "4"], ["6", "5"])
    assert [step.kind for step in mending.history(photos).steps] == ["move", "set_aside", "undo", "forget_label"]
    report = read_report(photos)
    assert report.counts == {"circle": 6, "ring": 2, "square": 7, "stripes": 8}
    assert not report.aside


def _everything(view: str) -> dict[str, object]:
    return {"id": "1", "name": "aside", "paths": ["circle/0.jpg"], "everything": True, "view": view}


def test_everything_means_all_pages_of_the_view(photos, monkeypatch):
    tell(photos, monkeypatch, _everything("all 1 "))
    assert len(read_report(photos).aside) == 24


def test_everything_of_a_view_that_is_no_longer_shown_is_left_alone(photos, monkeypatch):
    assert tell(photos, monkeypatch, _everything("class:circle 1 ")) == ([], ["1"])
    assert read_report(photos).version == 0


def test_what_is_so_already_makes_no_step(photos, monkeypatch):
    mending.set_aside(photos, ["circle/0.jpg"])
    paths = ["circle/0.jpg", "circle/1.jpg"]
    done, _ = tell(
        photos, monkeypatch,
        {"id": "1", "name": "aside", "paths": paths},
        {"id": "2", "name": "aside", "paths": paths},
        {"id": "3", "name": "back", "paths": ["square/0.jpg"]},
        {"id": "4", "name": "move", "paths": ["square/0.jpg"], "value": "Square"},
        {"id": "5", "name": "forget", "paths": ["square/0.jpg"]},
        {"id": "6", "name": "forget", "paths": ["square/0.jpg"]},
    )  # fmt: skip
    assert done == ["1", "2", "3", "4", "5", "6"]
    assert [step.values["n"] for step in mending.history(photos).steps] == [1, 1, 1]


def test_a_reason_that_nobody_offered_is_not_kept(photos, monkeypatch):
    tell(photos, monkeypatch, {"id": "1", "name": "aside", "paths": ["circle/0.jpg"], "value": "<script>"})
    assert mending.history(photos).state().said["aside"] == {"circle/0.jpg": "chosen"}


# Deleting


def test_deleting_says_what_goes_and_which_models_learnt_from_it(show, workspace, photos, recorder: Recorder):
    finish(make_run(workspace, photos, recorder))
    page = show(photos)
    page.button(key="delete_set").click().run()
    told = " ".join(texts(page))
    assert "holds 24 photos" in told
    assert "1 model was trained on them" in told
    assert "circle · " in told
    page.button(key="delete_keep").click().run()
    assert photos.folder.exists()


def test_deleting_frees_the_space_and_leads_back(show, workspace, photos):
    page = show(photos)
    page.button(key="delete_set").click().run()
    page.button(key="delete_sure").click().run()
    assert not page.exception
    assert not datasets.list_datasets(workspace)
    assert not photos.folder.exists()
    assert say("mend.delete.done", name="circle") in boxes(page)
    assert page.code[0].value == "no data set"
    page.run()
    assert not page.success


def test_photos_that_a_run_is_reading_are_not_deleted(show, workspace, photos, recorder: Recorder):
    make_run(workspace, photos, recorder)
    page = show(photos)
    page.button(key="delete_set").click().run()
    assert page.button(key="delete_sure").disabled
    assert any("is learning from these photos now" in box.value.replace("\\", "") for box in page.warning)
