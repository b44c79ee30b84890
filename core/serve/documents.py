"""What the service says about itself: the parts of its OpenAPI document that no signature shows, and its one page."""

from dataclasses import asdict
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import core
from core.serve.answers import Fault
from core.serve.browser_page import COLOURS
from core.serve.guard import hash_source
from core.serve.limits import Limits
from core.words import say

PARTS = Path(__file__).parent / "page"
_PHOTO = {"type": "string", "format": "binary"}
_TEXTS = ("title", "summary", "choose", "token", "send", "answer", "predict", "model", "health", "openapi")

EXAMPLE = {
    "path": "rose.jpg",
    "label": "rose",
    "confidence": 0.93,
    "unknown": False,
    "top": [{"label": "rose", "confidence": 0.93}, {"label": "tulip", "confidence": 0.07}],
}
MODEL_EXAMPLE = {
    "title": "flowers",
    "classes": ["rose", "tulip"],
    "backbone": "efficientnet_lite0",
    "preprocessing": {
        "resize": 256,
        "crop": 224,
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
        "interpolation": "bicubic",
        "antialias": True,
    },
    "temperature": 1.2,
    "unknown_limit": 2.5,
    "scores": {"accuracy": 0.95, "interval": [0.83, 0.99], "correct": 38, "total": 40},
    "limits": asdict(Limits()),
    "graft": core.__version__,
}


def predict_body(limits: Limits) -> dict[str, Any]:
    """What POST /predict takes."""
    photos = {"type": "array", "items": _PHOTO, "minItems": 1, "maxItems": limits.photos}
    whole = {**_PHOTO, "minLength": 1}
    form = {"type": "object", "properties": {"photos": photos}, "required": ["photos"]}
    return {
        "description": say("serve.predict_long"),
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {"schema": form},
                "image/*": {"schema": whole},
                "application/octet-stream": {"schema": whole},
            },
        },
    }


def answered(example: object) -> dict[int | str, dict[str, Any]]:
    return {200: {"description": say("serve.status.200"), "content": {"application/json": {"example": example}}}}


def predicted() -> dict[int | str, dict[str, Any]]:
    return answered({"answers": [EXAMPLE]})


def faults(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The refusals that a route knows."""
    return {status: {"model": Fault, "description": say(f"serve.status.{status}")} for status in statuses}


def try_page() -> tuple[str, str]:
    """The page at ``/``, in which photos can be tried, and its content policy."""
    style = Template((PARTS / "service.css").read_text("utf-8")).substitute(COLOURS)
    script = (PARTS / "service.js").read_text("utf-8")
    texts = {name: escape(say(f"serve.{name}")) for name in _TEXTS}
    page = Template((PARTS / "service.html").read_text("utf-8")).substitute(texts, style=style, script=script)
    policy = (
        f"default-src 'none'; script-src {hash_source(script)}; style-src {hash_source(style)}; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return page, policy
