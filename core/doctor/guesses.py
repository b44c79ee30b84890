"""Guessed classes of unlabelled photos that are sure enough to learn from. Torch-free unless features lack."""

from collections.abc import Callable, Mapping
from pathlib import Path

from core.data.report import DatasetReport
from core.doctor.examine import NoFeatures, found, prepare
from core.doctor.features import Source
from core.doctor.labelling import Proposals, propose_labels
from core.errors import DataError

OnProgress = Callable[[int, int], None]


def sure_enough(proposals: Proposals | None, report: DatasetReport, certainty: float) -> Mapping[str, str]:
    """Classes by path of those at least so certain; none where nothing is unlabelled.

    Raises:
        DataError: nobody has guessed yet.
    """
    if not certainty or not report.unlabelled:
        return {}
    if proposals is None:
        raise DataError("doctor.no_guesses", n=len(report.unlabelled))
    return {one.path: one.label for one in proposals.certain if one.certainty >= certainty}


def guess_now(
    report: DatasetReport, certainty: float, weights_folder: Path, cache: Path, on_progress: OnProgress
) -> Mapping[str, str]:
    """The same without a check-up; features are kept in ``cache``, where the run finds those of its own photos."""
    if not certainty or not report.unlabelled:
        return {}
    source = Source(cache, weights_folder)
    try:
        for done, total in prepare(source, report, lambda: False):
            on_progress(done, total)
        prepared = found(source, report)
    except NoFeatures:
        raise DataError("doctor.no_guesses", n=len(report.unlabelled)) from None
    made = propose_labels(prepared.report, prepared.features, prepared.unlabelled)
    return sure_enough(made, report, certainty)
