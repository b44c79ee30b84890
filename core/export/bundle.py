"""One zip with a trained model in every form, each of which was seen to answer as the app does."""

import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from core.data.image import UnusablePhoto
from core.errors import CoreError, DataError, ModelError, RunError
from core.export import check, forms, manifest
from core.export.card import model_card
from core.export.parity import LIMIT, FormParity, Parity, compare
from core.export.samples import MOST_SAMPLES, own_photos, spread, write_samples
from core.export.whole import INPUT, OUTPUTS, example, network_of, whole
from core.inference.answers_file import PhotoAnswer
from core.inference.metrics import Results
from core.inference.predictor import ModelCard, write_model
from core.inference.unknown import Detector, Reference
from core.models import registry
from core.runs.store import RunDirectory
from core.workspace import write_atomically

FOLDER = "graft-model"
CHECKED_PHOTOS = 50
TAKEN = Path(__file__).with_name("taken")
UNCOMPRESSED = (".safetensors", ".onnx", ".pt2", ".jpg", ".png")
STEPS = ("network", "program", "onnx", "check", "pack")

Tell = Callable[[str, int, int], object]
Page = Callable[[bytes, Mapping[str, Any]], bytes]


class ExportStopped(ModelError):
    """The user asked to stop; nothing was written."""


@dataclass
class _Making:
    """One bundle while it is made, in a folder that goes at the end."""

    run: RunDirectory
    folder: Path
    tell: Tell
    should_stop: Callable[[], bool]
    left_out: dict[str, CoreError] = field(default_factory=dict[str, CoreError])

    def step(self, name: str, done: int = 0, total: int = 1) -> None:
        if self.should_stop():
            raise ExportStopped("export.stopped")
        self.tell(name, done, total)


def export(
    run: RunDirectory,
    out: Path,
    tell: Tell = lambda step, done, total: None,
    should_stop: Callable[[], bool] = lambda: False,
    *,
    samples: bool = True,
    page: Page | None = None,
) -> Parity:
    """Write the bundle of a run to ``out``, which must not be there yet, and return how its check came out.

    ``tell`` hears a step of ``STEPS`` and how far it is. Without ``samples`` no photo of the user's goes along, only
    drawn ones. ``page`` makes the browser demo page from the ONNX file and what it must know.
    A bundle whose forms don't answer as the app does is never written: whoever takes one along trusts all of it.

    Raises:
        RunError: the run has no model.
        DataError: ``out`` is there already, or its folder isn't.
        ModelError: a form answers differently, can't be made, or the user stopped it.
    """
    if not run.has_model:
        raise RunError("runs.no_model", run=run.id)
    if out.exists():
        raise DataError("export.out_exists", path=str(out))
    if not out.parent.is_dir():
        raise DataError("export.no_folder", path=str(out.parent))
    with tempfile.TemporaryDirectory(prefix=".graft-export-", dir=out.parent) as scratch:
        folder = Path(scratch, FOLDER)
        folder.mkdir()
        making = _Making(run, folder, tell, should_stop)
        parity = _fill(making, samples, page)
        return _pack(making, out, parity)


def _fill(making: _Making, samples: bool, page: Page | None) -> Parity:
    run, folder = making.run, making.folder
    card, data = _write_forms(making)
    photos = own_photos(run, CHECKED_PHOTOS)
    taken = [folder / name for name in write_samples(folder, spread(photos, MOST_SAMPLES) if samples else [])]
    parity = _check(making, card, data["unknown_limit"], [path for _, path in photos], taken)
    if page is None:
        making.left_out["browser"] = ModelError("export.no_runtime")
    elif "onnx" not in making.left_out:
        _write_page(making, page, card, data)
    _write_scores(run, folder)
    (folder / "README.md").write_text(model_card(run, data, card.weights, parity), "utf-8")
    manifest.write(folder, {**data, "parity": parity.to_json(), "files": manifest.hashes(folder)})
    return parity


def _write_forms(making: _Making) -> tuple[ModelCard, dict[str, Any]]:
    """The weights, the exported forms and what ``predict.py`` reads; returns the card and what graft.json holds."""
    run, folder = making.run, making.folder
    making.step("network")
    card, network = network_of(run)
    temperature = manifest.temperature_of(run)
    made = whole(run, network, temperature)
    staged = RunDirectory(folder)
    write_model(staged, network, card)
    if made.detector is not None:
        _without_names(made.detector).save(staged)
    title = registry.backbone(card.backbone).title
    making.step("program")
    with _told("program", title):
        exported = forms.program(made, example(card))
        forms.write_program(exported, folder / "model.pt2")
    if too_large := forms.too_large(made, title):
        making.left_out["onnx"] = too_large
    else:
        making.step("onnx")
        with _told("onnx", title):
            forms.write_onnx(exported, folder / "model.onnx")
        for name in ("predict.py", "verify.py"):
            shutil.copyfile(TAKEN / name, folder / name)
    onnx = {"file": "model.onnx", "opset": forms.OPSET, "input": INPUT, "outputs": list(OUTPUTS)}
    data = {
        **manifest.made(),
        **manifest.origin(run),
        "backbone": card.backbone,
        "labels": list(card.classes),
        "preprocessing": manifest.preprocessing(card.preprocessing),
        "temperature": temperature,
        "unknown_limit": made.detector.limit if made.detector is not None else None,
        "onnx": None if "onnx" in making.left_out else onnx,
    }
    manifest.write(folder, data)
    return card, data


