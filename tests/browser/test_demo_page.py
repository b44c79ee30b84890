"""The demo page in Chromium: a network exported by the app answers in the browser what it answers in the app."""

import base64
import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core.data.image import open_rgb
from core.data.pixels import FILTERS
from core.export import forms
from core.export.whole import Whole, example
from core.inference.predictor import Predictor
from core.models.registry import Preprocessing
from core.serve import runtime
from core.serve.browser_page import browser_page
from tests import hostile
from tests.browser.test_access import violations
from tests.served import BICUBIC, BILINEAR, CLASSES, colour_network, colour_predictor

NEAR = 1e-3  # the largest difference of a probability, as between all forms of an export
ROUNDED = {"sixteen_bit.png": 5e-3}  # browsers and Pillow cut 16 bits down to 8 in ways that differ by one grey level
NOT_FOR_BROWSERS = (".tif", ".tiff")
FAKE_CAMERA = """
navigator.mediaDevices.getUserMedia = async () => {
  const canvas = Object.assign(document.createElement("canvas"), { width: 64, height: 48 });
  const context = canvas.getContext("2d");
  const paint = () => { context.fillStyle = "#f22"; context.fillRect(0, 0, 64, 48); };
  paint();
  setInterval(paint, 30);
  window.stream = canvas.captureStream(30);
  return window.stream;
};
"""


@pytest.fixture(scope="module")
def files() -> Path:
    found = runtime.find()
    if found is None:
        pytest.skip("ONNX Runtime Web isn't here: python -m core fetch-runtime")
    return found


