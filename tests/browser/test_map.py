"""The map on Look inside in a browser: a lasso, a click, the keyboard's way to both, and open to all."""

from collections.abc import Callable
from typing import Any

import pytest

from core.inference.feature_map import FeatureMap
from core.runs import RunDirectory
from core.words import say
from tests.app.conftest import Recorder, finish, make_photos, make_run
from tests.app.test_map_panel import write
from tests.browser import walking
from tests.browser.serving import Server, settled
from tests.browser.walking import see, visit, wait_on_page

test_access = pytest.importorskip("tests.browser.test_access")  # axe-core may not be installed

pytestmark = pytest.mark.timeout(300)
# Each dot's place on the map, and where the browser has drawn it.
DOTS = """() => {
  const node = document.querySelector(".graft-plot-node");
  const { x, y } = node.querySelector(".nsewdrag").getBoundingClientRect();
  const { xaxis, yaxis } = node._fullLayout;
  return node.data.flatMap((dots) => dots.x.map((at, number) =>
    [dots.customdata[number][0], x + xaxis.d2p(at), y + yaxis.d2p(dots.y[number])]));
}"""


@pytest.fixture(scope="module")
def server(start_server: Callable[..., Server]) -> Server:
    return start_server()


@pytest.fixture(scope="module")
def mapped(server: Server) -> tuple[RunDirectory, FeatureMap]:
    """A run whose map is drawn. It has no scores, so that the page doesn't load its model, which is empty."""
    workspace = walking.owner(server)
    run = finish(make_run(workspace, make_photos(workspace, per_class=8), Recorder()))
    run.metrics.unlink()
    return run, write(run)


def look(page: Any, server: Server, run: RunDirectory) -> None:
    visit(page, server, f"why?run={run.id}")
    page.get_by_text(say("why.all"), exact=True).click()
    page.locator(".graft-plot .scatterlayer .point").first.wait_for()
    settled(page)


def highlighted(page: Any) -> set[int]:
    told = page.evaluate(
        """() => document.querySelector(".graft-plot-node").data.flatMap(
            (dots) => [...(dots.selectedpoints ?? [])].map((number) => dots.customdata[number][0]))"""
    )
    return set(told)


def encircle(page: Any, dots: list[list[float]]) -> None:
    """Draw a line around them by hand, ten pixels off."""
    left, right = min(x for _, x, _ in dots) - 10, max(x for _, x, _ in dots) + 10
    top, bottom = min(y for _, _, y in dots) - 10, max(y for _, _, y in dots) + 10
    page.mouse.move(left, top)
    page.mouse.down()
    for x, y in ((left, bottom), (right, bottom), (right, top), (left, top)):
        page.mouse.move(x, y, steps=6)
    page.mouse.up()


def picture(page: Any, made: FeatureMap, place: int) -> Any:
    photo = made.photos[place]
    return page.get_by_role(
        "img", name=say("photos.alt", label=made.classes[photo.target], path=photo.path), exact=True
    )


def test_a_lasso_chooses_its_photos_and_a_click_opens_one(
    open_page: Callable[..., Any], server: Server, mapped: tuple[RunDirectory, FeatureMap]
) -> None:
    run, made = mapped
    page = open_page(viewport={"width": 1280, "height": 1400})
    look(page, server, run)
    dots = page.evaluate(DOTS)
    second = [dot for dot in dots if made.photos[int(dot[0])].target == 1]
    encircle(page, second)
    see(page, say("map.chosen.n", n=len(second)).replace("**", ""))
    wait_on_page(page, lambda: highlighted(page) == {int(place) for place, _, _ in second}, "other dots are marked", 20)
    wrong = sum(not made.photos[int(place)].right for place, _, _ in second)
    assert say("map.chosen.wrong", n=wrong) in page.locator("[data-testid=stMain]").inner_text()
    for place, _, _ in second:
        picture(page, made, int(place)).wait_for(timeout=20_000)
    place, x, y = next(dot for dot in dots if made.photos[int(dot[0])].target == 2)
    page.mouse.move(x, y)
    page.mouse.click(x, y)
    picture(page, made, int(place)).wait_for()
    assert highlighted(page) == {int(place) for place, _, _ in second}
    page.locator(".st-key-map_moment button").first.click()
    wait_on_page(
        page, lambda: "Before training" in page.locator(".graft-plot .main-svg").first.get_attribute("aria-label")
    )
    assert highlighted(page) == {int(place) for place, _, _ in second}
    box = page.locator(".graft-plot .nsewdrag").bounding_box()
    page.mouse.dblclick(box["x"] + 5, box["y"] + 5)
    wait_on_page(page, lambda: highlighted(page) == set(), "a double-click doesn't clear the choice", 20)
    wait_on_page(page, lambda: page.locator(".st-key-map_none").count() == 0, "", 20)


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 420)])
def test_without_a_mouse_the_same_photos_are_reached_and_all_is_open(
    open_page: Callable[..., Any], server: Server, mapped: tuple[RunDirectory, FeatureMap], scheme: str, width: int
) -> None:
    run, made = mapped
    page = open_page(color_scheme=scheme, viewport={"width": width, "height": 900}, reduced_motion="reduce")
    look(page, server, run)
    field = page.get_by_role("combobox", name=say("map.filter.answer"))
    field.focus()
    field.press("ArrowDown")
    page.get_by_role("option", name=say("map.filter.answers.wrong"), exact=True).wait_for()
    field.press_sequentially(say("map.filter.answers.wrong"))
    field.press("Enter")
    settled(page)
    walking.button(page, "map_choose").press("Enter")
    wrong = {place for place, photo in enumerate(made.photos) if not photo.right}
    see(page, say("map.chosen.n", n=len(wrong)).replace("**", ""))
    wait_on_page(page, lambda: highlighted(page) == wrong, "other dots are marked", 20)
    test_access.assert_open_to_all(page, 1)
    main = "document.querySelector('[data-testid=stMain]')"
    assert page.evaluate(f"{main}.scrollWidth - {main}.clientWidth") <= 0
    assert page.outside_requests == []