def _check(making: _Making, card: ModelCard, limit: float | None, own: list[Path], taken: list[Path]) -> Parity:
    """Compare each form with the app on the run's photos and on the samples; note what the app said of the samples."""
    total = (len(own) + len(taken)) * (3 if "onnx" in making.left_out else 4)
    done = 0

    def each() -> None:
        nonlocal done
        done += 1
        making.step("check", done, total)

    told = list(zip([*own, *taken], check.answers(making.run, [*own, *taken], each), strict=True))
    answered = [(path, answer) for path, answer in told if not isinstance(answer, UnusablePhoto)]
    photos = [path for path, _ in answered]
    app = check.said([answer for _, answer in answered], card.classes)
    _write_samples_json(making.folder, {path: answer for path, answer in answered if path in taken})
    staged = RunDirectory(making.folder)
    found = {"safetensors": check.said(_predictions(check.answers(staged, photos, each)), card.classes)}
    if "onnx" not in making.left_out:
        found["onnx"] = check.of_onnx(making.folder, photos, each)
    found["program"] = check.of_program(making.folder / "model.pt2", card.preprocessing, photos, each)
    results = {name: compare(app, form, limit) for name, form in found.items()}
    _refuse_what_differs(results)
    drawn = len(taken) - sum(path.name.startswith("photo-") for path in taken)
    return Parity(results, len(own), drawn, forms.OPSET, left_out=making.left_out)


def _predictions(answers: list[Any]) -> list[Any]:
    """Of photos that the app could read, so the same reader must have."""
    unreadable = next((answer for answer in answers if isinstance(answer, UnusablePhoto)), None)
    if unreadable is not None:
        raise unreadable
    return answers


def _refuse_what_differs(results: Mapping[str, FormParity]) -> None:
    for name, result in results.items():
        if not result.ok:
            raise ModelError(
                "export.different", form=name, same=min(result.same_top1, result.same_unknown), n=result.photos,
                difference=f"{result.largest_difference:.2g}", limit=f"{LIMIT:g}",
            )  # fmt: skip


def _write_samples_json(folder: Path, told: Mapping[Path, Any]) -> None:
    samples: list[dict[str, Any]] = []
    for path, answer in told.items():
        name = path.relative_to(folder).as_posix()
        samples.append({"file": name, "said": PhotoAnswer.of(name, answer).to_json()})
    data = {"format": 1, "limit": LIMIT, "samples": samples}
    write_atomically(folder / "samples.json", json.dumps(data, ensure_ascii=False, indent=1).encode())


def _write_page(making: _Making, page: Page, card: ModelCard, data: Mapping[str, Any]) -> None:
    told = {
        "title": data["title"],
        "classes": card.classes,
        "preprocessing": card.preprocessing.to_json(),
        "unknown_limit": data["unknown_limit"],
    }
    try:
        (making.folder / "index.html").write_bytes(page((making.folder / "model.onnx").read_bytes(), told))
    except CoreError as why:
        making.left_out["browser"] = why


def _write_scores(run: RunDirectory, folder: Path) -> None:
    """The scores, and what the prediction sets need, with numbers in place of the photos' names."""
    if (scored := run.results()) is not None:
        results = Results.from_json(scored)
        answers = tuple(replace(answer, path=f"test/{n}") for n, answer in enumerate(results.answers, start=1))
        nameless = replace(results, answers=answers, unreadable=())
        write_atomically(folder / "metrics.json", json.dumps(nameless.to_json(), ensure_ascii=False).encode())
    if run.validation.exists():
        kept = json.loads(run.validation.read_text("utf-8"))
        kept["paths"] = [f"validation/{n}" for n in range(1, len(kept["paths"]) + 1)]
        write_atomically(folder / "validation.json", json.dumps(kept, ensure_ascii=False).encode())


def _without_names(detector: Detector) -> Detector:
    """The same detector; its photos, which don't travel, are numbered."""
    samples = [Reference(f"training/{n}", row.label) for n, row in enumerate(detector.samples, start=1)]
    detector.samples = tuple(samples)
    return detector


def _pack(making: _Making, out: Path, parity: Parity) -> Parity:
    files = sorted(path for path in making.folder.rglob("*") if path.is_file())
    temporary = making.folder.parent / "bundle.zip"
    with zipfile.ZipFile(temporary, "w") as archive:
        for done, path in enumerate(files):
            making.step("pack", done, len(files))
            # Weights and photos don't compress; the rest is text.
            kind = zipfile.ZIP_STORED if path.suffix in UNCOMPRESSED else zipfile.ZIP_DEFLATED
            archive.write(path, f"{FOLDER}/{path.relative_to(making.folder).as_posix()}", kind)
    if out.exists():
        raise DataError("export.out_exists", path=str(out))
    os.replace(temporary, out)
    making.tell("pack", len(files), len(files))
    return replace(parity, megabytes=round(out.stat().st_size / 1e6, 1))


@contextmanager
def _told(form: str, title: str) -> Generator[None]:
    """Whatever an exporter stumbles over, as words."""
    try:
        yield
    except CoreError:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        raise ModelError("export.not_made", form=form, title=title, reason=reason) from error
