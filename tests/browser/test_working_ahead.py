"""A process stands by while photos arrive: the run that Start begins is its own, on features that are there."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.data import datasets
from core.data.split import split
from core.runs import RunDirectory
from core.runs.store import read_events
from tests.browser import walking
from tests.browser.serving import Server
from tests.browser.walking import button, press, visit
from tests.photos import make_folder

pytestmark = pytest.mark.timeout(600)


def test_photos_are_worked_on_from_the_first_file_and_start_finds_them_done(
    page: Any, start_server: Callable[..., Server], tmp_path: Path
) -> None:
    server = start_server(environment={"GRAFT_STANDBY": "1"})
    home = walking.owner(server).home
    visit(page, server, "photos")
    assert standbys(home) == []
    page.locator(".pick-folder").set_input_files(str(make_folder(tmp_path / "shapes", per_class=20)))
    walking.wait_on_page(page, lambda: standbys(home), "nothing stands by")
    waiting = standbys(home)
    press(page, "next_model")
    chosen = datasets.list_datasets(walking.owner(server))[0]
    report = datasets.watch(chosen).report
    wanted = len(report.photos) + len(split(report).test)  # whose exact features score the model
    walking.wait_on_page(page, lambda: kept_rows(home) == wanted, "the photos weren't worked on")
    press(page, "start_training")
    run = RunDirectory(home / "runs" / walking.run_in_address(page))
    button(page, "next_results").wait_for(timeout=walking.SECONDS * 1000)
    assert walking.worker_pid(run) in waiting
    computed = {e.per_second for e in read_events(run)[0] if hasattr(e, "per_second") and e.phase == "photos"}
    assert computed == {0.0}


def standbys(home: Path) -> list[int]:
    """The processes that stand by for the owner of this folder."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:  # ended meanwhile
            continue
        if b"core.runs.standby" in words and str(home).encode() in words:
            found.append(int(folder.name))
    return found


def kept_rows(home: Path) -> int:
    """How many photos have kept features, those with exact ones counted again; a key has 32 bytes."""
    return sum(path.stat().st_size for path in home.glob("cache/kept/*features*/keys")) // 32
