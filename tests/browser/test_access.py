"""Every page in its main states, by day and by night: axe-core's rules, keyboard, texts for pictures, no other host."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from core.data.datasets import Dataset
from core.models import registry, speed
from core.runs import RunDirectory
from tests.browser import walking
from tests.browser.serving import Server
from tests.browser.walking import LONG, QUICK, heading, see, visit
from tests.photos import make_folder

axe_playwright = pytest.importorskip("axe_playwright_python.sync_playwright")

pytestmark = pytest.mark.timeout(600)
SCHEMES = ("light", "dark")
STEPS = ("start", "photos", "model", "train", "results", "try_it", "why")
SECTIONS = {"Check-up": 0, "Photos": 0, "Division": 1, "History": 0}  # of the Photos page, with their charts
CHARTS = {"train": 2, "results": 3, "try_it": 1, "why": 1}  # on a page that is filled
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"], "resultTypes": ["violations"]}
DEEP_FOCUS = """() => {
  let at = document.activeElement
  while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement
  return at
}"""


@dataclass(frozen=True)
class Filled:
    """A server with photos, a finished run on them, and one that goes on for long."""

    server: Server
    photos: Dataset
    finished: RunDirectory
    running: RunDirectory

    def address(self, step: str) -> str:
        return f"{place(step)}?set={self.photos.id}&run={self.finished.id}"


def place(step: str) -> str:
    """Where a page lies; the first one has no name in the address."""
    return "" if step == "start" else step


@pytest.fixture(scope="module")
def empty(start_server: Callable[..., Server]) -> Server:
    return start_server()


@pytest.fixture(scope="module")
def filled(start_server: Callable[..., Server], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    server = start_server()
    know_speeds(server)
    photos = walking.demo_photos(server)
    finished = walking.submit_on(server, photos, QUICK)
    walking.wait_for_run(finished, lambda state: state.status == "finished")
    running = walking.submit(server, make_folder(tmp_path_factory.mktemp("photos") / "shapes"), LONG)
    walking.wait_for_run(running, lambda _: len(walking.epochs(running)) >= 1)
    yield Filled(server, photos, finished, running)
    walking.end(running)


def know_speeds(server: Server) -> None:
    """Nothing is left to measure: measuring would take the machine from the tests."""
    for name in registry.FEATURED:
        stages = (0.001,) * len(registry.backbone(name).stages)
        known = speed.Speed(name, speed.device_name(), speed.torch_version(), stages, stages)
        speed.save(walking.owner(server).speeds, known)


def violations(page: Any) -> list[str]:
    """What axe-core finds, in Streamlit's own parts as well: rule, element, and what would mend it."""
    found = axe_playwright.Axe().run(page, options=RULES).response["violations"]
    lines = []
    for rule in found:
        for node in rule["nodes"]:
            target = " ".join(str(part) for part in node["target"])
            lines.append(f"{rule['id']}: {target}: {node['failureSummary']} in {node['html'][:200]}")
    return lines


def without_text(page: Any) -> list[str]:
    """Pictures and charts that say nothing to who can't see them. An empty alt is a decoration's."""
    return page.evaluate(
        """() => {
          const lost = [...document.images].filter((image) => image.getAttribute("alt") === null)
          const mute = [...document.querySelectorAll(".graft-plot")].filter(
            (plot) => !plot.querySelector("[role=img]")?.getAttribute("aria-label"))
          return [...lost, ...mute].map((element) => element.outerHTML.slice(0, 200))
        }"""
    )


def assert_open_to_all(page: Any, charts: int = 0) -> None:
    """What passes while a page still settles on a busy machine is looked at a second time."""
    walking.wait_for_pictures(page, charts)
    if violations(page):
        page.wait_for_timeout(2000)
        walking.wait_for_pictures(page, charts)
    assert violations(page) == []
    assert without_text(page) == []
    assert page.outside_requests == []


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("step", STEPS)
def test_an_empty_page_is_open_to_all(open_page: Callable[..., Any], empty: Server, step: str, scheme: str) -> None:
    page = open_page(color_scheme=scheme)
    visit(page, empty, place(step))
    assert_open_to_all(page)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("step", STEPS)
