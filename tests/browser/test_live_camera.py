"""Try it with a camera (Chromium's fake one) and with a photo unlike anything seen, in a real browser."""

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from core.config import TrainConfig
from core.data.scan import scan
from core.data.split import split
from core.inference.predictor import ModelCard, write_model
from core.inference.unknown import Detector, Reference
from core.models.build import build
from core.runs import store
from core.runs.store import RunDirectory
from tests.browser import walking
from tests.browser.serving import Server, settled
from tests.browser.test_webcam import ALLOW, FAKE, LIGHTS, WATCH
from tests.browser.test_webcam import launch as launch
from tests.browser.walking import see, visit
from tests.photos import CLASSES, make_folder

pytestmark = pytest.mark.timeout(600)
# What was sent last: the browser tells nobody else what a request carries.
LAST = """
  const ask = window.fetch
  window.fetch = (address, options) => {
    if (String(address).includes("/graft/live/")) window.lastFrame = options.body
    return ask(address, options)
  }
"""
READ_LAST = "async () => Array.from(new Uint8Array(await window.lastFrame.arrayBuffer()))"
DISTANCES = (0.0, 2.0)  # the least and the most that one minus a cosine can be


@pytest.fixture(scope="module")
def runs(graft_server: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunDirectory]:
    """Two runs of a network that was never trained: to one everything is "unknown", to the other "known"."""
    divided = split(scan(make_folder(tmp_path_factory.mktemp("live") / "shapes", per_class=4)))
    config = TrainConfig()
    network = build("efficientnet_lite0", len(CLASSES), weights=None)
    made: dict[str, RunDirectory] = {}
    for name, limit in (("unknown", DISTANCES[0] - 1), ("known", DISTANCES[1] + 1)):
        run = store.create(walking.owner(graft_server).runs, config, divided, title=name, dataset={"name": name})
        write_model(run, network, ModelCard.of(config, divided, network, None))
        rows = F.normalize(torch.randn(6, network.backbone.feature_width), dim=1)
        samples = [Reference(one.path, divided.classes[one.target]) for one in divided.train[:6]]
        Detector(rows, samples, limit=limit, neighbours=2).save(run)
        made[name] = run
    return made


class Frames:
    """The requests with which a page asks about frames: how many, and how many at once."""

    def __init__(self, page: Any) -> None:
        self.count = self.open = self.most = 0
        page.on("request", self._asked)
        page.on("requestfinished", self._over)
        page.on("requestfailed", self._over)

    def _asked(self, request: Any) -> None:
        if "/graft/live/" in request.url:
            self.count, self.open = self.count + 1, self.open + 1
            self.most = max(self.most, self.open)

    def _over(self, request: Any) -> None:
        self.open -= "/graft/live/" in request.url

    def more(self, page: Any, count: int) -> None:
        """Wait for so many more."""
        before = self.count
        walking.wait_on_page(page, lambda: self.count >= before + count, "no more frames were sent")

    def rest(self, page: Any) -> None:
        """Nothing is sent for a while, once what was on its way has arrived."""
        walking.wait_on_page(page, lambda: not self.open, "a frame is still on its way")
        before = self.count
        page.wait_for_timeout(700)
        assert self.count == before


def turn_on(page: Any, server: Server, run: RunDirectory) -> None:
    visit(page, server, f"try_it?run={run.id}")
    page.get_by_role("radio", name="Live").click()
    page.locator(".live .turn-on").click()
    page.locator(".live[data-status=answering]").wait_for(timeout=walking.SECONDS * 1000)


def files(server: Server) -> set[Path]:
    return {path for path in server.workspace.rglob("*") if path.is_file()}


def test_a_camera_is_answered_frame_after_frame_and_nothing_of_it_is_kept(
    launch: Callable[..., Any], graft_server: Server, runs: dict[str, RunDirectory]
) -> None:
    page = launch(f"{FAKE}=device-count=2", ALLOW, script=WATCH + LAST)
    frames = Frames(page)
    turn_on(page, graft_server, runs["known"])
    before = files(graft_server)
    frames.more(page, 5)
    assert frames.most == 1
    with Image.open(io.BytesIO(bytes(page.evaluate(READ_LAST)))) as picture:
        assert (picture.format, picture.size) == ("JPEG", (256, 256))  # what this network's photos are scaled to
    assert files(graft_server) == before
    assert sorted(page.locator(".live .name").all_inner_texts()) == sorted(CLASSES)
    said = page.locator(".live .said").inner_text()
    assert said in CLASSES
    assert page.locator(".live .row.first .name").inner_text() == said
    video = page.locator(".live video")
    assert float(video.evaluate("(video) => new DOMMatrix(getComputedStyle(video).transform).a")) < 0  # a mirror
    page.locator(".live select").select_option(index=1)
    frames.more(page, 2)
    page.evaluate("Object.defineProperty(document, 'hidden', { value: true, configurable: true })")
    frames.rest(page)
    page.evaluate("delete document.hidden")
    frames.more(page, 1)
    page.route("**/graft/live/**", lambda route: route.abort())
    page.locator(".live .note").get_by_text("The connection is lost").wait_for()
    page.unroute("**/graft/live/**")
    page.locator(".live .note:empty").wait_for(state="attached")
    page.get_by_role("button", name="Turn the camera off").click()
    frames.rest(page)
    assert page.evaluate(LIGHTS) == 0
    page.locator(".live .turn-on").click()
    page.locator(".live[data-status=answering]").wait_for()
    settled(page)
    page.get_by_role("radio", name="A few").click()
    walking.wait_on_page(page, lambda: page.evaluate(LIGHTS) == 0, "the camera is still on")


