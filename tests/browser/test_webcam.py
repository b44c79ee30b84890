"""The camera in a real browser, with Chromium's fake one: holding, tapping, leaving, and every reason why not."""

import base64
import io
import os
import shutil
import ssl
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from core.data.scan import scan
from tests.browser import conftest
from tests.browser.serving import CHROMIUM_FLAGS, STAGE, Server, find_chromium, settled
from tests.browser.test_ways_in_browser import add_class, counted, use

FAKE = "--use-fake-device-for-media-stream"
ALLOW = "--use-fake-ui-for-media-stream"
# Every stream that the page was given, so that a test can ask whether the camera's light is out.
WATCH = """
  window.streams = []
  const devices = navigator.mediaDevices
  if (devices) {
    const ask = devices.getUserMedia.bind(devices)
    devices.getUserMedia = async (wanted) => { const got = await ask(wanted); window.streams.push(got); return got }
  }
"""
TRACKS = "window.streams.flatMap((stream) => stream.getTracks())"
LIGHTS = f"() => {TRACKS}.filter((track) => track.readyState === 'live').length"
FRAME = """() => {
  const roots = [...document.querySelectorAll('*')].map((node) => node.shadowRoot).filter(Boolean)
  const video = roots.map((root) => root.querySelector('.webcam video')).find(Boolean)
  const canvas = document.createElement('canvas')
  Object.assign(canvas, { width: video.videoWidth, height: video.videoHeight })
  canvas.getContext('2d').drawImage(video, 0, 0)
  return canvas.toDataURL('image/png')
}"""
OUTSIDE = "graft.example"
EVERYWHERE = {"GRAFT_STAGE": "bringing.py", "STREAMLIT_SERVER_ADDRESS": "0.0.0.0"}  # noqa: S104  what is tested


@pytest.fixture(scope="module")
def server(start_server: Callable[..., Server]) -> Server:
    return start_server(app=STAGE, environment={"GRAFT_STAGE": "bringing.py"})


@pytest.fixture
def launch(browser: Any) -> Iterator[Callable[..., Any]]:
    """``launch(flags…)``: a page of a browser with these flags, watched as other pages are."""
    opened: list[Any] = []

    def start(*flags: str, script: str = WATCH, **settings: Any) -> Any:
        arguments = [*CHROMIUM_FLAGS, *flags]
        own = browser.browser_type.launch(executable_path=find_chromium(), args=arguments)
        page = own.new_context(**settings).new_page()
        opened.append((own, page))
        conftest._watch(page)
        page.add_init_script(script)
        return page

    yield start
    errors = [error for _, page in opened for error in page.errors]
    for own, _ in opened:
        own.close()
    assert errors == [], "the page reported errors"


def camera_for(page: Any, url: str, name: str = "cat") -> None:
    page.goto(f"{url}/?way=classes")
    settled(page)
    add_class(page, name)
    page.get_by_role("button", name="Use a camera").click()
    page.locator(".webcam .turn-on").wait_for()


def turn_on(page: Any) -> None:
    page.locator(".webcam .turn-on").click()
    page.locator(".webcam[data-status=on]").wait_for()
    page.wait_for_function("() => window.streams.length > 0")


def problem(page: Any) -> str:
    page.locator(".webcam .problem:not(:empty)").wait_for()
    return page.locator(".webcam .problem").inner_text()


def recorded(page: Any) -> int:
    return int((page.locator(".webcam .count").inner_text() or "0").split()[0])


def hold(page: Any, seconds: float) -> None:
    button = page.locator(".webcam .hold").bounding_box()
    page.mouse.move(button["x"] + button["width"] / 2, button["y"] + button["height"] / 2)
    page.mouse.down()
    page.wait_for_timeout(seconds * 1000)
    page.mouse.up()


def stored(server: Server) -> list[Path]:
    return sorted((server.workspace / "me" / "uploads").glob("*/photos/cat/*.jpg"))


def picture(path: Path) -> Image.Image:
    return Image.open(io.BytesIO(path.read_bytes()))


def wait_for_photos(page: Any, least: int) -> int:
    """Until all that were recorded are on the server, and its count says so."""
    page.locator(".webcam[data-status=on]").wait_for()
    page.wait_for_function(
        """() => {
          const shadows = [...document.querySelectorAll('*')].map((node) => node.shadowRoot).filter(Boolean)
          const part = (name) => shadows.map((root) => root.querySelector(name)).find(Boolean)
          return part('.webcam .count')?.textContent && !part('.webcam .waiting').textContent
        }"""
    )
    count = -1
    while count != (count := recorded(page)):  # the last picture may still be on its way into its file
        page.wait_for_timeout(1000)
    assert count >= least
    counted(page, "cat", count)
    return count


