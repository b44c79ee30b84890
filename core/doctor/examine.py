"""Both looks at a set of photos, the fast one and the deep one, wherever the photos lie."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from core.data.facts import Facts
from core.data.report import DatasetReport, Photo
from core.doctor.deep import examine_deep
from core.doctor.fast import examine_fast
from core.doctor.features import Source, fullest, keep_missing, rows_of
from core.doctor.report import Examination, Refused
from core.training.rows import Rows

OnProgress = Callable[[str, int, int], None]  # phase ("fast", "features" or "deep"), done, total


class NoFeatures(Exception):
    """The closer look can't be had; ``reason`` is a word below ``doctor.without_deep``."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Prepared:
    """``report`` without photos that couldn't be read, with the features of its photos and of its unlabelled ones."""

    report: DatasetReport
    features: Rows
    unlabelled: Rows


def examine(
    report: DatasetReport,
    facts: Mapping[str, Facts],
    weights_folder: Path,
    cache: Path,
    on_progress: OnProgress = lambda phase, done, total: None,
    *,
    refused: Refused | None = None,
    seed: int = 0,
) -> tuple[Examination, Examination]:
    """Both looks; features are kept in ``cache``, as training keeps them.

    Raises:
        NoFeatures: there are no weights on this machine, or no photo that could be read.
    """
    on_progress("fast", 0, len(report.photos))
    fast = fast_look(report, facts, refused)
    source = Source(cache, weights_folder)
    for done, total in prepare(source, report, lambda: False):
        on_progress("features", done, total)
    prepared = found(source, report)
    on_progress("deep", 0, len(report.photos))
    return fast, deep_look(prepared, report.fingerprint, refused, seed=seed)


def fast_look(report: DatasetReport, facts: Mapping[str, Facts], refused: Refused | None = None) -> Examination:
    began = time.monotonic()
    diagnoses = examine_fast(report, facts, refused=refused)
    return Examination(report.fingerprint, "fast", diagnoses, round(time.monotonic() - began, 3))


def deep_look(prepared: Prepared, fingerprint: str, refused: Refused | None = None, *, seed: int = 0) -> Examination:
    """``fingerprint``: of the version, whose photos may not all be readable."""
    began = time.monotonic()
    deep = examine_deep(prepared.report, prepared.features, seed=seed, refused=refused)
    seconds = round(time.monotonic() - began, 3)
    return Examination(fingerprint, "deep", deep.diagnoses, seconds, deep.accuracy, deep.judged)


def prepare(source: Source, report: DatasetReport, should_stop: Callable[[], bool]) -> Iterator[tuple[int, int]]:
    """Keep what features are missing; imports torch only for that. Yields how many of how many are there.

    Raises:
        NoFeatures, ModelError: see ``examine``; the weights are damaged.
        Stopped: the user asked to.
    """
    photos = (*report.photos, *report.unlabelled)
    if not report.photos:
        raise NoFeatures("photos")
    stores = source.stores()
    if not stores:
        raise NoFeatures("weights")
    _, lacking = fullest(stores, photos)
    if lacking:
        yield len(photos) - len(lacking), len(photos)
        yield from keep_missing(source, photos, Path(report.root), should_stop)


def found(source: Source, report: DatasetReport) -> Prepared:
    """The features that are kept by now, and the report as far as they go."""
    stores = source.stores()
    if not stores:
        raise NoFeatures("weights")
    store, lacking = fullest(stores, (*report.photos, *report.unlabelled))
    gone = set(lacking)
    count = len(report.photos)
    photos = _without(report.photos, gone)
    if not photos:
        raise NoFeatures("features")
    unlabelled = _without(report.unlabelled, {place - count for place in gone})
    readable = replace(report, photos=photos, unlabelled=unlabelled) if gone else report
    return Prepared(readable, rows_of(store, photos), rows_of(store, unlabelled))


def _without(photos: tuple[Photo, ...], gone: set[int]) -> tuple[Photo, ...]:
    return tuple(photo for place, photo in enumerate(photos) if place not in gone)
