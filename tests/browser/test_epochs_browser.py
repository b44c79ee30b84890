"""Epoch by epoch in a real browser: answers change on nodes that stay, and afterwards any epoch is a key away."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from sklearn.metrics import confusion_matrix

from core.inference.epochs import Epochs
from core.runs import RunDirectory, watch
from core.words import say
from tests.browser import walking
from tests.browser.serving import Server
from tests.browser.test_plot import WCAG
from tests.browser.walking import LONG, see, visit
from tests.photos import make_folder

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def run(graft_server: Server, tmp_path: Path) -> Iterator[RunDirectory]:
    submitted = walking.submit(graft_server, make_folder(tmp_path / "shapes"), LONG)
    yield submitted
    if watch(submitted).open:
        walking.end(submitted)


def inside(page: Any, script: str) -> Any:
    """Run a script with the element as ``root``."""
    return page.locator(".epochs").evaluate(f"root => {{ const all = (s) => [...root.querySelectorAll(s)]; {script} }}")


def answers(page: Any) -> list[str]:
    return inside(page, "return all('.said').map((one) => one.innerText)")


def table(page: Any) -> list[list[int]]:
    return inside(
        page, "return all('tbody tr').map((row) => [...row.querySelectorAll('td')].map((c) => +c.textContent))"
    )


def where(page: Any) -> str:
    return page.locator(".epochs .where").inner_text()


def recomputed(run: RunDirectory, place: int) -> list[list[int]]:
    """The matrix of an epoch from the answers that were written down, by scikit-learn."""
    record = Epochs(run)
    said = record.read(*record.look()[place])
    assert said is not None
    targets = [sample.target for sample in run.split().val]
    return np.asarray(confusion_matrix(targets, said.said, labels=[0, 1, 2])).tolist()


def test_answers_change_on_the_same_nodes_and_afterwards_the_epochs_play(
    open_page: Callable[..., Any], graft_server: Server, run: RunDirectory
) -> None:
    page = open_page(bypass_csp=True)  # axe needs eval
    visit(page, graft_server, f"train?run={run.id}")
    page.locator(".epochs .tile img").first.wait_for(timeout=walking.SECONDS * 1000)
    marked = inside(page, "all('*').forEach((one) => { one.kept = true }); return all('*').length")
    top, first = page.locator(".epochs").bounding_box()["y"], (where(page), answers(page))
    walking.wait_on_page(page, lambda: where(page) != first[0] and answers(page) != first[1], "no answer changed")
    assert inside(page, "return all('*').filter((one) => one.kept).length") == marked
    assert page.locator(".epochs").bounding_box()["y"] == top

    walking.end(run)
    see(page, "Stopped by you.")
    slider = page.locator(".epochs input")
    slider.wait_for(timeout=walking.SECONDS * 1000)
    last = len(watch(run).epochs) - 1
    assert slider.get_attribute("max") == str(last)
    assert say("epochs.element.is_best") in where(page)
    slider.focus()
    for key, place in (("Home", 0), ("ArrowRight", 1), ("End", last)):
        slider.press(key)
        assert table(page) == recomputed(run, place), key
        assert slider.get_attribute("aria-valuetext") == where(page)
    plays_to_the_end_and_stops(page, last)
    for scheme, width in (("light", 1440), ("dark", 420)):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 1400})
        page.wait_for_timeout(300)  # for colours to have changed
        found = Axe().run(page, context=".st-key-epochs", options={"runOnly": {"type": "tag", "values": WCAG}})
        assert found.response["passes"]
        assert [(one["id"], one["nodes"]) for one in found.response["violations"]] == []
        assert page.evaluate("document.scrollingElement.scrollWidth") <= width
    assert page.outside_requests == []


def plays_to_the_end_and_stops(page: Any, last: int) -> None:
    play, slider = page.locator(".epochs .play"), page.locator(".epochs input")
    says = {name: say(f"epochs.element.{name}") for name in ("play", "stop")}
    assert slider.input_value() == str(last)
    play.click()  # from the end: it begins anew
    assert play.inner_text() == says["stop"]
    walking.wait_on_page(page, lambda: slider.input_value() == "1", seconds=10)
    play.click()
    page.wait_for_timeout(900)  # longer than a step
    assert (slider.input_value(), play.inner_text()) == ("1", says["play"])
    slider.press("End")
    slider.press("ArrowLeft")
    play.click()
    walking.wait_on_page(page, lambda: play.inner_text() == says["play"], seconds=10)
    assert slider.input_value() == str(last)
