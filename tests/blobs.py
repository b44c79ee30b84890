"""Photos that are nowhere but in a report, with features drawn around a middle for each class."""

import hashlib

import numpy as np

from core.data.report import DatasetReport, Photo

WIDTH = 64


def report_of(labels: list[str], *, together: tuple[tuple[str, ...], ...] = (), unlabelled: int = 0) -> DatasetReport:
    """Photos ``<number>.jpg`` with these labels; unlabelled ones come after them."""
    every = [photo(number, label) for number, label in enumerate(labels)]
    waiting = [photo(number, "") for number in range(len(labels), len(labels) + unlabelled)]
    return DatasetReport("/nowhere", tuple(every), (), (), "classes", tuple(waiting), together=together)


def photo(number: int, label: str) -> Photo:
    return Photo(name(number), label, None, hashlib.sha256(str(number).encode()).hexdigest(), 100, 100, 1000)


def name(number: int) -> str:
    return f"{number:04}.jpg"


def blobs(classes: int, of_each: int, *, apart: float = 4.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features (n, WIDTH) float32 and their classes: a normal cloud around each of ``classes`` directions."""
    random = np.random.default_rng(seed)
    middles = np.eye(WIDTH)[:classes] * apart
    labels = np.repeat(np.arange(classes), of_each)
    features = middles[labels] + random.normal(0, 0.5, (len(labels), WIDTH)) + 1.0
    return features.astype(np.float32), labels


def flipped(labels: np.ndarray, count: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The labels with ``count`` of them wrong, and the places of those."""
    random = np.random.default_rng(seed)
    wrong = random.choice(len(labels), count, replace=False)
    said = labels.copy()
    said[wrong] = (labels[wrong] + random.integers(1, classes, count)) % classes
    return said, np.sort(wrong)
