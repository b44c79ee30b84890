"""What a bundle's JSON files may say: each value is read by type and bounds, and nothing else of it is kept."""

import math
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from core.config import BOUNDS, TrainConfig
from core.errors import CoreError
from core.export.arrived import Arrived, BundleError, int_of
from core.inference.calibration import COOLEST, HOTTEST
from core.inference.metrics import Answer, Results
from core.inference.predictor import FORMAT as CARD_FORMAT
from core.inference.predictor import ModelCard
from core.models import registry
from core.models.head import HeadSpec
from core.models.registry import Preprocessing
from core.runs.notes import TURNING

MODEL, SCORES, VALIDATION = "model.json", "metrics.json", "validation.json"
MOST_CLASSES = 2000  # a page draws a matrix of them
LONGEST_CLASS = 200
LONGEST_TITLE = 80
MOST_ANSWERS = 1_000_000
MOST_LOGITS = 2_000_000
# What Python raises where a stranger's value isn't of the kind, or is beyond all bounds.
WRONG = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError)


def model_card(bundle: Arrived) -> ModelCard:
    """``model.json``: a known backbone, decent class names, that backbone's own preprocessing."""
    data = bundle.json(MODEL)
    if int_of(data.get("format")) > CARD_FORMAT:
        raise BundleError("newer", name=bundle.name, value=str(data.get("format"))[:20])
    classes = _classes(bundle, data.get("classes"))
    backbone = registry.backbone(str(data.get("backbone")))
    try:
        head = _head(cast("Mapping[str, Any]", data["head"]))
        preprocessing = Preprocessing.from_json(data["preprocessing"])
        _check_preprocessing(preprocessing, backbone.preprocessing)
        told = data["weights"]
        weights = {name: _line(str(told[name])) for name in ("source", "sha256")} if told else None
    except WRONG:
        raise BundleError("card", name=bundle.name, file=MODEL) from None
    return ModelCard(backbone.name, classes, preprocessing, weights, head)


def settings(bundle: Arrived, card: ModelCard) -> TrainConfig:
    """How it was trained; what names things of another computer's is left out."""
    try:
        read = TrainConfig.from_json(bundle.said["settings"])
        return replace(read, backbone=card.backbone, device="auto", start_from="")
    except CoreError as error:
        raise BundleError("settings", name=bundle.name, why=error.message) from None
    except WRONG:
        raise BundleError("card", name=bundle.name, file="graft.json") from None


def dataset(bundle: Arrived) -> dict[str, object]:
    """What the run says about its photos, which stayed where they were."""
    told = bundle.said.get("dataset")
    said = cast("Mapping[str, object]", told) if isinstance(told, Mapping) else {}
    fingerprint = str(said.get("fingerprint"))
    known = len(fingerprint) == 64 and all(letter in "0123456789abcdef" for letter in fingerprint)
    return {
        "name": _line(str(said.get("name") or title(bundle))),
        "fingerprint": fingerprint if known else "",
        "photos": max(0, min(int_of(said.get("photos")), 10**9)),
        "skipped": max(0, min(int_of(said.get("skipped")), 10**9)),
        "imported": {"graft": _line(str(bundle.said.get("graft"))), "made": _line(str(bundle.said.get("made")))},
    }


def title(bundle: Arrived) -> str:
    return _line(str(bundle.said.get("title") or "")) or _line(bundle.name.removesuffix(".zip")) or "model"


def scores(bundle: Arrived, card: ModelCard) -> Results | None:
    """``metrics.json``: the answers, each with classes and probabilities that there can be."""
    if SCORES not in bundle:
        return None
    data = bundle.json(SCORES)
    try:
        _check(tuple(data["classes"]) == card.classes and len(data["answers"]) <= MOST_ANSWERS)
        read = Results.from_json({**data, "unreadable": ()})
        answers = tuple(_answer(answer, place, len(card.classes)) for place, answer in enumerate(read.answers, 1))
        _check(read.temperature is None or COOLEST <= float(read.temperature) <= HOTTEST)
        _check(read.limit is None or math.isfinite(float(read.limit)))
    except WRONG:
        raise BundleError("scores", name=bundle.name, file=SCORES) from None
    return replace(read, answers=answers, unreadable=())


