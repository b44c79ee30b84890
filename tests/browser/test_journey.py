"""The whole way, on a real server with the real default weights: from photos to an answer, to the download and back."""

import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.data import datasets
from tests.browser import walking
from tests.browser.serving import ROOT, Server
from tests.browser.walking import LONG, button, heading, press, see, stat, visit
from tests.photos import make_folder

pytestmark = pytest.mark.timeout(600)


def test_the_demo_leads_from_start_to_a_model_to_take_along(page: Any, graft_server: Server, tmp_path: Path) -> None:
    visit(page, graft_server)
    press(page, "demo")
    see(page, "What Graft found")
    assert (stat(page, "Photos"), stat(page, "Classes"), stat(page, "Left out")) == ("160", "4", "0")
    press(page, "next_model")
    heading(page, "Choose a model")
    press(page, "start_training")
    run = graft_server.workspace / "me" / "runs" / walking.run_in_address(page)
    wait_for_curves(page)
    press(page, "next_results")
    heading(page, "Results")
    scores = json.loads((run / "metrics.json").read_text())
    see(page, f"{scores['correct']} of {scores['total']} right:")
    press(page, "next_try_it")
    heading(page, "Try it")
    photo = sorted((datasets.list_datasets(walking.owner(graft_server))[0].root).rglob("*.jpg"))[0]
    shown, sure = ask(page, photo)
    packed = take_along(page, tmp_path)
    told = predict_with(packed, photo)
    assert told["label"] == shown
    assert round(100 * told["confidence"]) == sure
    brought = bring(page, graft_server, packed)
    assert brought != run.name
    assert ask(page, photo) == (shown, sure)
    assert page.outside_requests == []


def ask(page: Any, photo: Path) -> tuple[str, int]:
    """The answer for a photo on Try it, and how many percent sure it is."""
    page.locator(".pick-files").set_input_files(str(photo))
    answer = page.locator("[class*='st-key-answer_']")
    answer.get_by_role("heading").wait_for(timeout=walking.SECONDS * 1000)
    shown = answer.get_by_role("heading").inner_text().strip()
    return shown, int(re.search(r"(\d+)\s%\ssure", answer.inner_text())[1])


def take_along(page: Any, folder: Path) -> Path:
    """Make the bundle, reload in the middle of it, see how its check came out, and download it."""
    press(page, "download_make")
    button(page, "download_stop").wait_for(timeout=walking.SECONDS * 1000)
    page.reload()
    link = page.get_by_role("link", name="Download the bundle")
    link.wait_for(timeout=walking.SECONDS * 1000)
    see(page, "Every form gives the app's answer for all")
    with page.expect_download(timeout=walking.SECONDS * 1000) as waiting:
        link.click()
    packed = folder / waiting.value.suggested_filename
    waiting.value.save_as(packed)
    return packed


def bring(page: Any, server: Server, packed: Path) -> str:
    """Import a bundle on the Start page and open it on Try it; returns the id of its run."""
    visit(page, server)
    press(page, "import_model")
    page.locator(".pick-files").set_input_files(str(packed))
    see(page, "is here now, among your runs")
    page.get_by_role("link", name="Go to Try it").click()
    heading(page, "Try it")
    return walking.run_in_address(page)


def wait_for_curves(page: Any) -> None:
    """Both charts are drawn, and the run comes to its end."""
    walking.wait_on_page(page, lambda: walking.points_drawn(page) > 0, "no curve was drawn")
    button(page, "next_results").wait_for(timeout=walking.SECONDS * 1000)
    page.locator(".graft-plot-node").nth(1).wait_for()  # the page is drawn anew when the run has ended
    assert page.locator(".graft-plot-node").count() == 2


def predict_with(packed: Path, photo: Path) -> dict[str, Any]:
    """What the downloaded model says in a terminal, in a process that knows nothing of the server's workspace."""
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(packed.parent)
    command = [sys.executable, "-m", "core", "predict", str(packed.parent / "graft-model"), str(photo)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=walking.SECONDS)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_chosen_folder_is_counted_and_what_is_no_photo_is_told(
    page: Any, graft_server: Server, tmp_path: Path
) -> None:
    folder = make_folder(tmp_path / "shapes", per_class=6)
    (folder / "circle" / "letter.jpg").write_text("Dear Graft, I am not a picture.")
    (folder / "square" / "nothing.jpg").touch()
    visit(page, graft_server, "photos")
    page.locator(".pick-folder").set_input_files(str(folder))
    see(page, "What Graft found")
    assert (stat(page, "Photos"), stat(page, "Classes"), stat(page, "Left out")) == ("18", "3", "2")
    for label in ("circle", "square", "stripes"):
        see(page, label)
    page.get_by_text("2 files were left out").click()
    rows = page.get_by_test_id("stDataFrame").filter(visible=True).first
    rows.wait_for()
    told = walking.wait_on_page(page, lambda: rows_of(page), "the list stayed empty")
    assert told["shapes/circle/letter.jpg"].startswith("This isn't a picture")
    assert told["shapes/square/nothing.jpg"].startswith("The file is empty")


def test_a_reload_and_a_second_tab_find_the_same_run(
    open_page: Callable[..., Any], graft_server: Server, tmp_path: Path
) -> None:
    run = walking.submit(graft_server, make_folder(tmp_path / "shapes"), LONG)
    first = open_page()
    visit(first, graft_server, f"train?run={run.id}")
    walking.wait_on_page(first, lambda: walking.points_drawn(first) >= 5, "no curve was drawn")
    before = walking.points_drawn(first)
    first.reload()
    walking.wait_on_page(first, lambda: walking.points_drawn(first) >= before, "the curve didn't come back")
    assert walking.run_in_address(first) == run.id
    second = first.context.new_page()
    visit(second, graft_server, first.url.removeprefix(f"{graft_server.url}/"))
    walking.wait_on_page(second, lambda: walking.points_drawn(second) >= before, "the second tab shows less")
    walking.end(run)
    for page in (first, second):
        see(page, "Stopped by you.")
        walking.assert_shows_the_whole_curve(page, run)


def test_stop_keeps_the_best_and_going_on_adds_to_it(page: Any, graft_server: Server, tmp_path: Path) -> None:
    run = walking.submit(graft_server, make_folder(tmp_path / "shapes"), LONG)
    visit(page, graft_server, f"train?run={run.id}")
    walking.wait_for_run(run, lambda state: len(walking.epochs(run)) >= 2)
    press(page, "stop")
    see(page, "Stopped by you. The best model so far was kept")
    assert run.has_model
    button(page, "next_results").wait_for(timeout=walking.SECONDS * 1000)
    told = len(walking.epochs(run))
    press(page, "resume")
    walking.wait_for_run(run, lambda state: len(walking.epochs(run)) > told)
    button(page, "stop").wait_for(timeout=walking.SECONDS * 1000)
    press(page, "stop")
    see(page, "Stopped by you.")
    assert walking.epochs(run) == list(range(1, len(walking.epochs(run)) + 1))
    walking.assert_shows_the_whole_curve(page, run)


def rows_of(page: Any) -> dict[str, str]:
    """The first two columns of the visible table; the grid keeps them as a table beside its canvas."""
    table = page.locator("[data-testid='stDataFrame'] table").first
    cells = table.locator("tbody tr").evaluate_all(
        "rows => rows.map((row) => [...row.querySelectorAll('td')].map((cell) => cell.textContent))"
    )
    return {row[0]: row[1] for row in cells}
