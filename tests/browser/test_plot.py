"""The drawn parts in a real browser: what plotly and our own drawings keep, say and leave alone."""

import time
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe

WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
STAGE = Path(__file__).parent / "stage" / "server.py"
UPDATES = 8


@pytest.fixture(scope="module")
def stage(start_server):
    return start_server(app=STAGE, environment={"GRAFT_STAGE": "drawing.py"})


@pytest.fixture
def drawn(page, stage, settled):
    """The page at rest, with all its charts painted."""
    page.goto(stage.url)
    settled(page)
    until(page, "document.querySelectorAll('.graft-plot .main-svg').length >= 6")
    return page


@pytest.fixture
def live(page, stage, settled):
    """One chart that gets a new epoch each second."""
    page.goto(f"{stage.url}/?live=1")
    page.locator(".graft-plot .scatterlayer .trace").first.wait_for()
    return page


def until(page, expression: str, *arguments, timeout_seconds: float = 30) -> None:
    """Playwright's wait_for_function needs eval, which our content policy forbids the page."""
    end = time.monotonic() + timeout_seconds
    while not page.evaluate(expression, *arguments):
        assert time.monotonic() < end, f"never true: {expression}"
        page.wait_for_timeout(50)


def epochs(page) -> int:
    return int(page.get_by_text("epochs=").inner_text().split("=")[1])


def wait_for_updates(page, count: int) -> None:
    target = epochs(page) + count
    until(page, "target => Number(/epochs=(\\d+)/.exec(document.body.innerText)[1]) >= target", target)
    # The text arrives with the same message as the figure, which is drawn in the next frame.
    until(
        page,
        "() => { const x = document.querySelector('.graft-plot-node').data[0].x;"
        "return x[x.length - 1] >= Number(/epochs=(\\d+)/.exec(document.body.innerText)[1]) }",
    )


def test_zoom_legend_and_node_survive_updates(live):
    live.evaluate("window.kept = document.querySelector('.graft-plot-node .main-svg')")
    live.locator(".graft-plot .legendtoggle").first.click()
    until(live, "document.querySelector('.graft-plot-node').data[0].visible === 'legendonly'")
    box = live.locator(".graft-plot .nsewdrag").bounding_box()
    live.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + box["height"] * 0.2)
    live.mouse.down()
    live.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.8, steps=8)
    live.mouse.up()
    state = """() => {
        const node = document.querySelector('.graft-plot-node');
        const { xaxis, yaxis } = node._fullLayout;
        return {
            x: xaxis.range.map((value) => +value.toFixed(4)),
            y: yaxis.range.map((value) => +value.toFixed(4)),
            auto: xaxis.autorange,
            hidden: node._fullData[0].visible,
            same: window.kept === node.querySelector('.main-svg') && window.kept.isConnected,
        }; }"""
    before = live.evaluate(state)
    assert before["auto"] is False
    assert before["hidden"] == "legendonly"
    for _ in range(UPDATES):
        wait_for_updates(live, 1)
        assert live.evaluate(state) == {**before, "same": True}


def test_a_chart_never_fades_while_it_is_updated(live):
    live.evaluate(
        """() => { window.faintest = 1; window.frames_seen = 0;
        const look = () => {
            let opacity = 1;
            let node = document.querySelector('.graft-plot .main-svg');
            if (!node) opacity = 0;
            for (; node instanceof Element; node = node.parentElement) opacity *= +getComputedStyle(node).opacity;
            window.faintest = Math.min(window.faintest, opacity);
            window.frames_seen += 1;
            requestAnimationFrame(look);
        }; look(); }"""
    )
    wait_for_updates(live, 4)
    assert live.evaluate("window.frames_seen") > 30
    assert live.evaluate("window.faintest") == 1


def test_charts_load_their_library_once_and_from_this_server(page, stage, settled):
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(stage.url)
    settled(page)
    until(page, "document.querySelectorAll('.graft-plot .main-svg').length >= 6")
    assert len([url for url in asked if "plotly" in url and url.startswith(stage.url)]) == 1
    assert page.outside_requests == []


def test_a_chart_is_an_image_with_its_sentence_as_name(drawn):
    image = drawn.get_by_role(
        "img", name="Table of right and wrong answers over 3 classes: 24 of 30 photos were right."
    )
    assert image.count() == 1


def test_where_the_library_does_not_come_the_sentence_stands_instead(page, stage, settled):
    page.route("**/plotly.min.js*", lambda route: route.abort())
    page.goto(stage.url)
    settled(page)
    page.get_by_text("Table of right and wrong answers over 3 classes: 24 of 30 photos were right.").wait_for()


def test_colours_follow_the_theme_without_a_reload(drawn):
    colour = "getComputedStyle(document.querySelector('.graft-plot .scatterlayer .js-line')).stroke"
    assert drawn.evaluate(colour) == "rgb(0, 107, 168)"
    drawn.emulate_media(color_scheme="dark")
    until(drawn, f"{colour} === 'rgb(86, 180, 233)'")


def test_a_click_on_a_cell_tells_its_classes(drawn):
    matrix = drawn.locator(".graft-plot").nth(1)
    box = matrix.locator(".nsewdrag").bounding_box()
    # True class 2 (the last of three rows), called class 1 (the middle column), off the cell's centre.
    drawn.mouse.move(box["x"] + box["width"] * 0.42, box["y"] + box["height"] * 0.92)
    drawn.mouse.click(box["x"] + box["width"] * 0.42, box["y"] + box["height"] * 0.92)
    drawn.get_by_text("cell=[2, 1]").wait_for()


