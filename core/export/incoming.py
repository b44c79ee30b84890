"""A bundle from another Graft becomes a run. It is a stranger's file: everything in it is checked before it is used.

Only JSON and safetensors are ever read. ONNX files, exported programs, scripts and pages are hashed and left in the
zip: nothing in a bundle is run. The hashes find damage and careless changes; a bundle whose maker means harm has
matching hashes, and is held off by all the other checks.
"""

import json
import math
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from core.data.image import UnusablePhoto
from core.data.report import Split
from core.errors import CoreError
from core.events import Ended, Evaluated, Event, Started, WeightsReady
from core.export import contents
from core.export.arrived import Arrived, BundleError, arrived
from core.export.hard import hard_pictures
from core.export.manifest import sha256
from core.export.tensors import check_model, check_numbers, header
from core.inference.metrics import Results
from core.inference.predictor import ModelCard, Predictor
from core.inference.unknown import Detector, Reference
from core.models import registry
from core.runs import notes, store
from core.runs.store import EventWriter, RunDirectory
from core.words import say
from core.workspace import new_id, write_atomically

WEIGHTS, KNOWN = "model.safetensors", "known.safetensors"


def import_bundle(bundle: Path, runs: Path) -> RunDirectory:
    """A new run below ``runs`` with the bundle's model, scores and settings; its photos stay where they were.

    Raises:
        DataError: it isn't a zip.
        BundleError: something in it isn't as it should be; nothing is left of it.
        ModelError: its backbone isn't known here.
    """
    runs.mkdir(parents=True, exist_ok=True)
    identifier = new_id()
    staged = runs / f".{identifier}"  # no run while it is checked: names with a dot aren't listed
    staged.mkdir()
    try:
        with arrived(bundle) as opened:
            _fill(opened, RunDirectory(staged), str(runs / identifier / "photos"))
        os.rename(staged, runs / identifier)
    except BaseException:
        shutil.rmtree(staged, ignore_errors=True)
        raise
    return RunDirectory(runs / identifier)


def _fill(bundle: Arrived, run: RunDirectory, photos: str) -> None:
    """Everything a run has; ``photos`` is where they would be, and where none are."""
    card = contents.model_card(bundle)
    config = contents.settings(bundle, card)
    results, kept = contents.scores(bundle, card), contents.validation(bundle, card)
    _take_weights(bundle, run, card)
    write_atomically(run.model_card, json.dumps(card.to_json(), ensure_ascii=False, indent=1).encode())
    _try_out(bundle, run)
    if results is not None:
        write_atomically(run.metrics, json.dumps(results.to_json(), ensure_ascii=False).encode())
    if kept is not None:
        write_atomically(run.validation, json.dumps(kept, ensure_ascii=False).encode())
    writer = EventWriter(run)
    for event in _events(card, results, sha256(run.model)):
        writer.append(event)
    writer.close()
    nothing = Split(card.classes, (), (), (), photos)
    dataset = contents.dataset(bundle)
    store.fill(run.path, config, nothing, title=contents.title(bundle), dataset=dataset)
    notes.change(run, text=say("export.note", file=bundle.name[:80]))


def _take_weights(bundle: Arrived, run: RunDirectory, card: ModelCard) -> None:
    if WEIGHTS not in bundle:
        raise BundleError("missing", name=bundle.name, file=WEIGHTS)
    bundle.write(WEIGHTS, run.model)
    check_model(run.model, card, bundle.name)
    if KNOWN not in bundle:
        return
    bundle.write(KNOWN, run.known)
    check_numbers(run.known, header(run.known, bundle.name), bundle.name)
    try:
        detector = Detector.load(run, registry.backbone(card.backbone).feature_width)
    except CoreError:
        raise BundleError("known", name=bundle.name, file=KNOWN) from None
    if detector is None or any(sample.label not in card.classes for sample in detector.samples):
        raise BundleError("known", name=bundle.name, file=KNOWN)
    detector.samples = tuple(Reference(f"training/{n}", row.label) for n, row in enumerate(detector.samples, start=1))
    detector.save(run)


def _try_out(bundle: Arrived, run: RunDirectory) -> None:
    """Weights can be numbers each and still make none together: one drawn picture is answered."""
    answer = next(iter(Predictor.load(run).predict([hard_pictures()["turned.jpg"]])))
    if isinstance(answer, UnusablePhoto) or not all(math.isfinite(chance) for _, chance in answer.top):
        raise BundleError("no_answer", name=bundle.name, file=WEIGHTS)


def _events(card: ModelCard, results: Results | None, weights: str) -> Iterator[Event]:
    """As much of a run's story as its pages need: it has a model, its scores, and an end."""
    yield Started(device="", device_name="", versions={})
    yield WeightsReady(name=card.backbone, source="imported", sha256=weights)
    if results is not None and results.total:
        yield Evaluated(correct=results.correct, total=results.total, accuracy=results.accuracy)
    yield Ended(reason="complete", seconds={})
