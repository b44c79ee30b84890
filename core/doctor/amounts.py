"""How many photos there are, and how exactly a score on so few can be known. Pure and torch-free."""

import math
from collections import Counter

from core.data.findings import IMBALANCE
from core.data.report import DatasetReport
from core.doctor.report import Diagnosis, Weight

TEST_SHARE = 0.15  # of each class, as the split draws it
USUAL_ACCURACY = 0.9  # at which the error bar is told
WIDE_POINTS = 20  # of 100: an error bar beyond that says little of a class
GRAVE_POINTS = 30


def examine_amounts(report: DatasetReport) -> list[Diagnosis]:
    """Classes too small to be scored, and classes much larger than others."""
    if len(report.counts) < 2:
        return []
    tested = {label: _test_photos(report, label) for label in report.classes}
    found: list[Diagnosis] = []
    few = [label for label in report.classes if error_points(tested[label]) > WIDE_POINTS]
    smallest = min(report.classes, key=lambda label: (tested[label], label))
    largest = max(report.classes, key=lambda label: (report.counts[label], label))
    if few:
        points = error_points(tested[smallest])
        weight: Weight = "look" if points > GRAVE_POINTS else "note"
        values = {"n": len(few), "name": smallest, "photos": report.counts[smallest], "tested": tested[smallest]}
        found.append(Diagnosis("few_photos", weight, (), {**values, "points": points, "enough": enough_photos()}))
    least = min(report.classes, key=lambda label: (report.counts[label], label))
    if report.counts[largest] >= IMBALANCE * report.counts[least]:
        values = {
            "times": report.counts[largest] / report.counts[least],
            "largest": largest,
            "largest_count": report.counts[largest],
            "largest_points": error_points(tested[largest]),
            "smallest": least,
            "smallest_count": report.counts[least],
            "smallest_points": error_points(tested[least]),
        }
        found.append(Diagnosis("imbalance", "note", (), values))
    return found


def error_points(tested: int) -> int:
    """Half the width of the 95 % interval of an accuracy of 90 % on so many test photos, in points of 100.

    Source: Wilson 1927, "Probable Inference, the Law of Succession, and Statistical Inference".
    """
    if tested == 0:
        return 50
    z = 1.959964  # the standard normal distribution's 97.5th percentile
    share = USUAL_ACCURACY
    spread = share * (1 - share) / tested + z * z / (4 * tested * tested)
    return round(100 * z / (1 + z * z / tested) * math.sqrt(spread))


def enough_photos() -> int:
    """How many photos of a class bring the error bar down to WIDE_POINTS."""
    tested = next(count for count in range(1, 1000) if error_points(count) <= WIDE_POINTS)
    return math.ceil(tested / TEST_SHARE)


def _test_photos(report: DatasetReport, label: str) -> int:
    """Those the user put into the test part, or as many as the split will draw."""
    given = Counter(photo.label for photo in report.photos if photo.part == "test")
    if given:
        return given[label]
    return max(1, math.floor(report.counts[label] * TEST_SHARE + 0.5))
