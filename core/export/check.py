"""Runs each form of a model over the same photos as the app, each as a user would run it."""

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from core.data.image import UnusablePhoto
from core.data.pixels import centre, square
from core.export.parity import Floats, Said
from core.export.whole import INPUT
from core.inference.predictor import Prediction, Predictor
from core.models.registry import Preprocessing
from core.runs.store import RunDirectory
from core.training.kept import normalised

BATCHES = (1, 2, 7)  # photos that the forms are given at a time, in turn: any number must do

Each = Callable[[], object]


def answers(run: RunDirectory, photos: Sequence[Path], each: Each) -> list[Prediction | UnusablePhoto]:
    """What the app says."""
    told: list[Prediction | UnusablePhoto] = []
    for answer in Predictor.load(run).predict(photos):
        told.append(answer)
        each()
    return told


def said(predictions: Sequence[Prediction], classes: Sequence[str]) -> Said:
    """Predictions as rows in the order of the classes."""
    places = {label: place for place, label in enumerate(classes)}
    rows = np.zeros((len(predictions), len(classes)), np.float32)
    for row, prediction in zip(rows, predictions, strict=True):
        for label, chance in prediction.top:
            row[places[label]] = chance
    strange = [prediction.strangeness for prediction in predictions]
    known = None if None in strange or not strange else np.asarray(strange, np.float32)
    return Said(rows, known)


def of_onnx(folder: Path, photos: Sequence[Path], each: Each) -> Said:
    """As ``predict.py`` in ``folder`` sees and answers them: its own decoding, and onnxruntime."""
    script = _module(folder / "predict.py")
    rows: list[tuple[Any, ...]] = []
    for batch in _batches(photos):
        pixels = np.stack([script.pixels(photo) for photo in batch])
        rows.append(tuple(script.MODEL.run(None, {INPUT: pixels})))
        for _ in batch:
            each()
    return _joined(rows)


def of_program(path: Path, preprocessing: Preprocessing, photos: Sequence[Path], each: Each) -> Said:
    """As torch's exported program answers what Graft's decoder gives it. Only for programs that we have just made."""
    module: Any = torch.export.load(path).module()
    rows: list[tuple[Any, ...]] = []
    for batch in _batches(photos):
        crops = [
            centre(square(photo, preprocessing.resize, preprocessing.interpolation), preprocessing.crop)
            for photo in batch
        ]
        pixels = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2)
        with torch.inference_mode():
            rows.append(tuple(output.numpy() for output in module(normalised(pixels, preprocessing).contiguous())))
        for _ in batch:
            each()
    return _joined(rows)


def _joined(rows: list[tuple[Any, ...]]) -> Said:
    probabilities: Floats = np.concatenate([row[0] for row in rows])
    return Said(probabilities, np.concatenate([row[2] for row in rows]))


def _batches(photos: Sequence[Path]) -> Iterator[Sequence[Path]]:
    start = 0
    for size in cycle(BATCHES):
        if start >= len(photos):
            return
        yield photos[start : start + size]
        start += size


def _module(path: Path) -> ModuleType:
    """A script of a bundle that we have just written, as a module of its own."""
    spec = importlib.util.spec_from_file_location("graft_bundle_predict", path)
    if spec is None or spec.loader is None:
        raise ImportError(path.name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
