"""The fact behind a shortcut, class by class: what a network could go by instead of what the photos show."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from statistics import fmean

from core.data.facts import Facts
from core.data.report import DatasetReport, Photo
from core.doctor.report import Case
from core.words import say

LUMA = (0.299, 0.587, 0.114)  # Source: ITU-R BT.601, the luma of red, green and blue
Measure = Callable[[Photo, Facts], float]


def by_class(report: DatasetReport, facts: Mapping[str, Facts], case: Case) -> tuple[dict[str, float], str] | None:
    """Each class's mean of the fact that ``case`` is told by, and what it is; None where nothing was measured."""
    known = [(photo, facts[photo.sha256]) for photo in report.photos if photo.sha256 in facts]
    fact = str(case.values.get("told_by", ""))
    measured = _measure(fact, known, set(case.paths))
    if measured is None or not known:
        return None
    measure, name = measured
    values: defaultdict[str, list[float]] = defaultdict(list)
    for photo, row in known:
        values[photo.label].append(measure(photo, row))
    return {label: fmean(values[label]) for label in report.classes if label in values}, name


def _measure(fact: str, known: list[tuple[Photo, Facts]], of_class: set[str]) -> tuple[Measure, str] | None:
    match fact:
        case "light":
            return lambda _, row: row.white, say("doctorpage.fact.light")
        case "size":
            return lambda photo, _: photo.width * photo.height / 1e6, say("doctorpage.fact.size")
        case "background":
            return _brightness, say("doctorpage.fact.background")
        case "format":
            usual = _most_telling(known, of_class, lambda row: row.kind)
            return lambda _, row: float(row.kind == usual), say("doctorpage.fact.format", value=usual)
        case "camera":
            usual = _most_telling(known, of_class, lambda row: row.camera or "")
            name = say("doctorpage.fact.camera", value=usual) if usual else say("doctorpage.fact.no_camera")
            return lambda _, row: float((row.camera or "") == usual), name
        case _:
            return None


def _brightness(photo: Photo, row: Facts) -> float:
    del photo
    return sum(weight * value for weight, value in zip(LUMA, row.border, strict=True))


def _most_telling(known: list[tuple[Photo, Facts]], of_class: set[str], value: Callable[[Facts], str]) -> str:
    """The value whose share in the class differs most from its share in the others."""
    mine = Counter(value(row) for photo, row in known if photo.path in of_class)
    others = Counter(value(row) for photo, row in known if photo.path not in of_class)

    def gap(one: str) -> float:
        return abs(mine[one] / max(1, mine.total()) - others[one] / max(1, others.total()))

    return max(sorted({*mine, *others}), key=gap, default="")
