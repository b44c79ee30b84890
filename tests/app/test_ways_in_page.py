"""The ways in without a browser: which are offered, what they refuse, and what a table's columns come to."""

from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.data import datasets, intake, mending, piles, scanning
from core.data.quota import Quota
from core.data.store import columns_of
from core.workspace import Workspace
from tests.hostile import jpeg, write_photos

Visit = Callable[..., AppTest]


def errors(page: AppTest) -> str:
    assert not page.exception
    return " ".join(box.value for box in page.error)


def ways(page: AppTest) -> list[str]:
    (chosen,) = [group for group in page.segmented_control if group.key == "way_in"]
    return list(chosen.options)


def named(page: AppTest, name: str) -> AppTest:
    page.text_input(key="new_class_name").input(name)
    (add,) = [button for button in page.button if button.label == "Add class"]
    return add.click().run()


def test_a_folder_on_the_server_is_offered_only_where_the_operator_allows_one(
    visit: Visit, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("GRAFT_FOLDERS", raising=False)
    assert ways(visit("photos")) == ["Folder or zip", "Class by class"]
    monkeypatch.setenv("GRAFT_FOLDERS", str(tmp_path))
    assert ways(visit("photos")) == ["Folder or zip", "Class by class", "Folder on the server"]


def test_the_way_in_the_address_is_open_and_an_unknown_one_is_the_first(visit: Visit) -> None:
    page = visit("photos", way="classes")
    assert [box.label for box in page.text_input] == ["New class"]
    other = visit("photos", way="nonsense")
    assert other.query_params["way"] == "folder" or other.query_params["way"] == ["folder"]


def test_classes_are_named_one_after_the_other_and_a_bad_name_says_why(visit: Visit) -> None:
    page = visit("photos", way="classes")
    named(page, "cat")
    named(page, "a/b")
    assert "can't be the name of a folder" in errors(page).replace("\\", "")
    named(page, "*dog*")
    assert "can't be the name of a folder" in errors(page).replace("\\", "")
    named(page, "dog_[x](y)")
    assert errors(page) == ""
    shown = [text.value for text in page.markdown if " photos" in text.value and text.value.startswith("**")]
    assert shown[0] == "**cat** · 0 photos"
    assert "\\[x\\]\\(y\\)" in shown[1], "a name is never read as markup"


def test_photos_of_classes_are_used_once_there_are_some(
    visit: Visit, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets, "start_scan", lambda dataset: scanning.work(dataset) or True)
    upload = intake.begin(workspace, purpose="classes")
    piles.add_class(upload, "empty")
    page = visit("photos", way="classes", classes=upload.id)
    assert page.button(key="use_classes").disabled
    for number, label in enumerate(("cat", "dog")):
        intake.receive(upload, f"{label}/a.jpg", jpeg(number), quota=Quota(free_bytes=0))
    page = visit("photos", way="classes", classes=upload.id)
    assert not page.button(key="use_classes").disabled
    page.button(key="use_classes").click().run()
    assert errors(page) == ""
    (made,) = datasets.list_datasets(workspace)
    assert made.name == "cat, dog"
    assert "way" not in page.query_params
    assert "classes" not in page.query_params


def test_a_tables_columns_are_changed_and_used_in_one_step(visit: Visit, workspace: Workspace) -> None:
    made = datasets.create(workspace, "plants", "upload")
    write_photos(made.root, {"images": 6})
    rows = ["file,leaf,season,plant"]
    rows += [f"{n:03}.jpg,{('oak', 'elm')[n % 2]},{('may', 'june')[n // 3]},p{n // 2}" for n in range(6)]
    (made.root / "labels.csv").write_text("\n".join(rows), "utf-8")
    scanning.work(made)
    before = datasets.watch(made).report
    assert before is not None
    assert before.classes == ("elm", "oak")
    page = visit("photos", set=made.id)
    page.segmented_control(key="section").set_value("photos").run()
    assert page.selectbox(key="table_label_labels.csv").value == 1
    page.selectbox(key="table_label_labels.csv").select_index(2).run()
    page.button(key="table_use").click().run()
    assert errors(page) == ""
    after = datasets.watch(made).report
    assert after is not None
    assert after.classes == ("june", "may")
    assert set(columns_of(made)) == {"leaf", "plant"}
    assert [step.kind for step in mending.history(made).steps] == ["table"]
    mending.undo(made)
    undone = datasets.watch(made).report
    assert undone is not None
    assert undone.fingerprint == before.fingerprint


def test_a_set_of_photos_that_are_all_still_to_be_labelled_opens(visit: Visit, workspace: Workspace) -> None:
    made = datasets.create(workspace, "later", "upload")
    write_photos(made.root, {"to label": 4})
    scanning.work(made)
    page = visit("photos", set=made.id)
    assert not page.exception
    for name in ("doctor", "photos", "division", "history"):
        page.segmented_control(key="section").set_value(name).run()
        assert not page.exception, name
