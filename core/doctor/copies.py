"""Copies of one picture: in one class, in two classes, in two parts of the user's own division. Pure and torch-free."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from core.data.alike import likeness
from core.data.facts import Facts
from core.data.report import PARTS, DatasetReport, Part, Photo
from core.doctor.report import Case, Suggestion

Groups = Sequence[Sequence[Photo]]
SERIES = 8  # nobody saves one picture so often: it is a recording by a camera that hardly moved, and wanted


def find_copies(report: DatasetReport, facts: Mapping[str, Facts]) -> dict[str, Iterable[Case]]:
    """The cases by kind; a group is told once for each thing that is wrong with it."""
    groups = _groups(report)
    homes = [home for group in groups for home in _homes(group)]
    return {
        "torn": _torn(groups, facts),
        "leak": _leaks(groups, facts),
        "exact_copies": _exact(homes),
        "near_copies": _near(homes, facts),
    }


def _groups(report: DatasetReport) -> list[list[Photo]]:
    """What shows one picture, of the photos that are in use now."""
    here = {photo.path: photo for photo in report.photos}
    home = {path: group[0] for group in report.together for path in group}
    first: dict[str, str] = {}  # of each content: equal files belong together, whatever was measured
    groups: defaultdict[str, list[Photo]] = defaultdict(list)
    for path in sorted(here):
        photo = here[path]
        name = first.setdefault(photo.sha256, home.get(path, path))
        groups[name].append(photo)
    return [group for group in groups.values() if len(group) > 1]


def _homes(group: Sequence[Photo]) -> list[list[Photo]]:
    """A group's photos by class and part."""
    homes: defaultdict[tuple[str, Part | None], list[Photo]] = defaultdict(list)
    for photo in group:
        homes[photo.label, photo.part].append(photo)
    return [home for home in homes.values() if len(home) > 1]


def _exact(homes: Groups) -> Iterable[Case]:
    for home in homes:
        of_content: defaultdict[str, list[str]] = defaultdict(list)
        for photo in home:
            of_content[photo.sha256].append(photo.path)
        for paths in of_content.values():
            if len(paths) > 1:
                yield Case(tuple(paths), 1.0, Suggestion("aside", tuple(paths[1:]), "copy"), {"n": len(paths)})


def _near(homes: Groups, facts: Mapping[str, Facts]) -> Iterable[Case]:
    """The largest is kept: the others were made from it, or show less."""
    for home in homes:
        one_each = list({photo.sha256: photo for photo in reversed(home)}.values())
        if len(one_each) < 2:
            continue
        ordered = sorted(one_each, key=_largest_first)
        paths = tuple(photo.path for photo in ordered)
        values = {"n": len(paths), "width": ordered[0].width, "height": ordered[0].height}
        suggestion = Suggestion("aside", paths[1:], "copy") if len(paths) < SERIES else None
        yield Case(paths, _confidence(ordered, facts), suggestion, values)


def _torn(groups: Groups, facts: Mapping[str, Facts]) -> Iterable[Case]:
    """No suggestion: which of two classes is right, a person has to see."""
    for group in groups:
        labels = sorted({photo.label for photo in group})
        if len(labels) > 1:
            ordered = sorted(group, key=lambda photo: (photo.label, photo.path))
            values = {"n": len(labels), "names": ", ".join(f"“{label}”" for label in labels)}
            yield Case(tuple(photo.path for photo in ordered), _confidence(ordered, facts), None, values)


def _leaks(groups: Groups, facts: Mapping[str, Facts]) -> Iterable[Case]:
    """Kept where it is most needed: in test before val, in val before train."""
    for group in groups:
        given = [PARTS.index(photo.part) if photo.part else -1 for photo in group]
        if len(set(given)) < 2 or max(given) < 1:
            continue
        ordered = sorted(group, key=lambda photo: (-(PARTS.index(photo.part) if photo.part else -1), photo.path))
        paths = tuple(photo.path for photo in ordered)
        leaving = tuple(photo.path for photo in ordered if photo.part != ordered[0].part)
        values = {"n": len(leaving), "part": ordered[0].part}
        yield Case(paths, _confidence(ordered, facts), Suggestion("aside", leaving, "copy"), values)


def _largest_first(photo: Photo) -> tuple[int, int, str]:
    return -photo.width * photo.height, -photo.bytes, photo.path


def _confidence(group: Sequence[Photo], facts: Mapping[str, Facts]) -> float:
    """1 for equal files; else the likeness of the least alike to the largest."""
    hashes = {photo.sha256: photo for photo in group}
    if len(hashes) == 1:
        return 1.0
    largest, *others = sorted(hashes.values(), key=_largest_first)
    if any(photo.sha256 not in facts for photo in hashes.values()):
        return 0.99
    alike = [likeness(facts[largest.sha256], facts[photo.sha256]) for photo in others]
    return round(max(0.0, min(alike)), 4)
