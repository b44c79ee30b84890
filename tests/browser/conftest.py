"""A server and a browser for all browser tests; each page counts its errors and its requests to other hosts."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser import serving
from tests.browser.serving import Server

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A browser on a busy machine may miss a moment: a test that fails is tried once more, and the report says so."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker("browser")
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.fixture
def settled() -> Callable[..., None]:
    """``settled(page)`` waits until Streamlit's script has run to the end."""
    return serving.settled


@pytest.fixture(scope="session")
def start_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """``start_server(app=…, environment=…)``: a server of one's own, ended with the session."""
    servers: list[Server] = []

    def start(**settings: Any) -> Server:
        workspace = tmp_path_factory.mktemp("server") / "workspace"
        servers.append(Server(workspace, **settings).start())
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(scope="session")
def graft_server(start_server: Callable[..., Server]) -> Server:
    """The app itself, shared by all tests: its workspace fills up. To kill it, or to find it empty, start your own."""
    return start_server()


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Headless Chromium by Playwright; skips where there is none, unless ``GRAFT_REQUIRE_BROWSER=1``."""
    chromium = serving.find_chromium()
    if chromium is None:
        if os.environ.get("GRAFT_REQUIRE_BROWSER") == "1":
            pytest.fail("no Chromium was found, and GRAFT_REQUIRE_BROWSER=1 asks for one", pytrace=False)
        pytest.skip("no Chromium was found; install one or name it in GRAFT_CHROMIUM")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as play:
        opened = play.chromium.launch(executable_path=chromium, args=list(serving.CHROMIUM_FLAGS))
        yield opened
        opened.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """``open_page(viewport=…, color_scheme=…)``: a page in a profile of its own, watched as ``page`` is."""
    pages: list[Any] = []

    def open_one(**settings: Any) -> Any:
        page = browser.new_context(**settings).new_page()
        pages.append(page)
        _watch(page)
        return page

    yield open_one
    for page in pages:
        page.context.close()
    errors = [error for page in pages for error in page.errors]
    assert errors == [], "the page reported errors"


@pytest.fixture
def page(open_page: Callable[..., Any]) -> Any:
    """A fresh page. Errors of its scripts fail the test; ``page.outside_requests`` lists requests to other hosts."""
    return open_page()


def _watch(page: Any) -> None:
    page.errors, page.outside_requests = [], []
    page.on("pageerror", lambda error: page.errors.append(str(error)))

    def heard(message: Any) -> None:
        # What the content policy or another check of the browser's refuses is told here and nowhere else.
        if message.type == "error" and ("Content Security Policy" in message.text or "Refused to" in message.text):
            page.errors.append(message.text)

    def asked(request: Any) -> None:
        scheme, _, rest = request.url.partition("://")
        host = rest.split("/")[0].rpartition(":")[0]
        if scheme in ("http", "https", "ws", "wss") and host not in ("127.0.0.1", "localhost"):
            page.outside_requests.append(request.url)

    page.on("console", heard)
    page.context.on("request", asked)
