"""The Compare page in a browser: open to all, narrow as well, and what is chosen outlives another name and star."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

import pytest

from core.config import TrainConfig
from core.runs import RunDirectory, notes
from tests.app.conftest import Recorder, finish, make_photos, make_run
from tests.browser import walking
from tests.browser.serving import Server
from tests.browser.walking import press, see, visit

test_access = pytest.importorskip("tests.browser.test_access")  # axe-core may not be installed

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def server(start_server: Callable[..., Server]) -> Server:
    return start_server()


@pytest.fixture
def runs(server: Server) -> list[RunDirectory]:
    """Three finished runs whose names in a list would be the same, with nothing left to compute."""
    workspace, recorder = walking.owner(server), Recorder()
    photos = make_photos(workspace, per_class=6)
    configs = [replace(TrainConfig(), head_epochs=epochs) for epochs in (10, 20, 30)]
    made = [finish(make_run(workspace, photos, recorder, config)) for config in configs]
    notes.change(made[0], text="supercalifragilistic" * 12)
    return made


def address(runs: list[RunDirectory]) -> str:
    return f"compare?runs={','.join(run.id for run in runs)}"


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 420)])
def test_runs_side_by_side_are_open_to_all(
    open_page: Callable[..., Any], server: Server, runs: list[RunDirectory], scheme: str, width: int
) -> None:
    page = open_page(color_scheme=scheme, viewport={"width": width, "height": 900}, reduced_motion="reduce")
    visit(page, server, address(runs))
    test_access.assert_open_to_all(page, 1)
    main = "document.querySelector('[data-testid=stMain]')"
    assert page.evaluate(f"{main}.scrollWidth - {main}.clientWidth") <= 0
    press(page, f"end_{runs[0].id}")
    see(page, "Delete for good")
    test_access.assert_open_to_all(page, 1)


def test_a_star_a_name_and_a_deletion_keep_the_other_runs_chosen(
    page: Any, server: Server, runs: list[RunDirectory]
) -> None:
    visit(page, server, address(runs))
    press(page, f"star_{runs[1].id}")
    see(page, "B · ★ circle")
    press(page, f"edit_{runs[2].id}")
    page.get_by_role("textbox", name="Name").fill("<b>the third</b>")
    press(page, f"save_{runs[2].id}")
    see(page, "C · <b>the third</b>")
    press(page, f"end_{runs[0].id}")
    press(page, f"sure_{runs[0].id}")
    see(page, "“circle” was deleted.")
    see(page, "A · ★ circle")
    see(page, "B · <b>the third</b>")
    walking.wait_on_page(page, lambda: unquote(page.url).endswith(address(runs[1:])), page.url, 10)
    assert not runs[0].path.exists()