def test_a_filled_page_is_open_to_all(open_page: Callable[..., Any], filled: Filled, step: str, scheme: str) -> None:
    page = open_page(color_scheme=scheme)
    visit(page, filled.server, filled.address(step))
    if step == "try_it":
        try_a_photo(page, filled.photos)
    assert_open_to_all(page, CHARTS.get(step, 0))


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("section", SECTIONS)
def test_each_part_of_the_photos_page_is_open_to_all(
    open_page: Callable[..., Any], filled: Filled, section: str, scheme: str
) -> None:
    page = open_page(color_scheme=scheme)
    visit(page, filled.server, f"{filled.address('photos')}&section={section}")
    page.get_by_role("radio", name=section, checked=True).or_(page.get_by_role("button", name=section)).first.wait_for()
    if section == "Check-up":
        walking.checked_up(page)
    if section == "Photos":
        page.locator(".photos [role=option]").first.wait_for(timeout=walking.SECONDS * 1000)
    assert_open_to_all(page, SECTIONS[section])


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_setting_and_what_the_network_sees_is_open_to_all(
    open_page: Callable[..., Any], filled: Filled, scheme: str
) -> None:
    page = open_page(color_scheme=scheme)
    visit(page, filled.server, filled.address("model"))
    copied = page.locator("[class*='st-key-copied_'] input")
    for _ in range(3):
        copied.press("ArrowLeft")
    see(page, "Local transfer. Copied: 5 of 8 stages; frozen: 5. The last 3 stages and the head start from noise.")
    page.locator(".st-key-all_settings summary").click()
    see(page, "Regulariser R(θ)")
    page.locator(".st-key-preview summary").click()
    see(page, "standard deviation")
    assert page.locator(".katex-mathml").count() == 1  # the objective, readable aloud
    assert_open_to_all(page)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_run_in_the_middle_is_open_to_all(open_page: Callable[..., Any], filled: Filled, scheme: str) -> None:
    page = open_page(color_scheme=scheme)
    visit(page, filled.server, f"train?run={filled.running.id}")
    walking.wait_on_page(page, lambda: walking.points_drawn(page) > 0, "no curve was drawn")
    assert_open_to_all(page, 2)


def test_the_whole_way_can_be_gone_by_keyboard(page: Any, filled: Filled) -> None:
    visit(page, filled.server)
    by_keyboard(page, ".st-key-demo")
    see(page, "What Graft found")
    by_keyboard(page, ".st-key-next_model")
    heading(page, "Choose a model")
    reach(page, ".st-key-start_training")
    visit(page, filled.server, filled.address("train"))
    by_keyboard(page, ".st-key-next_results")
    heading(page, "Results")
    by_keyboard(page, ".st-key-next_try_it")
    heading(page, "Try it")
    reach(page, ".choose-files")
    reach(page, ".st-key-download_make")


def test_another_photo_and_another_class_are_looked_into_by_keyboard(page: Any, filled: Filled) -> None:
    visit(page, filled.server, filled.address("why"))
    page.get_by_role("radio", name="right (").click()  # of these there are several
    page.locator("[class*='st-key-why_photo_']").nth(1).wait_for(timeout=walking.SECONDS * 1000)
    walking.settled(page, walking.SECONDS * 1000)
    before = heat(page)
    second = page.locator("[class*='st-key-why_photo_']").nth(1).get_attribute("class")
    by_keyboard(page, next(f".{name}" for name in second.split() if name.startswith("st-key-")))
    walking.wait_on_page(page, lambda: heat(page) != before, "no other photo was looked into")
    before = heat(page)
    reach(page, "[class*='st-key-why_class_']")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    walking.wait_on_page(page, lambda: heat(page) != before, "no other class was asked about")


def heat(page: Any) -> str:
    """What the picture of the heat says to who can't see it."""
    return page.get_by_role("img", name="in grey").get_attribute("alt", timeout=walking.SECONDS * 1000)


def by_keyboard(page: Any, selector: str) -> None:
    reach(page, selector)
    page.keyboard.press("Enter")


def reach(page: Any, selector: str) -> None:
    """Press Tab until the focus is at ``selector`` or inside it, and can be seen there."""
    page.locator(selector).first.wait_for(timeout=walking.SECONDS * 1000)
    page.locator(f"{selector} button:enabled, button{selector}:enabled").first.wait_for(timeout=walking.SECONDS * 1000)
    walking.settled(page, walking.SECONDS * 1000)
    for _ in range(120):
        page.keyboard.press("Tab")
        if page.evaluate(f"""() => ({DEEP_FOCUS})()?.closest({selector!r}) !== null"""):
            outline = page.evaluate(f"() => getComputedStyle(({DEEP_FOCUS})()).outlineStyle")
            assert outline != "none", f"the focus can't be seen at {selector}"
            return
    raise AssertionError(f"{selector} can't be reached by keyboard")


def try_a_photo(page: Any, photos: Dataset) -> None:
    photo: Path = sorted(photos.root.rglob("*.jpg"))[0]
    page.locator(".pick-files").set_input_files(str(photo))
    page.locator("[class*='st-key-answer_']").get_by_role("heading").wait_for(timeout=walking.SECONDS * 1000)
    walking.settled(page, walking.SECONDS * 1000)


def test_each_photo_of_the_report_is_named_by_its_class_and_file(page: Any, filled: Filled) -> None:
    visit(page, filled.server, filled.address("photos"))
    walking.checked_up(page)
    walking.wait_for_pictures(page, 0)
    shown = [image.get_attribute("alt") for image in page.get_by_test_id("stImage").locator("img").all()]
    files = {path.relative_to(filled.photos.root).as_posix() for path in filled.photos.root.rglob("*.jpg")}
    assert len(shown) >= 4
    for text in shown:
        label, path = text.split(": ")
        assert path.split("/")[0] == label
        assert path in files
