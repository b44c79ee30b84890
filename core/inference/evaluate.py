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
from core.inference.metrics import Answer, Results
from core.inference.predictor import Prediction, Predictor

TOP_KEPT = 5  # classes a stored answer remembers: enough for the mistakes, small for 300 classes
REPORT_EVERY = 32


def evaluate(predictor: Predictor, samples: Sequence[Sample], root: Path) -> Iterator[Progress]:
    """Yield progress; returns ``Results`` in the order of ``samples``. Photos that can't be read are listed apart."""
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
                answers.append(_answer(sample, prediction, places))
        done += len(chunk)
        speed = done / max(time.monotonic() - began, 1e-9)
        yield Progress(phase="test", done=done, total=len(samples), per_second=speed)
    return Results(predictor.card.classes, tuple(answers), tuple(unreadable))


def _answer(sample: Sample, prediction: Prediction, places: dict[str, int]) -> Answer:
    top = tuple((places[label], round(chance, 6)) for label, chance in prediction.top[:TOP_KEPT])
    return Answer(sample.path, sample.target, top)


def from_probabilities(
    classes: tuple[str, ...], samples: Sequence[Sample], probabilities: NDArray[np.float32]
) -> Results:
    """``Results`` of (samples, classes) probabilities, ranked as ``Predictor.predict`` ranks them."""
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :TOP_KEPT]
    answers = (
        Answer(sample.path, sample.target, tuple((int(place), round(float(row[place]), 6)) for place in top))
        for sample, row, top in zip(samples, probabilities, order, strict=True)
    )
    return Results(classes, tuple(answers), ())
