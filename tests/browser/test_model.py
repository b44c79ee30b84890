"""The Model page in a browser: picture, slider and settings move together, and one button takes it all back."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from core.words import say
from tests.browser import walking
from tests.browser.serving import Server
from tests.browser.test_access import know_speeds
from tests.browser.walking import see, visit

pytestmark = pytest.mark.timeout(600)
PATIENCE = walking.SECONDS * 1000


@pytest.fixture(scope="module")
def address(start_server: Callable[..., Server]) -> tuple[Server, str]:
    server = start_server()
    know_speeds(server)
    return server, f"model?set={walking.demo_photos(server).id}"


def cut(page: Any) -> Any:
    """The picture's handle."""
    return page.locator("figure").get_by_role("slider")


def copied(page: Any) -> Any:
    return page.locator("[class*='st-key-copied_'] input")


def test_the_cut_and_the_slider_move_each_other_and_one_button_takes_it_back(page: Any, address: Any) -> None:
    visit(page, *address)
    assert (cut(page).get_attribute("aria-valuenow"), copied(page).input_value()) == ("8", "8")
    cut(page).focus()
    for _ in range(3):
        cut(page).press("ArrowLeft")
    see(page, "Changed: Frozen stages")
    assert copied(page).input_value() == "8"
    for _ in range(4):
        copied(page).press("ArrowLeft")
    see(page, "Changed: Frozen stages, Copied stages")
    see(page, "Local transfer. Copied: 4 of 8 stages; frozen: 4.")
    walking.wait_on_page(page, lambda: cut(page).get_attribute("aria-valuenow") == "4", "the cut stayed")
    cut(page).focus()
    for _ in range(2):
        cut(page).press("ArrowRight")
    see(page, "Local transfer. Copied: 6 of 8 stages; frozen: 6.")
    walking.wait_on_page(page, lambda: copied(page).input_value() == "6", "the slider stayed")
    walking.press(page, "back")
    see(page, "Global transfer, head only")
    walking.wait_on_page(page, lambda: copied(page).input_value() == "8", "the slider stayed")
    walking.wait_on_page(page, lambda: page.get_by_text("Changed:").count() == 0, "something is still changed")
    # The same depth once more: it must not be taken for what was told before.
    cut(page).focus()
    for _ in range(2):
        cut(page).press("ArrowLeft")
    see(page, "Semi-global transfer. Copied: all 8 stages; frozen: 6.")
    see(page, "Changed: Frozen stages")


def choose(page: Any, label: str, option: str) -> None:
    box, wanted = (
        page.get_by_role("combobox", name=label, exact=True),
        page.get_by_role("option", name=option, exact=True),
    )

    def opened() -> bool:
        if wanted.count() == 0:
            box.click(timeout=PATIENCE)  # a list that opened while the page was drawn again has closed
            page.wait_for_timeout(300)
        return wanted.count() == 1

    walking.wait_on_page(page, opened, f"{label} has no {option}")
    wanted.click(timeout=PATIENCE)
    see(page, re.compile(f"Changed: .*{re.escape(label)}"))
    walking.settled(page, PATIENCE)


@pytest.mark.parametrize("width", [1440, 420])
def test_the_objective_follows_the_choices_and_fits(open_page: Callable[..., Any], address: Any, width: int) -> None:
    page = open_page(viewport={"width": width, "height": 1200})
    visit(page, *address)
    page.locator(".st-key-all_settings summary").click()
    formula = page.locator(".katex-mathml annotation")
    formula.wait_for(state="attached", timeout=PATIENCE)
    assert "lambda" not in formula.text_content()
    choose(page, say("settings.loss.label"), say("options.loss.focal"))
    choose(page, say("settings.class_balance.label"), say("options.class_balance.weights"))
    choose(page, say("settings.regularizer.label"), say("options.regularizer.l2sp"))
    walking.wait_on_page(page, lambda: "theta^0" in formula.text_content(), "the formula stayed")
    assert "(1-p_{ik})^{2}" in formula.text_content()
    see(page, say("settings.regularization.label"))
    box, frame = page.locator(".katex-html").bounding_box(), page.locator(".st-key-all_settings").bounding_box()
    assert box["x"] >= frame["x"]
    assert box["x"] + box["width"] <= frame["x"] + frame["width"]
    assert page.outside_requests == []


def test_a_textbook_set_up_becomes_a_button_and_stays_in_the_address(page: Any, address: Any) -> None:
    visit(page, *address)
    page.get_by_role("button", name=say("model.textbook")).click()
    walking.press(page, "use_textbook_vgg16")
    see(page, say("recipes.reason.textbook_kept"))
    page.wait_for_url(re.compile("backbone=vgg16_without_top"), timeout=PATIENCE)
    page.reload()
    see(page, say("recipes.reason.textbook_kept"))
    chosen = page.locator("[data-testid='stButtonGroup'] [data-selected='true']")
    assert chosen.inner_text().strip() == say("model.preset.textbook_vgg16")
    assert walking.button(page, "start_training").is_disabled()
    see(page, re.compile("The weights of VGG-16 without its top are not on this computer"))
