"""What is killed in the middle of a run: the web server, the worker. Nothing learnt is lost, nothing is told twice."""

import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from core.runs import RunDirectory, watch
from tests.browser import walking
from tests.browser.serving import Server
from tests.browser.walking import LONG, button, press, see, visit
from tests.photos import make_folder

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def server(start_server: Callable[..., Server]) -> Server:
    """Of our own: it is killed."""
    return start_server()


@pytest.fixture
def run(server: Server, tmp_path: Path) -> Iterator[RunDirectory]:
    submitted = walking.submit(server, make_folder(tmp_path / "shapes"), LONG)
    yield submitted
    if watch(submitted).open:
        walking.end(submitted)


def test_a_run_outlives_its_server_and_its_curve_comes_back_whole(page: Any, server: Server, run: RunDirectory) -> None:
    visit(page, server, f"train?run={run.id}")
    walking.wait_on_page(page, lambda: walking.points_drawn(page) >= 5, "no curve was drawn")
    server.kill()
    told = len(walking.epochs(run))
    walking.wait_for_run(run, lambda _: len(walking.epochs(run)) >= told + 2)  # with nobody watching
    server.start()
    drawn = len(watch(run).epochs)
    # The page comes back by itself, without a reload.
    walking.wait_on_page(page, lambda: walking.points_drawn(page) >= drawn, "the page didn't come back")
    assert walking.run_in_address(page) == run.id
    page.reload()
    walking.wait_on_page(page, lambda: walking.points_drawn(page) >= drawn, "the curve didn't come back")
    walking.end(run)
    see(page, "Stopped by you.")
    assert walking.epochs(run) == list(range(1, len(walking.epochs(run)) + 1))
    walking.assert_shows_the_whole_curve(page, run)


def test_a_killed_worker_is_shown_as_lost_and_goes_on_without_a_gap(
    page: Any, server: Server, run: RunDirectory
) -> None:
    visit(page, server, f"train?run={run.id}")
    walking.wait_for_run(run, lambda _: len(walking.epochs(run)) >= 2)
    pid = walking.worker_pid(run)
    os.kill(pid, signal.SIGKILL)
    see(page, re.compile("^The worker is gone"))
    see(page, f"worker {pid} on {run.id}")  # the log, open
    lost = len(watch(run).epochs)
    shorten(run, epochs=len(walking.epochs(run)) + 2)
    press(page, "resume")
    see(page, "Done. Every epoch was run.")
    assert watch(run).status == "finished"
    # Told again after a resume at most what no checkpoint had; the curve has each once and no gap.
    folded = [epoch.epoch for epoch in watch(run).epochs if epoch.phase == "finetune"]
    assert folded == list(range(1, len(folded) + 1))
    assert len(watch(run).epochs) > lost
    walking.assert_shows_the_whole_curve(page, run)
    button(page, "next_results").wait_for(timeout=walking.SECONDS * 1000)


def shorten(run: RunDirectory, epochs: int) -> None:
    """Let a run that is made to be caught in the middle come to its end soon."""
    path = run.path / "config.json"
    path.write_text(re.sub(rf'"epochs": {LONG.epochs}\b', f'"epochs": {epochs}', path.read_text("utf-8")), "utf-8")
    assert run.info().config.epochs == epochs
