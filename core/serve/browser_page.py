"""The demo page: one HTML file in which a network runs, on a phone too, without any connection. Torch-free.

Everything is inside: the words, the labels, the network as ONNX and the ONNX Runtime that computes it, packed with gzip
and written as base64. Labels are strangers' texts: they are data in the page and never markup or script.
"""

import base64
import gzip
import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import PIL

import core
from core.data.image import MAX_ASPECT, MIN_SIDE
from core.serve.guard import hash_source
from core.serve.runtime import PROGRAM, VERSION, WASM, RuntimeFilesError
from core.words import catalogue, say

PARTS = Path(__file__).parent / "page"
MAX_ONNX_BYTES = 300_000_000  # a text of more than 536 million letters is beyond Chromium, and base64 adds a third
TEXTS = (
    "about", "loading", "choose", "take", "camera", "stop", "drop", "answers", "privacy", "noscript",
)  # fmt: skip


def browser_page(onnx: bytes, card: Mapping[str, Any], runtime: Path) -> bytes:
    """The page as UTF-8.

    ``onnx`` takes normalised pixels (n, 3, crop, crop) and gives, in this order, probabilities, calibrated ones and
    strangeness. ``card`` has ``title``, ``classes``, ``preprocessing`` (as ``Preprocessing.to_json``) and
    ``unknown_limit`` (None: it never says that it doesn't know). ``runtime`` is the folder that ``runtime.find`` gives.

    Raises:
        RuntimeFilesError: the network is too large for a browser.
    """
    if len(onnx) > MAX_ONNX_BYTES:
        sizes = {"megabytes": len(onnx) // 1_000_000, "limit": MAX_ONNX_BYTES // 1_000_000}
        raise RuntimeFilesError("large", **sizes)
    style, script = _style(), _script()
    policy = {
        "default-src": "'none'",
        # The runtime is a module, imported from a blob.
        "script-src": f"{hash_source(script)} blob: 'wasm-unsafe-eval'",
        "style-src": hash_source(style),
        "img-src": "data: blob:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    texts = {name: escape(say(f"demopage.{name}")) for name in TEXTS}
    page = Template((PARTS / "page.html").read_text("utf-8")).substitute(
        texts,
        policy="; ".join(f"{name} {value}" for name, value in policy.items()),
        title=escape(str(card["title"])),
        credits=escape(say("demopage.credits", graft=core.__version__, runtime=VERSION)),
        style=style,
        script=script,
        card=json_in_script(_told(card)),
        runtime=_packed((runtime / PROGRAM).read_bytes()),
        wasm=_packed((runtime / WASM).read_bytes()),
        model=_packed(onnx),
    )
    return page.encode()


def json_in_script(data: object) -> str:
    """JSON that can't end the script element it stands in, nor a line of JavaScript."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False)
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text.encode("utf-8", "replace").decode()  # half letters, which JSON can hold and UTF-8 can't


def _told(card: Mapping[str, Any]) -> dict[str, Any]:
    """What the script reads: only what it needs, under names of its own."""
    before = "demopage.script."
    words = {key.removeprefix(before): text for key, text in catalogue("en").items() if key.startswith(before)}
    return {
        "classes": list(card["classes"]),
        "preprocessing": dict(card["preprocessing"]),
        "unknown_limit": card.get("unknown_limit"),
        "least_side": MIN_SIDE,
        "most_aspect": MAX_ASPECT,
        "pillow": int(PIL.__version__.partition(".")[0]),
        "words": words,
    }


def _script() -> str:
    return "\n" + "\n".join((PARTS / name).read_text("utf-8") for name in ("resample.js", "page.js"))


def _style() -> str:
    return "\n" + Template((PARTS / "page.css").read_text("utf-8")).substitute(COLOURS)


# As in the app's own palette, which core can't import: light, dark.
COLOURS = {
    "background": "#FBF8F1, #0F1612",
    "surface": "#F3EEE2, #18221C",
    "ink": "#1F2A24, #E9EEE6",
    "muted": "#55615A, #A6B3A9",
    "line": "#DDD6C6, #2C3931",
    "primary": "#2B6341, #378054",
    "accent": "#2F7049, #7CC79A",
    "careful": "#A33A1A, #F0855C",
}


def _packed(content: bytes) -> str:
    return base64.b64encode(gzip.compress(content, 6, mtime=0)).decode()
