"""Many photos on Try it, in a real browser: a folder and a zip in, a table and a sorted zip out, through a reload."""

import csv
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.config import TrainConfig
from core.data import intake
from core.data.scan import scan
from core.data.split import split
from core.inference import batch_worker
from core.inference.batch_folder import BatchFolder
from core.inference.predictor import ModelCard, write_model
from core.models.build import build
from core.runs import store
from core.runs.store import RunDirectory
from tests.browser import walking
from tests.browser.serving import Server, settled
from tests.browser.walking import button, press, see, visit
from tests.colours import Colours, paint
from tests.photos import CLASSES, make_folder

pytestmark = pytest.mark.timeout(600)


def make_run(server: Server, folder: Path) -> RunDirectory:
    """A run whose model was never trained: it answers something, which is enough here."""
    divided = split(scan(make_folder(folder, per_class=4)))
    config = TrainConfig()
    run = store.create(walking.owner(server).runs, config, divided, title="shapes", dataset={"name": "shapes"})
    network = build("efficientnet_lite0", len(CLASSES), weights=None)
    write_model(run, network, ModelCard.of(config, divided, network, None))
    return run


def download(page: Any, press_it: Any, into: Path) -> Path:
    with page.expect_download(timeout=walking.SECONDS * 1000) as waiting:
        press_it()
    waiting.value.save_as(into)
    return into


def test_a_folder_and_a_zip_become_a_table_and_sorted_folders(page: Any, graft_server: Server, tmp_path: Path) -> None:
    run = make_run(graft_server, tmp_path / "shapes")
    folder = make_folder(tmp_path / "many", per_class=30)
    with zipfile.ZipFile(tmp_path / "more.zip", "w") as archive:
        for photo in (folder / "circle").iterdir():
            archive.write(photo, f"inside/{photo.name}")
    visit(page, graft_server, f"try_it?run={run.id}")
    page.get_by_role("radio", name="Many", exact=True).click()
    see(page, "Drop a folder or a zip of photos here")
    settled(page)
    page.locator(".pick-folder").set_input_files(str(folder))
    button(page, "many_start").wait_for(timeout=walking.SECONDS * 1000)
    page.locator(".pick-files").set_input_files(str(tmp_path / "more.zip"))
    see(page, "1 file has arrived")
    settled(page)
    press(page, "many_start")
    button(page, "many_stop").wait_for(timeout=walking.SECONDS * 1000)
    page.reload()  # the work goes on, and the address leads back to it
    see(page, "All 120 photos were looked at.")
    table = download(page, lambda: press(page, "many_csv"), tmp_path / "answers.csv")
    with table.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert sum(row["path"].startswith("more.zip/inside/") for row in rows) == 30
    assert {row["label"] for row in rows} <= set(CLASSES)
    link = page.get_by_role("link", name="Download sorted into folders")
    packed = download(page, link.click, tmp_path / "sorted.zip")
    with zipfile.ZipFile(packed) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
    assert len(names) == len(set(names)) == 120
    for label in CLASSES:
        expected = sum(row["label"] == label for row in rows)
        assert sum(name.startswith(f"{label}/") for name in names) == expected
    assert page.outside_requests == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_its_answers_are_open_to_all(
    open_page: Callable[..., Any], graft_server: Server, tmp_path: Path, scheme: str
) -> None:
    from tests.browser.test_access import assert_open_to_all

    run = make_run(graft_server, tmp_path / "shapes")
    upload = intake.begin(walking.owner(graft_server), purpose="many")
    for name, colour in (("reds/1.png", "red"), ("2.png", "blue")):
        paint(upload.photos / name, colour)
    (upload.photos / "bad.png").write_text("no photo")
    batch_worker.work(BatchFolder(upload.folder, run), lambda run: Colours())
    page = open_page(color_scheme=scheme)
    visit(page, graft_server, f"try_it?run={run.id}&many={upload.id}")
    see(page, "All 3 photos were looked at.")
    see(page, "can't be read: 1")
    settled(page)
    assert_open_to_all(page)
