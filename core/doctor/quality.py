"""Single photos that teach little or mislead: blank, dark, bright, blurred, tiny, stretched. Pure and torch-free."""

from collections.abc import Callable, Iterable, Mapping
from statistics import median

from core.data.facts import SIDE, Facts
from core.data.findings import SMALL_SIDE
from core.data.report import DatasetReport, Photo
from core.doctor.report import Case, Suggestion

BLANK = 0.008  # contrast: two grey levels; the dullest of 1,225 real photos has 0.029
DARK, BRIGHT = 0.2, 0.85  # mean luma and two standard deviations towards the other end: nearly all of the picture
BLURRED = 1.05  # sharpness; the least of 1,225 real photos has 1.07, their first percentile is about 1.19
BLURRED_SHARE = 0.75  # of the set's usual sharpness: where all photos are soft, none is worse than the others
EXTREME = 3.0  # longer side by shorter side; a square cut from the middle then shows a third

Judge = Callable[[Photo, Facts], Case | None]


def find_poor(report: DatasetReport, facts: Mapping[str, Facts]) -> dict[str, Iterable[Case]]:
    """The cases by kind. Photos that weren't measured are passed over."""
    known = [(photo, facts[photo.sha256]) for photo in report.photos if photo.sha256 in facts]
    judged = [row.sharpness for photo, row in known if _is_measurable(photo, row)]
    soft = min(BLURRED, BLURRED_SHARE * median(judged)) if judged else 0.0
    judges: dict[str, Judge] = {
        "blank": _blank,
        "dark": _dark,
        "bright": _bright,
        "blurred": lambda photo, row: _blurred(photo, row, soft),
        "tiny": _tiny,
        "extreme_shape": _extreme,
        "animated": lambda photo, row: _case(photo, 1.0) if row.animated else None,
        "turned": lambda photo, row: _case(photo, 1.0) if row.turned else None,
    }
    return {kind: [case for photo, row in known if (case := judge(photo, row))] for kind, judge in judges.items()}


def _case(photo: Photo, confidence: float, poor: bool = False, **values: object) -> Case:
    suggestion = Suggestion("aside", (photo.path,), "poor") if poor else None
    return Case((photo.path,), round(confidence, 3), suggestion, values)


def _blank(photo: Photo, row: Facts) -> Case | None:
    return _case(photo, 1 - row.contrast / BLANK / 2, poor=True) if row.contrast < BLANK else None


def _dark(photo: Photo, row: Facts) -> Case | None:
    lit = row.brightness + 2 * row.contrast
    if lit >= DARK or row.contrast < BLANK:
        return None
    return _case(photo, 1 - lit / DARK / 2, poor=True, percent=round(100 * row.brightness))


def _bright(photo: Photo, row: Facts) -> Case | None:
    shaded = row.brightness - 2 * row.contrast
    if shaded <= BRIGHT or row.contrast < BLANK:
        return None
    return _case(photo, 0.5 + (shaded - BRIGHT) / (1 - BRIGHT) / 2, poor=True, percent=round(100 * row.brightness))


def _blurred(photo: Photo, row: Facts, soft: float) -> Case | None:
    if not _is_measurable(photo, row) or row.sharpness >= soft:
        return None
    return _case(photo, 1 - row.sharpness / soft / 2, poor=True)


def _is_measurable(photo: Photo, row: Facts) -> bool:
    return min(photo.width, photo.height) >= SIDE and row.contrast >= BLANK


def _tiny(photo: Photo, row: Facts) -> Case | None:
    del row
    if min(photo.width, photo.height) >= SMALL_SIDE:
        return None
    return _case(photo, 1.0, width=photo.width, height=photo.height)


def _extreme(photo: Photo, row: Facts) -> Case | None:
    del row
    ratio = max(photo.width, photo.height) / min(photo.width, photo.height)
    return _case(photo, 1.0, ratio=ratio) if ratio >= EXTREME else None
