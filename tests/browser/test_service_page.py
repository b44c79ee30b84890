"""The service's own page in Chromium: a photo is tried, and nothing comes from anywhere else."""

import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn

from core.runs.store import RunDirectory
from core.serve.about import about
from core.serve.guard import Access
from core.serve.rest import service
from tests import hostile
from tests.browser.test_access import violations
from tests.served import CLASSES, colour_predictor

TOKEN = "a-token-of-some-length"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    predictor = colour_predictor()
    app = service(predictor, about(RunDirectory(tmp_path_factory.mktemp("run")), predictor), access=Access(token=TOKEN))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", ws="none"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join()


def told(page: Any) -> dict[str, Any]:
    page.locator("button").click()
    page.locator("#answer", has_text="{").wait_for()
    return json.loads(page.locator("#answer").inner_text())


def test_a_photo_can_be_tried_on_the_services_page(page, address):
    page.goto(address)
    page.locator("[name=photos]").set_input_files({"name": "<b>.jpg", "mimeType": "", "buffer": hostile.jpeg()})
    assert "token is missing" in told(page)["error"]
    page.locator("#token").fill(TOKEN)
    page.locator("#answer").evaluate("(node) => { node.textContent = '' }")
    [answer] = told(page)["answers"]
    assert (answer["path"], answer["label"]) == ("<b>.jpg", CLASSES[2])
    assert page.outside_requests == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_services_page_keeps_the_rules_for_everybody(open_page, address, scheme):
    page = open_page(viewport={"width": 420, "height": 800}, color_scheme=scheme)
    page.goto(address)
    assert page.evaluate("document.documentElement.scrollWidth") <= 420
    assert violations(page) == []