@pytest.fixture(scope="module")
def onnx(files: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    predictor = colour_predictor()
    file = tmp_path_factory.mktemp("onnx") / "model.onnx"
    forms.write_onnx(forms.program(Whole(colour_network(), None, predictor.detector), example(predictor.card)), file)
    return file.read_bytes()


@pytest.fixture(scope="module")
def pages(files: Path, onnx: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``bicubic.html``, ``bilinear.html`` and ``strict.html``, to which every photo is strange."""
    folder = tmp_path_factory.mktemp("demo pages")
    cases: tuple[tuple[str, Preprocessing, float | None], ...] = (
        ("bicubic", BICUBIC, None), ("bilinear", BILINEAR, None), ("strict", BICUBIC, -1.0),
    )  # fmt: skip
    for name, preprocessing, limit in cases:
        card = {"title": "<b>Colours</b>", "classes": CLASSES, "preprocessing": preprocessing.to_json()}
        page = browser_page(onnx, {**card, "unknown_limit": limit}, files)
        (folder / f"{name}.html").write_bytes(page)
    return folder


@pytest.fixture(scope="module")
def address(pages: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(pages)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def opened(page: Any, url: str) -> Any:
    page.goto(url)
    page.locator("body[data-ready]").wait_for()
    return page


def answers(page: Any, photos: dict[str, bytes]) -> dict[str, dict[str, float]]:
    """What the page says of each photo, by its name: class → probability."""
    files = [{"name": name, "mimeType": "", "buffer": content} for name, content in photos.items()]
    page.locator("#choose").set_input_files(files)
    page.locator("#answers > li[data-done]").nth(len(photos) - 1).wait_for()
    rows = page.evaluate(
        """() => [...document.querySelectorAll("#answers > li")].map((item) => [
          item.querySelector("p.quiet").textContent,
          [...item.querySelectorAll(".bars li")].map((row) =>
            [row.querySelector(".name").textContent, Number(row.dataset.probability)]),
        ])"""
    )
    return {name: dict(bars) for name, bars in rows}


def differences(predictor: Predictor, photos: dict[str, bytes], told: dict[str, dict[str, float]]) -> dict[str, float]:
    """By photo: the largest difference of a probability from the app's."""
    app = zip(photos, predictor.predict(photos.values()), strict=True)
    return {name: max(abs(told[name][label] - chance) for label, chance in answer.top) for name, answer in app}


@pytest.fixture(scope="module")
def odd() -> dict[str, bytes]:
    """Photos in every way that a browser can open, and turned in all eight ways."""
    photos = {name: make() for name, make in hostile.ODD.items() if not name.endswith(NOT_FOR_BROWSERS)}
    turned = {f"turned-{n}.jpg": hostile.with_orientation(hostile.picture(90, 60), n, "JPEG") for n in range(1, 9)}
    tall = {"tall.png": hostile.encoded(hostile.picture(70, 200), "PNG"), "wide.jpg": hostile.jpeg(4, 300, 41)}
    return {**photos, **turned, **tall}


@pytest.mark.parametrize("kind", ["bicubic", "bilinear"])
def test_the_page_answers_as_the_app_does_opened_as_a_file(page, pages, odd, kind):
    predictor = colour_predictor({"bicubic": BICUBIC, "bilinear": BILINEAR}[kind])
    opened(page, (pages / f"{kind}.html").as_uri())
    found = differences(predictor, odd, answers(page, odd))
    assert {name: away for name, away in found.items() if away > ROUNDED.get(name, NEAR)} == {}
    assert page.outside_requests == []


def test_the_page_answers_over_http_and_asks_for_nothing_but_itself(page, address, odd):
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    opened(page, f"{address}/bicubic.html")
    photos = {name: odd[name] for name in ("plain.jpg", "turned-6.jpg", "tall.png")}
    assert max(differences(colour_predictor(), photos, answers(page, photos)).values()) <= NEAR
    assert [url for url in asked if not url.startswith(("blob:", "data:"))] == [f"{address}/bicubic.html"]


def test_pixels_are_resampled_to_the_very_numbers_that_pillow_gives(page, pages):
    """Of noise, where nothing is smooth: tall, wide and square, enlarged and reduced, both filters."""
    opened(page, (pages / "bicubic.html").as_uri())
    random = np.random.default_rng(1)
    sizes = [(64, 48), (48, 64), (50, 50), (31, 90), (90, 31), (20, 300), (300, 200), (9, 8), (33, 32)]
    for width, height in sizes:
        pixels = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
        side, left, top = min(width, height), (width - min(width, height)) // 2, (height - min(width, height)) // 2
        for name, kernel in FILTERS.items():
            wanted = Image.fromarray(pixels).resize((32, 32), kernel, box=(left, top, left + side, top + side))
            square = page.evaluate(
                """([bytes, width, height, name]) => {
                  const data = Uint8Array.from(atob(bytes), (letter) => letter.charCodeAt(0));
                  return [...middleSquare({ data, width, height }, 32, name, card.pillow)];
                }""",
                [base64.b64encode(pixels.tobytes()).decode(), width, height, name],
            )
            assert np.array_equal(np.array(square).reshape(32, 32, 3), np.asarray(wanted)), (width, height, name)


def test_large_jpegs_are_reduced_as_the_decoder_of_the_app_does_it(page, pages):
    """At a half, a quarter and an eighth. Without colour, which the app's decoder treats in a way of its own."""
    opened(page, (pages / "bicubic.html").as_uri())
    for width, height in ((160, 120), (352, 408), (648, 480)):
        photo = hostile.encoded(hostile.picture(width, height).convert("L"), "JPEG", quality=90)
        reduced = page.evaluate(
            """async (bytes) => {
              const data = Uint8Array.from(atob(bytes), (letter) => letter.charCodeAt(0));
              const bitmap = await createImageBitmap(new Blob([data]), { colorSpaceConversion: "none" });
              const small = pixels(bitmap, decodingScale(bitmap.width, bitmap.height, 40));
              return [small.width, small.height, ...small.data];
            }""",
            base64.b64encode(photo).decode(),
        )
        app = np.asarray(open_rgb(photo, shorter_side=40)).astype(int)
        assert (reduced[1], reduced[0]) == app.shape[:2]
        away = np.abs(np.array(reduced[2:]).reshape(app.shape) - app)
        assert away.max() <= 1
        assert away.mean() < 0.4


def test_hostile_class_names_are_shown_and_never_run(page, pages):
    said: list[str] = []
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    opened(page, (pages / "bicubic.html").as_uri())
    assert page.locator("h1").inner_text() == "<b>Colours</b>"
    assert page.locator("#classes").text_content() == f"It tells apart: {', '.join(CLASSES)}"
    told = answers(page, {"<img src=x onerror=alert(2)>.jpg": hostile.jpeg()})
    assert list(told) == ["<img src=x onerror=alert(2)>.jpg"]
    assert set(told["<img src=x onerror=alert(2)>.jpg"]) == set(CLASSES)
    assert said == []


def test_a_strange_photo_is_answered_with_i_dont_know(page, pages):
    opened(page, (pages / "strict.html").as_uri())
    answers(page, {"a.jpg": hostile.jpeg()})
    assert page.locator("#answers .verdict").inner_text() == "I don't know"
    assert "unlike the photos" in page.locator("#answers").inner_text()


def test_files_that_are_no_photos_say_so_and_the_next_one_is_answered(page, pages):
    opened(page, (pages / "bicubic.html").as_uri())
    bad = {name: hostile.UNUSABLE[name][1]() for name in ("text.jpg", "zero.jpg", "thread.png", "one_pixel.png")}
    told = answers(page, {**bad, "good.jpg": hostile.jpeg()})
    assert [name for name, bars in told.items() if bars] == ["good.jpg"]
    said = page.locator("#answers").inner_text()
    for words in ("can't open this file", "thin strip", "too few pixels"):
        assert words in said


def test_photos_may_be_dropped_or_pasted(page, pages):
    opened(page, (pages / "bicubic.html").as_uri())
    for kind, holder in (("drop", "dataTransfer"), ("paste", "clipboardData")):
        page.evaluate(
            """([kind, holder, bytes]) => {
              const data = Uint8Array.from(atob(bytes), (letter) => letter.charCodeAt(0));
              const held = new DataTransfer();
              held.items.add(new File([data], `${kind}.jpg`));
              const event = kind === "drop"
                ? new DragEvent(kind, { [holder]: held, bubbles: true, cancelable: true })
                : new ClipboardEvent(kind, { [holder]: held, bubbles: true });
              document.body.dispatchEvent(event);
            }""",
            [kind, holder, base64.b64encode(hostile.jpeg()).decode()],
        )
        page.locator("#answers > li[data-done]", has_text=f"{kind}.jpg").wait_for()


def test_the_camera_is_answered_live_and_let_go(page, pages):
    page.add_init_script(FAKE_CAMERA)
    opened(page, (pages / "bicubic.html").as_uri())
    page.locator("#camera").click()
    page.locator("#live .verdict", has_text="red").wait_for()
    page.locator("#stop").click()
    page.locator("#live").wait_for(state="hidden")
    assert page.evaluate("window.stream.getTracks().map((track) => track.readyState)") == ["ended"]
    page.locator("#camera").click()
    page.locator("#live .verdict").wait_for()


def test_a_camera_that_isnt_allowed_is_told(page, pages):
    page.add_init_script("navigator.mediaDevices.getUserMedia = async () => { throw new Error('no'); };")
    opened(page, (pages / "bicubic.html").as_uri())
    page.locator("#camera").click()
    page.locator("#state", has_text="The camera can't be used").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_keeps_the_rules_for_everybody_on_a_phone(open_page, pages, scheme):
    page = open_page(viewport={"width": 420, "height": 800}, color_scheme=scheme, has_touch=True, is_mobile=True)
    opened(page, (pages / "strict.html").as_uri())
    answers(page, {"a.jpg": hostile.jpeg(), "text.jpg": b"no picture"})
    assert page.evaluate("document.documentElement.scrollWidth") <= 420
    assert violations(page) == []
