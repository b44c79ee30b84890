"""The doctor on the Photos page, in a real browser: a set with planted faults is brought, mended, and had back."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from core.data import datasets, mending
from core.data.datasets import Dataset
from core.data.store import read_report
from tests.browser import walking
from tests.browser.serving import Server, settled
from tests.browser.test_access import violations
from tests.browser.walking import press, see, visit
from tests.photos import make_folder

pytestmark = pytest.mark.timeout(600)


def pictures(place: Any) -> list[str]:
    return place.locator("img").evaluate_all("images => images.map((image) => image.alt)")


def plant(folder: Path) -> Path:
    """Three classes of sixteen; a copy made smaller, an exact copy, a circle among the squares, a photo in the dark."""
    make_folder(folder, per_class=16)
    with Image.open(folder / "circle" / "000.jpg") as photo:
        photo.resize((72, 72)).save(folder / "circle" / "smaller.jpg", quality=80)
    shutil.copy(folder / "stripes" / "001.jpg", folder / "stripes" / "again.jpg")
    shutil.move(folder / "circle" / "005.jpg", folder / "square" / "moved.jpg")
    with Image.open(folder / "square" / "002.jpg") as photo:
        photo.point(lambda value: value // 12).save(folder / "square" / "night.jpg", quality=95)
    return folder


@pytest.fixture(scope="module")
def server(start_server: Callable[..., Server]) -> Server:
    return start_server()


def brought(page: Any, server: Server, folder: Path) -> Dataset:
    """Bring a folder by the page's own uploader, and wait for the end of the check-up."""
    visit(page, server, "photos")
    page.locator(".pick-folder").set_input_files(str(folder))
    see(page, "What Graft found")
    walking.checked_up(page)
    return datasets.list_datasets(walking.owner(server))[0]


def card(page: Any, kind: str) -> Any:
    return page.locator(f".st-key-finding_{kind}")


def opened(page: Any, kind: str) -> Any:
    """The card of a finding, unfolded."""
    found = card(page, kind)
    found.wait_for(timeout=walking.SECONDS * 1000)
    if found.locator("details[open]").count() == 0:
        found.locator("summary").click()
    found.get_by_role("button", name="It's fine").first.wait_for(timeout=walking.SECONDS * 1000)
    settled(page)
    return found


def test_planted_faults_are_found_mended_and_had_back(page: Any, server: Server, tmp_path: Path) -> None:
    chosen = brought(page, server, plant(tmp_path / "shapes"))
    arrived = read_report(chosen)
    for kind, photo in (("near_copies", "smaller.jpg"), ("exact_copies", "again.jpg"), ("label_error", "moved.jpg")):
        assert any(photo in alt for alt in pictures(opened(page, kind))), kind
    assert pictures(opened(page, "dark")) == ["square: shapes/square/night.jpg"]

    card(page, "dark").get_by_role("button", name="Set aside").click()
    settled(page)
    walking.wait_until(lambda: read_report(chosen).aside, "nothing was set aside")
    (night,) = read_report(chosen).aside
    assert night.path == "shapes/square/night.jpg"
    assert read_report(chosen).fingerprint != arrived.fingerprint
    card(page, "dark").wait_for(state="detached", timeout=walking.SECONDS * 1000)
    walking.checked_up(page)
    card(page, "near_copies").wait_for()

    press(page, "undo_doctor_dark")
    walking.wait_until(lambda: not read_report(chosen).aside, "it wasn't undone")
    assert read_report(chosen).fingerprint == arrived.fingerprint
    card(page, "dark").wait_for(timeout=walking.SECONDS * 1000)
    assert [step.kind for step in mending.history(chosen).steps] == ["accept", "undo"]

    page.reload()
    walking.checked_up(page)
    opened(page, "near_copies").get_by_role("button", name="It's fine").first.click()
    settled(page)
    walking.wait_until(lambda: len(mending.history(chosen).steps) == 3, "nothing was refused")
    page.reload()
    walking.checked_up(page)
    assert card(page, "near_copies").count() == 0, "what was refused isn't suggested again"
    assert card(page, "exact_copies").count() == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_cards_are_open_to_all(open_page: Callable[..., Any], server: Server, tmp_path: Path, scheme: str) -> None:
    page = open_page(color_scheme=scheme)
    brought(page, server, plant(tmp_path / "shapes"))
    for kind in ("near_copies", "exact_copies", "dark", "label_error"):
        opened(page, kind)
    walking.wait_for_pictures(page, 0)
    assert violations(page) == []
    assert page.outside_requests == []


def test_nothing_that_was_there_moves_while_the_check_up_works(page: Any, server: Server, tmp_path: Path) -> None:
    """Nobody presses what has just moved below the pointer: the line keeps its height, later findings come below."""
    chosen = brought(page, server, plant(tmp_path / "shapes"))
    shutil.rmtree(chosen.folder / "doctor")  # so that everything is to be found anew
    page.reload()
    seen = [walking.wait_on_page(page, lambda: places(page), "no card came")]
    while not page.locator(".st-key-checkup_line [data-testid='stAlert']").count():
        seen.append(places(page))
        page.wait_for_timeout(50)
    walking.checked_up(page)
    after = places(page)
    assert {"near_copies", "label_error"} <= set(after)
    for before in filter(None, seen):
        first = next(iter(before))
        assert abs(before[first] - after[first]) <= 2
        assert list(after)[: len(before)] == list(before)


def places(page: Any) -> dict[str, float]:
    """Where each card begins on the page, in their order, whatever is scrolled."""
    return page.evaluate(
        """() => {
          const main = document.querySelector("[data-testid=stMain]")
          const cards = [...document.querySelectorAll("[class*='st-key-finding_']")]
          return Object.fromEntries(cards.map((card) => [
            [...card.classList].find((name) => name.startsWith("st-key-finding_")).slice("st-key-finding_".length),
            card.getBoundingClientRect().top + main.scrollTop]))
        }"""
    )