def test_holding_the_button_records_about_eight_photos_a_second_into_the_class(
    launch: Callable[..., Any], server: Server
) -> None:
    page = launch(FAKE, ALLOW)
    camera_for(page, server.url)
    turn_on(page)
    before = len(stored(server))
    hold(page, 3)
    count = wait_for_photos(page, 15)
    assert count <= 27, "eight a second, for three seconds"
    photos = stored(server)[before:]
    assert len(photos) == count
    assert {(picture(path).format, max(picture(path).size)) for path in photos} == {("JPEG", 640)}
    assert page.locator(".webcam .pictures img").count() == 8
    page.get_by_role("button", name="Turn the camera off").click()
    assert page.evaluate(LIGHTS) == 0
    told = use(page)
    assert (told["photos"], told["classes"]) == (str(count), "cat")


def test_the_space_bar_holds_too_and_a_tap_takes_one(launch: Callable[..., Any], server: Server) -> None:
    page = launch(FAKE, ALLOW)
    camera_for(page, server.url)
    turn_on(page)
    page.locator(".webcam .hold").click()  # a tap
    assert wait_for_photos(page, 1) == 1
    page.locator(".webcam .hold").focus()
    page.keyboard.down("Space")
    page.wait_for_timeout(1500)
    page.keyboard.up("Space")
    more = wait_for_photos(page, 6)
    page.keyboard.press("Enter")
    page.wait_for_timeout(600)
    assert wait_for_photos(page, more + 1) == more + 1
    page.get_by_label("New class").fill("two words")  # the space bar is needed there
    page.get_by_label("New class").press("Space")
    page.wait_for_timeout(400)
    assert recorded(page) == more + 1


def test_what_is_recorded_is_the_cameras_picture_unmirrored(launch: Callable[..., Any], server: Server) -> None:
    page = launch(FAKE, ALLOW)
    camera_for(page, server.url)
    turn_on(page)
    assert "mirrored" in (page.locator(".webcam video").get_attribute("class") or "")
    before = len(stored(server))
    page.locator(".webcam .hold").click()
    wait_for_photos(page, 1)
    # The fake camera's clock is written from left to right: a mirrored photo is another picture.
    frame = page.evaluate(FRAME)
    shown = Image.open(io.BytesIO(base64.b64decode(frame.partition(",")[2]))).convert("L")
    photo = picture(stored(server)[before]).convert("L").resize(shown.size)

    def distance(one: Image.Image, other: Image.Image) -> float:
        pairs = zip(one.get_flattened_data(), other.get_flattened_data(), strict=True)
        return sum(abs(a - b) for a, b in pairs) / (one.width * one.height)

    mirrored = photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    assert distance(shown, photo) < distance(shown, mirrored)


def test_photos_recorded_while_the_server_is_gone_wait_and_arrive(
    launch: Callable[..., Any], start_server: Callable[..., Server]
) -> None:
    own = start_server(app=STAGE, environment={"GRAFT_STAGE": "bringing.py"})
    page = launch(FAKE, ALLOW)
    camera_for(page, own.url)
    turn_on(page)
    hold(page, 1)
    first = wait_for_photos(page, 4)
    own.kill()
    hold(page, 1)
    page.locator(".webcam .problem").get_by_text("The connection is lost").wait_for()
    assert len(stored(own)) == first
    own.start()
    page.wait_for_function(
        """() => [...document.querySelectorAll('*')]
          .some((n) => n.shadowRoot?.querySelector('.webcam .waiting')?.textContent === '')""",
        timeout=30_000,
    )
    assert len(stored(own)) == recorded(page) >= first + 4


def test_the_camera_goes_out_when_its_class_or_the_page_is_left(launch: Callable[..., Any], server: Server) -> None:
    page = launch(FAKE, ALLOW)
    camera_for(page, server.url)
    turn_on(page)
    assert page.evaluate(LIGHTS) == 1
    add_class(page, "dog")  # a rerun leaves it on
    assert page.evaluate(LIGHTS) == 1
    page.get_by_role("button", name="Put the camera away").click()
    page.wait_for_function(f"() => ({LIGHTS})() === 0")
    page.get_by_role("button", name="Use a camera").first.click()
    page.locator(".webcam .turn-on").wait_for()
    turn_on(page)
    page.wait_for_function(f"() => ({LIGHTS})() === 1")
    settled(page)
    page.get_by_role("radio", name="Folder or zip").click()
    page.wait_for_function(f"() => ({LIGHTS})() === 0")


def test_one_of_several_cameras_can_be_chosen(launch: Callable[..., Any], server: Server) -> None:
    page = launch(f"{FAKE}=device-count=2", ALLOW)
    camera_for(page, server.url)
    turn_on(page)
    cameras = page.locator(".webcam select")
    names = cameras.locator("option").all_inner_texts()
    assert len(names) == 2
    cameras.select_option(label=names[1])
    page.wait_for_function("() => window.streams.length === 2")
    page.wait_for_function(f"() => ({LIGHTS})() === 1")
    label = page.evaluate("() => window.streams[1].getVideoTracks()[0].label")
    assert label == names[1]
    assert cameras.locator("option:checked").inner_text() == names[1]


