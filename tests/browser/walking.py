"""Steps that several browser tests take: opening a page, pressing what it offers, and waiting for what a run tells."""

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core import runs
from core.config import TrainConfig
from core.data import datasets
from core.data.datasets import Dataset
from core.data.scan import scan
from core.data.split import split
from core.events import EpochEnded
from core.runs import RunDirectory, RunState, watch
from core.runs.store import read_events
from core.workspace import Workspace
from tests.browser.serving import Server, settled

SECONDS = 150.0  # for whatever takes long on a busy machine; an idle one needs a tenth
QUICK = TrainConfig(head_epochs=30, freeze_depth="all", augment="none", device="cpu")
# Minutes long: caught in the middle, and ended by whoever has seen enough.
LONG = TrainConfig(head_epochs=3, freeze_depth=7, epochs=500, patience=1000, augment="none", device="cpu", batch_size=2)


def visit(page: Any, server: Server, place: str = "") -> None:
    """Open an address of the app and wait until its script has run."""
    page.goto(f"{server.url}/{place}")
    page.get_by_role("heading", level=1).wait_for(timeout=SECONDS * 1000)
    settled(page, SECONDS * 1000)
    assert page.get_by_role("dialog").count() == 0, "Streamlit doesn't know this address"


def button(page: Any, key: str) -> Any:
    # Streamlit draws a button with a tooltip twice, one of them hidden.
    return page.locator(f".st-key-{key} button").filter(visible=True)


def press(page: Any, key: str) -> None:
    """Press the button with this key, once it can be pressed."""
    button(page, key).click(timeout=SECONDS * 1000)


def heading(page: Any, text: str) -> None:
    """Wait for a page's title."""
    page.get_by_role("heading", level=1, name=text, exact=True).wait_for(timeout=SECONDS * 1000)
    settled(page, SECONDS * 1000)


def see(page: Any, text: str | re.Pattern[str], seconds: float = SECONDS) -> Any:
    """Wait until ``text`` is visible; returns its place."""
    place = page.get_by_text(text).filter(visible=True).first
    place.wait_for(timeout=seconds * 1000)
    return place


def stat(page: Any, label: str) -> str:
    """The number that stands under ``label``."""
    box = page.get_by_test_id("stMetric").filter(has=page.get_by_text(label, exact=True))
    return box.get_by_test_id("stMetricValue").inner_text(timeout=SECONDS * 1000).strip()


def run_in_address(page: Any) -> str:
    """The id of the run that the address carries, once it does."""
    page.wait_for_url(re.compile(r"[?&]run=\d{8}-\d{6}-[0-9a-f]{8}"), timeout=SECONDS * 1000)
    return re.search(r"[?&]run=([^&#]+)", page.url)[1]


def points_drawn(page: Any) -> int:
    """How many epochs the first chart has drawn: the longest of its lines. Read from plotly's own node."""
    return page.evaluate(
        """() => Math.max(0, ...[...(document.querySelector(".graft-plot-node")?.data ?? [])].map(
            (line) => line.y?.length ?? 0))"""
    )


def wait_until(true: Callable[[], Any], why: str = "", seconds: float = SECONDS) -> Any:
    """Look again and again until ``true()`` is something; returns it."""
    until = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < until, why or "it didn't happen"
        time.sleep(0.1)
    return found


def wait_on_page(page: Any, true: Callable[[], Any], why: str = "", seconds: float = SECONDS) -> Any:
    """The same, letting the browser's events come in meanwhile."""
    until = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < until, why or "it didn't happen"
        page.wait_for_timeout(100)
    return found


# Behind the page's back: what lies in the server's workspace


def owner(server: Server) -> Workspace:
    return Workspace(server.workspace, "me")


def demo_photos(server: Server) -> Dataset:
    """The demo set in this server's workspace, drawn and scanned."""
    made = datasets.make_demo(owner(server))
    wait_until(lambda: datasets.watch(made).status == "ready", "the demo set wasn't ready")
    return made


