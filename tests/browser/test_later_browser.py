"""Other photos to test on, in a real browser: a folder in, through a reload, to a score that can be looked into."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.data import datasets, scanning
from core.export.made import ExportFolder
from core.inference import later, later_worker
from core.runs import RunDirectory
from core.serve import bundle_worker
from tests.app.test_download_page import bundle
from tests.browser import walking
from tests.browser.serving import Server, settled
from tests.browser.test_many import make_run
from tests.browser.walking import press, see, visit
from tests.photos import make_folder

pytestmark = pytest.mark.timeout(600)


def test_a_folder_is_tested_on_and_its_score_is_in_the_address(page: Any, graft_server: Server, tmp_path: Path) -> None:
    run = make_run(graft_server, tmp_path / "shapes")
    visit(page, graft_server, f"results?run={run.id}")
    page.get_by_role("radio", name="New photos", exact=True).click()
    see(page, "Drop a folder of photos here")
    settled(page)
    page.locator(".pick-folder").set_input_files(str(make_folder(tmp_path / "garden", per_class=5, seed=7)))
    page.locator("[class*='st-key-later_stop_']").first.wait_for(timeout=walking.SECONDS * 1000)
    page.reload()  # the work goes on
    see(page, " of 15 right: between")
    [folder] = later.tests(run)
    test = later.read(folder)
    assert test is not None
    right = f"{test.results.correct} of 15 right: between"
    see(page, right)
    assert datasets.open_dataset(walking.owner(graft_server), test.dataset).name == "garden"
    visit(page, graft_server, f"results?run={run.id}&test={folder.id}")
    see(page, "What was taken for what")
    press(page, f"later_delete_{folder.id}")
    see(page, "There were no test photos")
    assert later.tests(run) == ()
    assert page.outside_requests == []


def ready_to_show(server: Server, folder: Path) -> tuple[RunDirectory, str]:
    """A run with a finished test and a bundle."""
    from core.inference.predictor import Predictor

    run = make_run(server, folder / "shapes")
    photos = datasets.create(walking.owner(server), "garden", "upload")
    make_folder(photos.root, per_class=6, seed=3)
    scanning.work(photos)
    test = later.begin(run, photos)
    later_worker.work(test, photos, Predictor.load)
    bundle_worker.work(ExportFolder(run), with_photos=True, export=bundle)
    return run, test.id


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_its_score_its_groups_and_the_bundle_are_open_to_all(
    open_page: Callable[..., Any], graft_server: Server, tmp_path: Path, scheme: str
) -> None:
    from tests.browser.test_access import assert_open_to_all

    run, test = ready_to_show(graft_server, tmp_path)
    page = open_page(color_scheme=scheme)
    visit(page, graft_server, f"results?run={run.id}&test={test}")
    see(page, "Where it does worse")
    see(page, "Test on other photos")
    settled(page)
    assert_open_to_all(page, 3)
    visit(page, graft_server, f"try_it?run={run.id}")
    see(page, "Download the bundle")
    settled(page)
    assert_open_to_all(page)
    visit(page, graft_server)
    press(page, "import_model")
    see(page, "Drop a model's zip here")
    settled(page)
    assert_open_to_all(page)
