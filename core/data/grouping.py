"""Which photos belong together, by a rule that the user gives: no group is ever torn between parts. Pure, torch-free.

Ten photos of one plant are nearly ten times the same photo: with nine of them in training, the tenth tests memory.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from core.data.report import Photo
from core.errors import DataError

if TYPE_CHECKING:
    from core.data.facts import Facts

Rule = Mapping[str, Any]
Groups = tuple[tuple[str, ...], ...]
Columns = Mapping[str, Mapping[str, str]]  # of the user's table: column → path → value
SEPARATORS = ("_", "-", " ", ".")
MOST_PARTS = 12  # of a file name
MOST_MINUTES = 100_000  # ten weeks


def check(rule: Rule) -> Rule:
    """``rule`` with only what it needs. Raises DataError for one that means nothing.

    ``{}`` none; ``{"kind": "name", "separator": "_", "parts": 2}`` the first two pieces of the file name;
    ``{"kind": "folder"}`` the folder inside the class's own; ``{"kind": "column", "column": "patient"}``;
    ``{"kind": "time", "minutes": 10}`` photos taken with at most so long between one and the next.
    """
    match dict(rule):
        case {"kind": "name", "separator": str(separator), "parts": int(parts)} if (
            separator in SEPARATORS and 1 <= parts <= MOST_PARTS
        ):
            return {"kind": "name", "separator": separator, "parts": parts}
        case {"kind": "folder"}:
            return {"kind": "folder"}
        case {"kind": "column", "column": str(column)} if column:
            return {"kind": "column", "column": column}
        case {"kind": "time", "minutes": int(minutes)} if 0 < minutes <= MOST_MINUTES:
            return {"kind": "time", "minutes": minutes}
        case empty if not empty:
            return {}
        case _:
            raise DataError("mend.bad_rule", rule=str(dict(rule))[:80])


def groups(photos: Iterable[Photo], rule: Rule, *, facts: "Mapping[str, Facts]", columns: Columns) -> Groups:
    """The groups of two photos and more, as sorted paths. Photos that the rule says nothing of are alone."""
    return tuple(sorted(named(photos, rule, facts=facts, columns=columns).values()))


def named(
    photos: Iterable[Photo], rule: Rule, *, facts: "Mapping[str, Facts]", columns: Columns
) -> dict[str, tuple[str, ...]]:
    """The same groups by name: a folder, a table's value, the beginning of a file name, a camera and a time."""
    if not rule:
        return {}
    if rule["kind"] == "time":
        found = _by_time(photos, int(rule["minutes"]), facts)
    else:
        key = _key(rule, columns)
        found: dict[str, list[str]] = {}
        for photo in photos:
            if name := key(photo.path):
                found.setdefault(name, []).append(photo.path)
    return {name: tuple(sorted(group)) for name, group in found.items() if len(group) > 1}


def part_of_name(path: str, separator: str, parts: int) -> str:
    """``leaf_12`` of ``oak/leaf_12_a.jpg`` with ``_`` and 2; the whole stem where it has no more pieces than that."""
    stem = path.rpartition("/")[2].rpartition(".")[0] or path.rpartition("/")[2]
    return separator.join(stem.split(separator)[:parts])


def _key(rule: Rule, columns: Columns) -> Callable[[str], str | None]:
    match rule["kind"]:
        case "name":
            return lambda path: part_of_name(path, rule["separator"], rule["parts"])
        case "folder":
            return lambda path: path.rpartition("/")[0]
        case _:
            values = columns.get(str(rule["column"]), {})
            return lambda path: values.get(path, "").strip() or None


def _by_time(photos: Iterable[Photo], minutes: int, facts: "Mapping[str, Facts]") -> dict[str, list[str]]:
    """Photos of one camera in a row: a new group begins after a gap, not at a full hour."""
    of_camera: defaultdict[str, list[tuple[float, str, str]]] = defaultdict(list)
    for photo in photos:
        known = facts.get(photo.sha256)
        if known is not None and known.taken:
            of_camera[known.camera or ""].append((_seconds(known.taken), photo.path, known.taken))
    found: dict[str, list[str]] = {}
    for camera, taken in of_camera.items():
        last, name = float("-inf"), ""
        for at, path, written in sorted(taken):
            if at - last > 60 * minutes:  # at least a minute: no two groups of a camera have the same name
                name = f"{camera} {written[:16].replace('T', ' ')}".strip()
            found.setdefault(name, []).append(path)
            last = at
    return found


def _seconds(taken: str) -> float:
    """A camera's clock has no zone: only differences count."""
    return (datetime.fromisoformat(re.sub(r"(Z|[+-]\d\d:?\d\d)$", "", taken)) - datetime(1970, 1, 1)).total_seconds()


class Bound:
    """Which photos are bound to each other, whatever bound them: copies, likeness, the user's rule (union-find)."""

    def __init__(self) -> None:
        self._above: dict[str, str] = {}

    def bind(self, names: Iterable[str]) -> None:
        first, *others = names
        for other in others:
            one, two = sorted((self.home(first), self.home(other)))
            self._above[two] = one

    def home(self, name: str) -> str:
        """The same for all that are bound to each other: the first of their names."""
        while (above := self._above.get(name, name)) != name:
            self._above[name] = self._above.get(above, above)
            name = above
        return name
