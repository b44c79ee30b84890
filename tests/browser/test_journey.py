"""The whole way, on a real server with the real default weights: from photos to an answer, and to the download."""

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from core.data import datasets
from tests.browser import walking
from tests.browser.serving import ROOT, Server
from tests.browser.walking import button, heading, press, see, stat, visit

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
    see(page, f"{scores['correct']} of {scores['total']} right.")
    press(page, "next_try_it")
    heading(page, "Try it")
    photo = sorted((datasets.list_datasets(walking.owner(graft_server))[0].root).rglob("*.jpg"))[0]
    page.locator(".pick-files").set_input_files(str(photo))
    answer = page.locator("[class*='st-key-answer_']")
    answer.get_by_role("heading").wait_for(timeout=walking.SECONDS * 1000)
    shown = answer.get_by_role("heading").inner_text().strip()
    sure = int(re.search(r"(\d+) % sure", answer.inner_text())[1])
    told = predict_with_the_download(page, tmp_path, photo)
    assert told["label"] == shown
    assert round(100 * told["confidence"]) == sure
    assert page.outside_requests == []


def wait_for_curves(page: Any) -> None:
    """Both charts are drawn, and the run comes to its end."""
    walking.wait_on_page(page, lambda: walking.points_drawn(page) > 0, "no curve was drawn")
    button(page, "next_results").wait_for(timeout=walking.SECONDS * 1000)
    assert page.locator(".graft-plot-node").count() == 2


def predict_with_the_download(page: Any, folder: Path, photo: Path) -> dict[str, Any]:
    """What the downloaded model says in a terminal, in a process that knows nothing of the server's workspace."""
    with page.expect_download(timeout=walking.SECONDS * 1000) as waiting:
        press(page, "download")
    packed = folder / "model.zip"
    waiting.value.save_as(packed)
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(folder)
    command = [sys.executable, "-m", "core", "predict", str(folder / "graft-model"), str(photo)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=walking.SECONDS)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