def submit(server: Server, photos: Path, config: TrainConfig, title: str = "shapes") -> RunDirectory:
    """A run on a folder of photos, in the server's workspace; its worker is started by the test."""
    report = scan(photos)
    return _submit(server, config, report, {"name": title})


def submit_on(server: Server, chosen: Dataset, config: TrainConfig) -> RunDirectory:
    """A run on a data set of the server's workspace, as the Model page would start it."""
    report = datasets.watch(chosen).report
    assert report is not None
    return _submit(server, config, report, {"id": chosen.id, "name": chosen.name})


def _submit(server: Server, config: TrainConfig, report: Any, dataset: dict[str, object]) -> RunDirectory:
    told = {**dataset, "fingerprint": report.fingerprint, "photos": len(report.photos), "skipped": 0}
    return runs.submit(owner(server).runs, config, split(report), title=str(dataset["name"]), dataset=told)


def wait_for_run(run: RunDirectory, reached: Callable[[RunState], object], seconds: float = SECONDS) -> RunState:
    def look() -> RunState | None:
        state = watch(run)
        return state if reached(state) else None

    return wait_until(look, f"the run {run.id} didn't get there: {run.log_tail()}", seconds)


def epochs(run: RunDirectory, phase: str = "finetune") -> list[int]:
    """The epochs of a phase in the order in which the worker told them, straight from its events."""
    return [event.epoch for event in read_events(run)[0] if isinstance(event, EpochEnded) and event.phase == phase]


def worker_pid(run: RunDirectory) -> int:
    """Of the latest start, from its line in the worker's log."""
    lines = [line for line in run.log.read_text("utf-8").splitlines() if " worker " in line]
    return int(lines[-1].split(" worker ")[1].split()[0])


def end(run: RunDirectory) -> None:
    """Stop a run that a test has seen enough of, and wait until its worker is gone."""
    runs.stop(run)
    wait_for_run(run, lambda state: not state.open)


def lines_drawn(page: Any) -> list[list[float]]:
    """The values of the first chart's lines, as plotly has them."""
    return page.evaluate(
        """() => [...(document.querySelector(".graft-plot-node")?.data ?? [])].map(
            (line) => (line.y ?? []).filter((value) => value !== null))"""
    )


def assert_shows_the_whole_curve(page: Any, run: RunDirectory) -> None:
    """The page's loss curve has exactly the epochs in the run's events, in their order, none twice."""
    told = watch(run).epochs
    losses = [[epoch.train_loss for epoch in told], [epoch.val_loss for epoch in told]]
    expected = [[round(loss, 5) for loss in line] for line in losses]  # as precise as the figures are sent
    wait_on_page(page, lambda: lines_drawn(page)[:2] == expected, "the page shows another curve", 30)


def wait_for_pictures(page: Any, charts: int) -> None:
    """So many charts are drawn, every picture is there, and nothing is faded because it is about to change."""
    settled(page, SECONDS * 1000)
    page.wait_for_function(
        """(charts) => {
          const roots = [document]  // elements of our own have a tree of their own each
          for (const root of roots) {
            for (const node of root.querySelectorAll("*")) if (node.shadowRoot) roots.push(node.shadowRoot)
          }
          return document.querySelectorAll(".graft-plot-node .main-svg[role=img]").length === charts
            && [...document.images].every((image) => image.complete)
            && !document.querySelector("[data-stale='true']")
            && !roots.some((root) => root.getAnimations().some((running) => running instanceof CSSTransition))
        }""",
        arg=charts,
        timeout=SECONDS * 1000,
    )


def checked_up(page: Any) -> None:
    """Wait until the doctor on the Photos page has said everything."""
    page.locator(".st-key-checkup_line [data-testid='stAlert']").wait_for(timeout=SECONDS * 1000)
    settled(page, SECONDS * 1000)