def test_no_camera_is_said_with_the_next_step(launch: Callable[..., Any], server: Server) -> None:
    page = launch(ALLOW)
    camera_for(page, server.url)
    page.locator(".webcam .turn-on").click()
    assert problem(page).startswith("No camera was found. Plug one in")


def test_a_browser_told_not_to_is_said_with_the_next_step(launch: Callable[..., Any], server: Server) -> None:
    page = launch(FAKE)
    page.context.grant_permissions([])
    camera_for(page, server.url)
    page.locator(".webcam .turn-on").click()
    assert problem(page).startswith("The browser was told not to use the camera.")


def test_a_camera_in_use_is_said_with_the_next_step(launch: Callable[..., Any], server: Server) -> None:
    busy = """navigator.mediaDevices.getUserMedia = () =>
      Promise.reject(new DOMException("Could not start video source", "NotReadableError"))"""
    page = launch(FAKE, ALLOW, script=busy)
    camera_for(page, server.url)
    page.locator(".webcam .turn-on").click()
    assert "another program may be using it" in problem(page)


def test_over_plain_http_from_another_computer_it_says_why_not_and_what_to_do(
    launch: Callable[..., Any], start_server: Callable[..., Server]
) -> None:
    open_server = start_server(app=STAGE, environment=EVERYWHERE)
    page = launch(FAKE, ALLOW, f"--host-resolver-rules=MAP {OUTSIDE} 127.0.0.1")
    camera_for(page, f"http://{OUTSIDE}:{open_server.port}")
    assert page.evaluate("navigator.mediaDevices === undefined")
    page.locator(".webcam .turn-on").click()
    told = problem(page)
    assert f"http://localhost:{open_server.port}" in told
    assert "https://" in told


class SecureServer(Server):
    """The same over HTTPS, with a certificate of its own making."""

    def __init__(self, workspace: Path, folder: Path) -> None:
        key, certificate = folder / "key.pem", folder / "certificate.pem"
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={OUTSIDE}"]
        subprocess.run([*command, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
        paths = {"STREAMLIT_SERVER_SSL_CERT_FILE": str(certificate), "STREAMLIT_SERVER_SSL_KEY_FILE": str(key)}
        super().__init__(workspace, app=STAGE, environment={**EVERYWHERE, **paths})
        self.url = f"https://127.0.0.1:{self.port}"

    def _answers(self) -> bool:
        trusting = ssl._create_unverified_context()  # noqa: S323  of our own making, a second ago
        try:
            with urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=5, context=trusting) as answer:
                return answer.status == 200
        except OSError:
            return False


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl to make a certificate with")
def test_over_https_another_computer_can_record(launch: Callable[..., Any], tmp_path: Path) -> None:
    secure = SecureServer(tmp_path / "workspace", tmp_path)
    secure.start()
    try:
        rules = f"--host-resolver-rules=MAP {OUTSIDE} 127.0.0.1"
        page = launch(FAKE, ALLOW, rules, ignore_https_errors=True)
        camera_for(page, f"https://{OUTSIDE}:{secure.port}")
        turn_on(page)
        hold(page, 1)
        count = wait_for_photos(page, 4)
        assert len(stored(secure)) == count
        page.wait_for_function(
            "() => document.querySelector('[data-testid=stApp]').dataset.testScriptState === 'notRunning'"
        )
        assert len(scan_of(secure)) == count
    finally:
        secure.stop()


def scan_of(server: Server) -> list[str]:
    """What the photos come to when they are looked at: each can be read."""
    (folder,) = {path.parent.parent for path in stored(server)}
    report = scan(folder)
    assert report.left_out == ()
    return [photo.path for photo in report.photos]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible_off_on_and_with_a_problem(launch: Callable[..., Any], server: Server, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()

    def violations(page: Any) -> list[tuple[str, str]]:
        page.wait_for_timeout(800)
        found = axe.run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"]}).response
        nodes = [(entry["id"], node) for entry in found["violations"] for node in entry["nodes"]]
        return [(rule, node["html"]) for rule, node in nodes if isinstance(node["target"][0], list)]

    page = launch(FAKE, ALLOW, color_scheme=scheme, viewport={"width": 900, "height": 1000}, reduced_motion="reduce")
    camera_for(page, server.url)
    assert violations(page) == []
    turn_on(page)
    assert violations(page) == []
    box = page.locator(".webcam .hold").bounding_box()
    page.mouse.move(box["x"] + 5, box["y"] + 5)
    page.mouse.down()
    page.locator(".webcam[data-status=recording]").wait_for()
    assert violations(page) == []
    page.mouse.up()
    other = launch(ALLOW, color_scheme=scheme, viewport={"width": 900, "height": 1000}, reduced_motion="reduce")
    camera_for(other, server.url)
    other.locator(".webcam .turn-on").click()
    problem(other)
    assert violations(other) == []
    if folder := os.environ.get("GRAFT_SCREENSHOTS"):
        page.screenshot(path=f"{folder}/webcam-{scheme}.png", full_page=True)
