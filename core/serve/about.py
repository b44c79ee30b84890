"""What a served model says of itself. Works on a run's directory and on an unpacked bundle alike."""

import json
from contextlib import suppress
from typing import Any

import core
from core.inference.predictor import Predictor
from core.runs.store import RunDirectory

BUNDLE_CARD = "graft.json"


def about(run: RunDirectory, predictor: Predictor) -> dict[str, Any]:
    """What GET /model answers, but for the limits."""
    card, detector, results = predictor.card, predictor.detector, run.results() or {}
    scores = {name: results.get(name) for name in ("accuracy", "interval", "correct", "total")}
    return {
        "title": title(run),
        "classes": list(card.classes),
        "backbone": card.backbone,
        "preprocessing": card.preprocessing.to_json(),
        "temperature": results.get("temperature"),
        "unknown_limit": detector.limit if detector else None,
        "scores": scores if results else None,
        "graft": core.__version__,
    }


def title(run: RunDirectory) -> str:
    """What people called it: a run's own title, a bundle's, or else the folder's name."""
    for name in ("config.json", BUNDLE_CARD):
        with suppress(OSError, ValueError, KeyError, TypeError):
            return str(json.loads((run.path / name).read_text("utf-8"))["title"])[:200]
    return run.path.absolute().name
