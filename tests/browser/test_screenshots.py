"""A picture of each page, light and dark, wide and narrow, into the folder that ``GRAFT_SCREENSHOTS`` names.

The pictures of the README come from here: the demo photos and a Balanced run on them.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.data import datasets
from core.data.split import split
from core.models import registry
from core.recipes import Facts, recipe
from tests.browser import walking
from tests.browser.serving import ROOT, Server
from tests.browser.walking import visit

FOLDER = os.environ.get("GRAFT_SCREENSHOTS")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not FOLDER, reason="GRAFT_SCREENSHOTS names no folder for the pictures"),
]
WIDTHS = (1440, 420)
SCHEMES = ("light", "dark")
STEPS = ("start", "photos", "model", "train", "results", "try_it", "why")
CHARTS = {"train": 2, "results": 3, "try_it": 2, "why": 1}
SECTIONS = {"Photos": 0, "Division": 1, "History": 0}  # of the Photos page beside its first one, with their charts


@pytest.fixture(scope="module")
def places(start_server: Callable[..., Server]) -> tuple[Server, str, list[Path]]:
    """A server with the demo photos and a finished Balanced run on them; its address's query; photos to try."""
    server = start_server()
    measure_speeds(server)
    photos = walking.demo_photos(server)
    report = datasets.watch(photos).report
    assert report is not None
    divided = split(report)
    backbone = registry.backbone("efficientnet_lite0")
    facts = Facts(len(divided.train), len(divided.classes), len(backbone.stages), gpu=False)
    run = walking.submit_on(server, photos, recipe("balanced", facts).config)
    state = walking.wait_for_run(run, lambda state: not state.open, seconds=900)
    assert state.status == "finished"
    tried = [photos.root / sample.path for sample in divided.test[:: max(1, len(divided.test) // 2)]][:2]
    return server, f"set={photos.id}&run={run.id}", tried


def measure_speeds(server: Server) -> None:
    """Before the pictures are taken, so that the cards are complete."""
    names = [name for name in registry.FEATURED if name.startswith("efficientnet_lite")]
    command = [sys.executable, "-m", "core.models.speed", *names, "--into", str(walking.owner(server).speeds)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=600)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_every_page_is_pictured(open_page: Callable[..., Any], places: Any, width: int, scheme: str) -> None:
    server, query, tried = places
    folder = Path(str(FOLDER))
    folder.mkdir(parents=True, exist_ok=True)
    page = open_page(viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce")
    for step in STEPS:
        visit(page, server, f"{'' if step == 'start' else step}?{query}")
        if step == "try_it":
            page.locator(".pick-files").set_input_files([str(path) for path in tried])
        if step == "photos":
            walking.checked_up(page)
        picture(page, folder / f"{step}-{scheme}-{width}.png", CHARTS.get(step, 0), width)
    for section, charts in SECTIONS.items():
        visit(page, server, f"photos?{query}&section={section}")
        picture(page, folder / f"photos-{section.lower()}-{scheme}-{width}.png", charts, width)


def picture(page: Any, file: Path, charts: int, width: int) -> None:
    """One picture of the whole page, once everything on it is drawn; nothing of it may be wider than the window."""
    walking.wait_for_pictures(page, charts)
    show_all(page, width)
    page.screenshot(path=str(file))
    page.set_viewport_size({"width": width, "height": 900})
    wide = page.evaluate(
        """() => {
          const main = document.querySelector("[data-testid=stMain]")
          return main.scrollWidth - main.clientWidth
        }"""
    )
    assert wide <= 0, f"{file.name} is {wide} pixels wider than a screen of {width}"


def show_all(page: Any, width: int) -> None:
    """What scrolls inside the page's main part would be cut off: make the window as high as that, until it stays so."""
    height, before = 900, 0
    while height != before:
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_timeout(500)  # drawings follow the width and settle on a height of their own
        before = height
        height = max(900, page.evaluate("() => document.querySelector('[data-testid=stMain]').scrollHeight"))
