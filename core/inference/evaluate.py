"""Score a model on labelled photos, through the same predictor that answers a user."""

import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.data.image import UnusablePhoto
from core.data.report import Sample
from core.events import Progress
from core.inference.calibration import tempered
from core.inference.metrics import Answer, Results
from core.inference.predictor import Prediction, Predictor

TOP_KEPT = 5  # classes a stored answer remembers: enough for the mistakes, small for 300 classes
REPORT_EVERY = 32


def evaluate(
    predictor: Predictor, samples: Sequence[Sample], root: Path, temperature: float | None = None
) -> Iterator[Progress]:
    """Yield progress; returns ``Results`` in the order of ``samples``. Photos that can't be read are listed apart.

    ``temperature`` changes no answer: it is noted, with how sure the model would be at it.
    """
    answers: list[Answer] = []
    unreadable: list[str] = []
    places = {name: place for place, name in enumerate(predictor.card.classes)}
    began = time.monotonic()
    predictions = predictor.predict(root / sample.path for sample in samples)
    pairs = zip(samples, predictions, strict=True)
    done = 0
    while chunk := list(islice(pairs, REPORT_EVERY)):
        for sample, prediction in chunk:
            if isinstance(prediction, UnusablePhoto):
                unreadable.append(sample.path)
            else:
                answers.append(_answer(sample, prediction, places, temperature))
        done += len(chunk)
        speed = done / max(time.monotonic() - began, 1e-9)
        yield Progress(phase="test", done=done, total=len(samples), per_second=speed)
    limit = predictor.detector.limit if predictor.detector else None
    return Results(predictor.card.classes, tuple(answers), tuple(unreadable), temperature, limit)


def _answer(sample: Sample, prediction: Prediction, places: dict[str, int], temperature: float | None) -> Answer:
    top = tuple((places[label], round(chance, 6)) for label, chance in prediction.top[:TOP_KEPT])
    chances = np.array([[chance for _, chance in prediction.top]])
    return Answer(sample.path, sample.target, top, _calibrated(chances, temperature)[0], prediction.strangeness)


def _calibrated(probabilities: NDArray[np.floating], temperature: float | None) -> list[float | None]:
    """How sure of its answer the model would be at this temperature, photo by photo."""
    if temperature is None:
        return [None] * len(probabilities)
    return [round(float(chance), 6) for chance in tempered(probabilities, temperature).max(axis=1)]


def from_probabilities(
    classes: tuple[str, ...],
    samples: Sequence[Sample],
    probabilities: NDArray[np.float32],
    temperature: float | None = None,
    strangeness: NDArray[np.float32] | None = None,
    limit: float | None = None,
) -> Results:
    """``Results`` of (samples, classes) probabilities, ranked as ``Predictor.predict`` ranks them."""
    strange = [None] * len(samples) if strangeness is None else [float(value) for value in strangeness]
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :TOP_KEPT]
    answers = (
        Answer(sample.path, sample.target, tuple((int(i), round(float(row[i]), 6)) for i in top), sure, unlike)
        for sample, row, top, sure, unlike in zip(
            samples, probabilities, order, _calibrated(probabilities, temperature), strange, strict=True
        )
    )
    return Results(classes, tuple(answers), (), temperature, limit)