def test_live_it_says_when_it_does_not_know_and_its_guess_is_one_switch_away(
    launch: Callable[..., Any], graft_server: Server, runs: dict[str, RunDirectory]
) -> None:
    page = launch(FAKE, ALLOW)
    turn_on(page, graft_server, runs["unknown"])
    page.locator(".live .said").get_by_text("I don't know").wait_for()
    assert not page.locator(".live .rows").is_visible()
    page.get_by_text("Say “I don't know” to photos unlike").click()
    see(page, "so this is a guess")
    assert page.locator(".live .said").inner_text() in CLASSES
    assert page.evaluate(LIGHTS) == 1  # a rerun leaves it on


def test_no_camera_is_said_with_the_next_step(
    launch: Callable[..., Any], graft_server: Server, runs: dict[str, RunDirectory]
) -> None:
    page = launch(ALLOW)
    visit(page, graft_server, f"try_it?run={runs['known'].id}")
    page.get_by_role("radio", name="Live").click()
    page.locator(".live .turn-on").click()
    page.locator(".live .problem").get_by_text("No camera was found. Plug one in").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_pasted_photo_that_is_unknown_shows_the_nearest_ones_and_all_of_it_is_open_to_all(
    launch: Callable[..., Any], graft_server: Server, runs: dict[str, RunDirectory], scheme: str
) -> None:
    from tests.browser.test_access import assert_open_to_all

    page = launch(FAKE, ALLOW, color_scheme=scheme, permissions=["clipboard-read", "clipboard-write", "camera"])
    visit(page, graft_server, f"try_it?run={runs['unknown'].id}")
    page.locator(".uploader .choose-files").wait_for()
    file = io.BytesIO()
    Image.new("RGB", (64, 64), "purple").save(file, "PNG")
    page.evaluate(
        """async (data) => {
            const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0))
            const blob = new Blob([bytes], { type: "image/png" })
            await navigator.clipboard.write([new ClipboardItem({ "image/png": blob })])
        }""",
        base64.b64encode(file.getvalue()).decode(),
    )
    page.keyboard.press("Control+V")
    card = page.locator("[class*='st-key-answer_']")
    card.get_by_role("heading", name="I don't know").wait_for(timeout=walking.SECONDS * 1000)
    near = card.locator("img[alt^='A training photo of']")
    near.nth(3).wait_for()
    assert near.count() == 4
    assert_open_to_all(page)
    page.get_by_role("radio", name="Live").click()
    page.locator(".live .turn-on").click()
    page.locator(".live[data-status=answering]").wait_for(timeout=walking.SECONDS * 1000)
    page.wait_for_timeout(300)
    assert_open_to_all(page)


# The arithmetic of the rows, in a page of its own: no camera, no model
ROWS = """(answers) => {
  const live = new Live()
  live.data = { classes: null }
  let time = 1000
  performance.now = () => time
  return answers.map(([milliseconds, top]) => {
    time += milliseconds
    live.take({ top: Object.entries(top).map(([label, confidence]) => ({ label, confidence })), unknown: false })
    return { rows: [...live.rows], said: live.said, share: live.shares.get(live.said) }
  })
}"""


@pytest.fixture
def rows(page: Any) -> Callable[..., list[dict[str, Any]]]:
    """What the rows show after each answer, given as (ms since the one before, {class: share})."""
    parts = Path(walking.__file__).parent.parent.parent / "pages" / "parts"
    script = "\n".join((parts / name).read_text("utf-8") for name in ("camera.js", "live_camera.js"))
    page.goto("about:blank")
    page.add_script_tag(content=script.replace("export default function", "function element"))
    return lambda *answers: page.evaluate(ROWS, list(answers))


def test_classes_that_stay_keep_their_row_and_newcomers_wait_a_moment(rows: Callable[..., Any]) -> None:
    first = {"a": 0.5, "b": 0.3, "c": 0.15, "d": 0.05}
    swapped = {"b": 0.5, "a": 0.3, "c": 0.15, "d": 0.05}
    newcomer = {"d": 0.6, "b": 0.3, "a": 0.1, "c": 0.0}
    told = rows([0, first], [900, swapped], [80, swapped], [80, newcomer], [2000, newcomer], [80, newcomer])
    assert [one["rows"] for one in told[:3]] == [["a", "b", "c"]] * 3
    assert told[2]["said"] == "b"
    assert told[-1]["rows"] == ["a", "b", "d"]  # in the place of the one that left
    assert told[-1]["said"] == "d"


def test_one_odd_frame_changes_little_and_a_slow_model_is_believed_at_once(rows: Callable[..., Any]) -> None:
    sure, odd = {"a": 0.9, "b": 0.1}, {"a": 0.1, "b": 0.9}
    quick = rows([0, sure], [80, odd], [80, sure])
    assert [one["said"] for one in quick] == ["a", "a", "a"]
    assert quick[1]["share"] > 0.6
    slow = rows([0, sure], [1000, odd])
    assert slow[1]["said"] == "b"
    assert slow[1]["share"] > 0.85