def validation(bundle: Arrived, card: ModelCard) -> dict[str, object] | None:
    """``validation.json``: what the prediction sets are made of."""
    if VALIDATION not in bundle:
        return None
    data = bundle.json(VALIDATION)
    try:
        targets, logits = cast("list[object]", data["targets"]), cast("list[list[object]]", data["logits"])
        classes = len(card.classes)
        _check(tuple(data["classes"]) == card.classes and len(targets) == len(logits))
        _check(len(targets) * classes <= MOST_LOGITS)
        _check(all(type(target) is int and 0 <= target < classes for target in targets))
        rows = [[_number(value, -1e6, 1e6) for value in row] for row in logits]
        _check(all(len(row) == classes for row in rows))
        _check(data["phase"] in ("head", "finetune") and type(data["epoch"]) is int)
    except WRONG:
        raise BundleError("scores", name=bundle.name, file=VALIDATION) from None
    return {
        "format": 1, "phase": data["phase"], "epoch": data["epoch"], "classes": list(card.classes),
        "paths": [f"validation/{place}" for place in range(1, len(rows) + 1)], "targets": targets, "logits": rows,
    }  # fmt: skip


def _answer(answer: Answer, place: int, classes: int) -> Answer:
    """The same without the name of a photo that isn't here; ValueError for what can't be."""
    _check(type(answer.target) is int and 0 <= answer.target < classes and bool(answer.top))
    _check(len(answer.top) <= classes and all(0 <= row[0] < classes for row in answer.top))
    for _, chance in answer.top:
        _number(chance, 0, 1 + 1e-6)
    if answer.calibrated is not None:
        _number(answer.calibrated, 0, 1 + 1e-6)
    if answer.strangeness is not None:
        _number(answer.strangeness, -1e6, 1e6)
    return replace(answer, path=f"test/{place}")


def _classes(bundle: Arrived, value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise BundleError("card", name=bundle.name, file=MODEL)
    names = cast("Sequence[object]", value)
    if not 2 <= len(names) <= MOST_CLASSES:
        raise BundleError("classes", name=bundle.name, file=MODEL, n=len(names), most=MOST_CLASSES)
    for place, name in enumerate(names, start=1):
        if not isinstance(name, str) or not 1 <= len(name) <= LONGEST_CLASS or not _is_plain(name) or not name.strip():
            raise BundleError("class_name", name=bundle.name, file=MODEL, place=place, most=LONGEST_CLASS)
    if len(set(names)) != len(names) or list(names) != bundle.said.get("labels"):
        raise BundleError("class_list", name=bundle.name, file=MODEL)
    return tuple(str(name) for name in names)


def _head(data: Mapping[str, Any]) -> HeadSpec:
    """A head as the settings allow it; ValueError or another of Python's own for any other."""
    spec = HeadSpec.from_json(data)
    layers, units, dropout = (BOUNDS[name] for name in ("hidden_layers", "hidden_units", "dropout"))
    _check(spec.kind in ("linear", "hidden", "cosine"))
    _check(type(spec.hidden_layers) is int and layers[0] <= spec.hidden_layers <= layers[1])
    _check(type(spec.hidden_units) is int and units[0] <= spec.hidden_units <= units[1])
    _number(spec.dropout, *dropout)
    return spec


def _check_preprocessing(told: Preprocessing, own: Preprocessing) -> None:
    """Sizes are the backbone's; the numbers that make pixels small may be the user's."""
    _check((told.resize, told.crop, told.interpolation, told.antialias)
           == (own.resize, own.crop, own.interpolation, own.antialias))  # fmt: skip
    for value in told.mean:
        _number(value, -10, 10)
    for value in told.std:
        _number(value, 1e-3, 10)


def _number(value: object, low: float, high: float) -> float:
    _check(isinstance(value, int | float) and not isinstance(value, bool))
    number = float(cast("float", value))
    _check(math.isfinite(number) and low <= number <= high)
    return number


def _check(holds: bool) -> None:
    if not holds:
        raise ValueError


def _is_plain(text: str) -> bool:
    """Without control characters, halves of characters, and marks that turn the text beside it."""
    return not any(unicodedata.category(letter) in ("Cc", "Cs", "Cn") or letter in TURNING for letter in text)


def _line(text: str) -> str:
    kept = "".join(letter if _is_plain(letter) else " " for letter in text[:1000])
    return " ".join(kept.split())[:LONGEST_TITLE]