def test_a_class_name_is_shown_and_never_read_as_markup(drawn):
    names = drawn.locator(".graft-plot").nth(1).locator(".ytick text")
    assert "<b>wasps</b>" in [name.strip() for name in names.all_text_contents()]


def test_a_chart_that_leaves_the_page_is_cleaned_up(drawn, settled):
    until(drawn, "document.querySelectorAll('.graft-plot').length === 3")
    drawn.evaluate("window.gone = [...document.querySelectorAll('.graft-plot-node')].at(-1)")
    drawn.get_by_text("Charts", exact=True).click()
    until(drawn, "document.querySelectorAll('.graft-plot').length === 2")
    until(drawn, "window.gone._fullLayout === undefined")
    drawn.get_by_text("Charts", exact=True).click()
    until(drawn, "document.querySelectorAll('.graft-plot .barlayer .point').length === 2")


def test_a_wide_chart_shrinks_with_its_page(open_page, stage, settled):
    page = open_page(viewport={"width": 1440, "height": 900})
    page.goto(stage.url)
    settled(page)
    page.locator(".graft-plot .main-svg").first.wait_for()
    width = "document.querySelector('.graft-plot .main-svg').getBoundingClientRect().width"
    assert page.evaluate(width) > 900
    page.set_viewport_size({"width": 420, "height": 900})
    until(page, f"{width} < 420")
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 420


# --- the network ---------------------------------------------------------------------------------------------------


def test_arrow_keys_move_the_cut_and_python_hears_of_it_once_it_rests(drawn):
    slider = drawn.get_by_role("slider").first
    assert slider.get_attribute("aria-valuenow") == "3"
    slider.focus()
    slider.press("ArrowLeft")
    slider.press("ArrowLeft")
    assert (
        slider.get_attribute("aria-valuetext")
        == "Semi-global transfer. Copied: all 3 stages; frozen: 1. The last 2 stages and the head train."
    )
    drawn.get_by_text("frozen=1").wait_for()
    slider.press("Home")
    drawn.get_by_text("frozen=0").wait_for()
    slider.press("End")
    drawn.get_by_text("frozen=3").wait_for()
    assert slider.evaluate("node => node === node.getRootNode().activeElement")


def test_the_cut_can_be_dragged(drawn):
    handle = drawn.get_by_role("slider").first
    handle.scroll_into_view_if_needed()
    box = handle.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    drawn.mouse.move(x, y)
    drawn.mouse.down()
    drawn.mouse.move(x - 260, y + 5, steps=6)
    drawn.mouse.up()
    drawn.get_by_text("frozen=2").wait_for()


def test_a_click_on_a_stage_freezes_up_to_it_or_thaws_from_it(drawn):
    block = drawn.locator(".movable").nth(1)
    block.locator(".body").click()
    drawn.get_by_text("frozen=1").wait_for()
    block.locator(".body").click()
    drawn.get_by_text("frozen=2").wait_for()


def looks(network):
    """How each stage looks: frozen, new, or neither."""
    blocks = network.locator(".block").all()
    classes = [set((block.get_attribute("class") or "").split()) for block in blocks]
    return [next(iter(one & {"frozen", "new"}), "trains") for one in classes]


def test_where_the_cut_goes_beyond_the_copied_stages_they_come_along(drawn):
    network = drawn.locator("figure").last
    assert looks(network) == ["trains", "trains", "new"]
    network = drawn.locator("figure").last
    slider = network.get_by_role("slider")
    slider.focus()
    for _ in range(3):
        slider.press("ArrowRight")
    assert looks(network) == ["frozen", "frozen", "frozen"]
    assert slider.get_attribute("aria-valuetext").startswith("Global transfer, head only")
    slider.press("Home")
    assert looks(network) == ["trains", "trains", "new"]


def test_new_stages_differ_in_pattern_and_sign_and_not_only_in_colour(drawn):
    block = drawn.locator("figure").last.locator(".block.new")
    assert block.locator(".soil").is_visible()
    assert block.locator(".seed").is_visible()
    assert not block.locator(".sprout").is_visible()
    assert drawn.locator("figure").last.locator(".region.new").text_content().strip() == "new: starts from noise"


def test_on_a_phone_the_shoot_grows_upwards_and_fits(open_page, stage, settled):
    page = open_page(viewport={"width": 420, "height": 900})
    page.goto(stage.url)
    settled(page)
    slider = page.get_by_role("slider").first
    assert slider.get_attribute("aria-orientation") == "vertical"
    boxes = [block.bounding_box() for block in page.locator(".upright").first.locator(".block").all()]
    assert [box["y"] for box in boxes] == sorted((box["y"] for box in boxes), reverse=True)
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 420


# --- both, for everyone --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [1440, 420])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_drawn_breaks_wcag(open_page, stage, settled, scheme, width):
    page = open_page(color_scheme=scheme, viewport={"width": width, "height": 1200}, bypass_csp=True)
    page.goto(stage.url)
    settled(page)
    until(page, "document.querySelectorAll('.graft-plot .main-svg').length >= 6")
    found = Axe().run(page, options={"runOnly": {"type": "tag", "values": WCAG}}).response["violations"]
    assert [(one["id"], [node["target"] for node in one["nodes"]]) for one in found] == []
