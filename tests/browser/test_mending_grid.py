"""The mending grid in a real browser: choosing by mouse and keyboard, mending, undoing, and two tabs at once."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from core.data import datasets, mending, scanning
from core.data.datasets import Dataset
from core.data.report import DatasetReport
from tests.browser.serving import Server, settled
from tests.browser.walking import owner, wait_on_page
from tests.photos import make_folder

STAGE = Path(__file__).parent / "stage" / "server.py"
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
SECONDS = 30.0
PER_CLASS = 20


@pytest.fixture(scope="module")
def stage(start_server: Callable[..., Server]) -> Server:
    return start_server(app=STAGE, environment={"GRAFT_STAGE": "mending.py"})


@pytest.fixture
def photos(stage: Server) -> Dataset:
    """Sixty photos in three classes, untouched."""
    made = datasets.create(owner(stage), "shapes", "upload")
    make_folder(made.root, per_class=PER_CLASS)
    scanning.work(made)
    return made


def now(photos: Dataset) -> DatasetReport:
    """How it stands on the disk, by the same call that every page makes."""
    report = datasets.watch(photos).report
    assert report is not None
    return report


def show(page: Any, stage: Server, photos: Dataset, **query: str) -> Any:
    more = "".join(f"&{name}={value}" for name, value in query.items())
    page.goto(f"{stage.url}/?set={photos.id}{more}")
    tile(page, 0).wait_for(timeout=SECONDS * 1000)
    settled(page)
    return page


@pytest.fixture
def opened(page: Any, stage: Server, photos: Dataset) -> Any:
    return show(page, stage, photos)


def tile(page: Any, place: int) -> Any:
    return page.locator(".tile").nth(place)


def chosen(page: Any) -> list[str]:
    return page.locator(".tile[aria-selected=true]").evaluate_all("nodes => nodes.map((node) => node.dataset.path)")


def paths(page: Any) -> list[str]:
    return page.locator(".tile").evaluate_all("nodes => nodes.map((node) => node.dataset.path)")


def focused(page: Any) -> str | None:
    return page.evaluate(
        """() => {
            let at = document.activeElement
            while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement
            return at?.dataset.path ?? null
        }"""
    )


def columns(page: Any) -> int:
    return page.locator(".photos").evaluate("node => getComputedStyle(node).gridTemplateColumns.split(' ').length")


def at_version(page: Any, photos: Dataset, version: int) -> DatasetReport:
    """Wait until the data set and the page have come to this version."""
    page.get_by_text(f"version={version}", exact=True).wait_for(timeout=SECONDS * 1000)
    settled(page)
    report = now(photos)
    assert report.version == version
    return report


# Choosing


def test_clicks_choose_one_by_one_and_shift_a_row(opened: Any) -> None:
    tile(opened, 2).click()
    tile(opened, 5).click()
    assert chosen(opened) == [paths(opened)[2], paths(opened)[5]]
    tile(opened, 9).click(modifiers=["Shift"])
    assert chosen(opened) == [paths(opened)[place] for place in (2, 5, 6, 7, 8, 9)]
    tile(opened, 2).click()
    tile(opened, 7).click(modifiers=["Control"])
    assert chosen(opened) == [paths(opened)[place] for place in (5, 6, 8, 9)]
    assert opened.locator(".count").inner_text() == "4 photos chosen"


def test_the_keyboard_alone_goes_chooses_and_lets_go(opened: Any) -> None:
    every, wide = paths(opened), columns(opened)
    assert opened.locator(".tile[tabindex='0']").count() == 1
    tile(opened, 0).focus()
    opened.keyboard.press("ArrowRight")
    opened.keyboard.press("ArrowDown")
    assert focused(opened) == every[1 + wide]
    opened.keyboard.press("Space")
    assert chosen(opened) == [every[1 + wide]]
    opened.keyboard.press("Shift+ArrowRight")
    opened.keyboard.press("Shift+ArrowRight")
    assert chosen(opened) == every[1 + wide : 4 + wide]
    opened.keyboard.press("End")
    assert focused(opened) == every[-1]
    opened.keyboard.press("ArrowRight")
    assert focused(opened) == every[-1]
    opened.keyboard.press("Home")
    assert focused(opened) == every[0]
    opened.keyboard.press("Control+a")
    assert chosen(opened) == every
    opened.keyboard.press("Escape")
    assert chosen(opened) == []
    assert opened.locator(".tile[tabindex='0']").count() == 1


def test_choice_and_scroll_outlive_a_rerun(opened: Any) -> None:
    opened.locator(".photos").evaluate("node => { node.scrollTop = 300 }")
    tile(opened, 20).click()
    opened.wait_for_timeout(200)
    before = opened.locator(".photos").evaluate("node => node.scrollTop")
    assert before > 100
    opened.get_by_text("Rename or merge classes").click()
    name = opened.get_by_label("New name", exact=True)
    name.fill("ring")
    name.press("Enter")
    opened.get_by_text("“circle” will be called “ring”.").wait_for()
    settled(opened)
    assert chosen(opened) == [paths(opened)[20]]
    assert opened.locator(".photos").evaluate("node => node.scrollTop") == before


def test_another_view_begins_with_nothing_chosen(opened: Any) -> None:
    tile(opened, 2).click()
    search = opened.get_by_label("File name holds")
    search.fill("square/")
    search.press("Enter")
    wait_on_page(opened, lambda: paths(opened) == [f"square/{n:03}.jpg" for n in range(PER_CLASS)], "not narrowed")
    assert chosen(opened) == []


def test_a_view_stays_while_its_photos_become_fewer(opened: Any, photos: Dataset) -> None:
    opened.get_by_test_id("stSelectbox").filter(has_text="Show").locator("input").click()
    opened.get_by_role("option", name="Class “stripes”").click()
    wait_on_page(opened, lambda: paths(opened)[0] == "stripes/000.jpg", "another view is shown")
    settled(opened)
    for version in (1, 2):
        tile(opened, 0).click()
        opened.keyboard.press("Delete")
        at_version(opened, photos, version)
    assert paths(opened) == [f"stripes/{number:03}.jpg" for number in range(2, PER_CLASS)]
    assert opened.locator(".count").inner_text() == "18 photos, none chosen"


# Mending


def test_what_is_mended_by_mouse_comes_back_by_undo_to_the_very_same_version(opened: Any, photos: Dataset) -> None:
    before = now(photos).fingerprint
    tile(opened, 0).click()
    tile(opened, 2).click(modifiers=["Shift"])
    opened.locator(".move").click()
    opened.locator(".classes button", has_text="square").click()
    moved = at_version(opened, photos, 1)
    assert moved.counts == {"circle": 17, "square": 23, "stripes": 20}
    assert chosen(opened) == []
    tile(opened, 3).click()
    opened.locator(".bar .aside").click()
    opened.locator(".reasons button", has_text="Too poor").click()
    report = at_version(opened, photos, 2)
    assert [photo.path for photo in report.aside] == ["circle/003.jpg"]
    opened.get_by_role("button", name="Undo").click()
    assert at_version(opened, photos, 3).fingerprint == moved.fingerprint
    opened.get_by_role("button", name="Undo").click()
    assert at_version(opened, photos, 4).fingerprint == before
    opened.get_by_role("button", name="Redo").click()
    assert at_version(opened, photos, 5).fingerprint == moved.fingerprint


def test_what_is_mended_by_keyboard_comes_back_by_undo_to_the_very_same_version(opened: Any, photos: Dataset) -> None:
    before = now(photos).fingerprint
    tile(opened, 0).focus()
    opened.keyboard.press("Space")
    opened.keyboard.press("Shift+ArrowRight")
    opened.keyboard.press("3")  # the third class
    assert at_version(opened, photos, 1).counts == {"circle": 18, "square": 20, "stripes": 22}
    assert focused(opened) == "circle/001.jpg"  # who mends by keyboard goes on where they were
    opened.keyboard.press("Delete")  # without a choice: the one that the keyboard is on
    assert [photo.path for photo in at_version(opened, photos, 2).aside] == ["circle/001.jpg"]
    assert focused(opened) == "circle/002.jpg"
    opened.keyboard.press("m")
    opened.keyboard.type("Wasps")
    opened.get_by_text("1 photo moves to the new class “Wasps”.").wait_for()
    opened.keyboard.press("Enter")
    assert at_version(opened, photos, 3).counts["Wasps"] == 1
    tile(opened, 0).focus()
    for version in (4, 5, 6):
        opened.keyboard.press("Control+z")
        at_version(opened, photos, version)
    assert now(photos).fingerprint == before
    opened.keyboard.press("Control+z")  # nothing is left to undo
    opened.wait_for_timeout(500)
    assert now(photos).version == 6
    opened.keyboard.press("Control+Shift+z")
    assert at_version(opened, photos, 7).counts == {"circle": 18, "square": 20, "stripes": 22}


def test_pressed_faster_than_the_page_is_drawn_nothing_is_lost(opened: Any, photos: Dataset) -> None:
    tile(opened, 0).focus()
    for _ in range(6):
        opened.keyboard.press("Delete")
        opened.keyboard.press("ArrowRight")
    at_version(opened, photos, 6)
    assert len(now(photos).aside) == 6


def test_a_name_spelt_otherwise_is_the_class_that_is_there(opened: Any, photos: Dataset) -> None:
    tile(opened, 0).click()
    opened.locator(".move").click()
    opened.locator(".name").fill(" SQUARE ")
    opened.get_by_text("1 photo moves to “square”.").wait_for()
    opened.keyboard.press("Enter")
    assert at_version(opened, photos, 1).counts == {"circle": 19, "square": 21, "stripes": 20}


def test_what_cannot_be_done_is_said_and_the_choice_is_kept(opened: Any, photos: Dataset) -> None:
    tile(opened, 1).click()
    opened.locator(".move").click()
    opened.locator(".name").fill("x" * 120)
    opened.keyboard.press("Enter")
    opened.get_by_text("is too long for a class").wait_for()
    wait_on_page(opened, lambda: chosen(opened) == ["circle/001.jpg"], "the choice was lost")
    assert now(photos).version == 0


def test_two_tabs_that_mend_at_once_lose_nothing(open_page: Any, stage: Server, photos: Dataset) -> None:
    first, second = (show(open_page(), stage, photos) for _ in range(2))
    tile(first, 0).focus()
    tile(second, 40).focus()
    for _ in range(5):
        for tab in (first, second):
            tab.keyboard.press("Delete")
            tab.keyboard.press("ArrowRight")
    wait_on_page(first, lambda: now(photos).version == 10, "steps were lost")
    first.wait_for_timeout(500)
    assert now(photos).version == 10, "a deed was done twice"
    aside = [photo.path for photo in now(photos).aside]
    assert len(aside) == 10
    assert {path.split("/")[0] for path in aside} == {"circle", "stripes"}
    # A tab that hasn't seen the other's steps takes the whole history back all the same.
    for _ in range(10):
        mending.undo(photos)
    assert not now(photos).aside


def test_a_killed_server_leaves_a_set_that_opens_where_it_was(open_page: Any, start_server: Any) -> None:
    server = start_server(app=STAGE, environment={"GRAFT_STAGE": "mending.py"})
    made = datasets.create(owner(server), "shapes", "upload")
    make_folder(made.root, per_class=PER_CLASS)
    scanning.work(made)
    page = show(open_page(), server, made)
    tile(page, 0).focus()
    for _ in range(4):
        page.keyboard.press("Delete")
        page.keyboard.press("ArrowRight")
    server.kill()
    report = now(made)  # opens as it is
    assert report.version == len(report.aside) == len(mending.history(made).steps)
    page.keyboard.press("Delete")  # while nobody is there
    server.start()
    # What the killed server hadn't done is done by the next one, each photo once.
    wait_on_page(page, lambda: len(now(made).aside) == 5, "a deed was lost", 60)
    at_version(page, made, 5)


# Looking


def test_a_photo_opens_whole_and_closes_where_it_was(opened: Any) -> None:
    tile(opened, 3).dblclick()
    dialog = opened.get_by_role("dialog")
    dialog.wait_for()
    picture = dialog.locator("img")
    wait_on_page(opened, lambda: picture.evaluate("node => node.naturalWidth") == 96, "not the whole photo")
    opened.keyboard.press("ArrowRight")
    assert dialog.get_attribute("aria-label") == "circle: circle/004.jpg"
    dialog.get_by_role("button", name="Choose this photo").click()
    opened.keyboard.press("Escape")
    dialog.wait_for(state="hidden")
    assert chosen(opened) == ["circle/004.jpg"]  # a double click on another one chose it and let it go again
    assert focused(opened) == "circle/004.jpg"


def test_only_pictures_that_are_looked_at_are_asked_for(page: Any, stage: Server, photos: Dataset) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/graft/thumbs/" in request.url else None)
    page.set_viewport_size({"width": 1280, "height": 700})
    show(page, stage, photos)
    wait_on_page(page, lambda: len(asked) > 8, "no pictures")
    page.reload()
    tile(page, 0).wait_for()
    settled(page)
    assert len(set(asked)) <= 3 * PER_CLASS
    assert page.outside_requests == []


@pytest.mark.parametrize("width", [1440, 420])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_panel_breaks_no_rule_of_wcag(
    open_page: Any, stage: Server, photos: Dataset, scheme: str, width: int
) -> None:
    mending.set_aside(photos, ["circle/000.jpg"], "poor")
    page = open_page(color_scheme=scheme, viewport={"width": width, "height": 1000}, bypass_csp=True)
    show(page, stage, photos)
    tile(page, 1).click()
    page.get_by_text("History", exact=True).click()
    page.get_by_text("Rename or merge classes").click()
    page.get_by_role("button", name="Go back to here").wait_for()
    states = {
        "chosen": lambda: None,
        "moving": lambda: page.locator(".move").click(),
        "reasons": lambda: page.locator(".bar .aside").click(),
        "large": lambda: page.locator(".look").click(),
    }
    for name, enter in states.items():
        enter()
        page.wait_for_timeout(500)  # nothing fades any more
        found = Axe().run(page, options={"runOnly": {"type": "tag", "values": WCAG}}).response["violations"]
        told = [(one["id"], [node["target"] for node in one["nodes"]]) for one in found]
        assert told == [], f"{name}, {scheme}, {width}"
    assert page.evaluate("document.querySelector('[data-testid=stMain]')?.scrollWidth ?? 0") <= width


def test_a_finger_has_room_on_a_phone(open_page: Any, stage: Server, photos: Dataset) -> None:
    page = open_page(viewport={"width": 420, "height": 900}, has_touch=True, is_mobile=True)
    show(page, stage, photos)
    tile(page, 1).tap()
    assert chosen(page) == ["circle/001.jpg"]
    page.locator(".move").tap()
    for name in (".tile", ".bar button", ".classes button", ".name"):
        boxes = [one.bounding_box() for one in page.locator(name).filter(visible=True).all()[:8]]
        assert min(min(box["width"], box["height"]) for box in boxes) >= 44, name


# Deleting


def test_a_set_is_deleted_after_it_was_said_what_goes(opened: Any, photos: Dataset) -> None:
    opened.get_by_role("button", name="Delete these photos").click()
    dialog = opened.get_by_role("dialog")
    dialog.get_by_text("holds 60 photos").wait_for()
    dialog.get_by_text("No model was trained on them.").wait_for()
    dialog.get_by_role("button", name="Delete for good").click()
    opened.get_by_text("“shapes” was deleted.").wait_for()
    assert not photos.folder.exists()
    assert "set=" not in opened.url


def test_a_hundred_pictures_are_there_within_seconds(open_page: Any, stage: Server) -> None:
    made = datasets.create(owner(stage), "many", "upload")
    make_folder(made.root, per_class=40)
    scanning.work(made)
    page = open_page(viewport={"width": 1440, "height": 6000})
    began = time.monotonic()
    show(page, stage, made)
    page.locator(".photos").evaluate("node => { node.style.maxHeight = 'none' }")
    ready = "nodes => nodes.length === 120 && nodes.every((node) => node.complete && node.naturalWidth > 0)"
    wait_on_page(page, lambda: page.locator(".tile img").evaluate_all(ready), "pictures are missing", SECONDS)
    assert time.monotonic() - began < 20
