"""Which class a photo belongs to, going by the folders it lies in. Pure: paths in, places out."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from core.data.report import Part

Parts = tuple[str, ...]  # a path below the root, as its parts

PART_FOLDERS: Mapping[str, Part] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
# Folders of photos that are still to be labelled, their names without capitals, blanks, dashes and dots.
UNLABELLED_FOLDERS = frozenset(
    (
        "tolabel", "tobelabelled", "tobelabeled", "unlabelled", "unlabeled", "notlabelled", "notlabeled", "nolabel",
        "withoutlabel", "unsorted", "tosort", "notsorted", "unclassified", "uncategorized", "uncategorised",
        "unannotated",
    )
)  # fmt: skip
Loose = Literal["left_out", "unlabelled"]


@dataclass(frozen=True)
class Place:
    """Where a photo belongs."""

    label: str  # empty: it is still to be labelled
    part: Part | None
    inside: str | None  # the first folder below the class's own, if it lies in one


@dataclass(frozen=True)
class NoPlace:
    """Why a photo belongs nowhere; an entry below ``data.leftout``."""

    reason: str
    values: Mapping[str, object]


@dataclass(frozen=True)
class Layout:
    """How the folders are meant: the class folders lie in ``above``, or in train/val/test folders there."""

    kind: Literal["classes", "parts"]
    above: Parts  # folders that only wrap the others, from the root down
    loose: Loose = "left_out"  # what becomes of photos that lie in no class folder

    def place(self, path: Parts) -> Place | NoPlace:
        """The place of a photo, or why it has none."""
        place = self._place(path)
        if isinstance(place, NoPlace) and place.reason in _LOOSE_REASONS and self.loose == "unlabelled":
            return Place("", self._part(path), None)
        return place

    def _place(self, path: Parts) -> Place | NoPlace:
        shared = _shared(path, self.above)
        rest = path[len(self.above) :]
        if shared < len(self.above):
            waits = len(path) > shared + 1 and is_unlabelled(path[shared])
            return Place("", None, None) if waits else NoPlace("loose", {})
        if len(rest) < 2:
            return NoPlace("loose", {})
        if is_unlabelled(rest[0]):
            return Place("", None, None)
        if self.kind == "classes":
            return _place(rest, None)
        folder = rest[0]
        part = part_of(folder)
        if part is None:
            return NoPlace("beside_parts", {"folder": folder})
        if len(rest) < 3:
            return NoPlace("no_class", {"folder": folder})
        return Place("", part, None) if is_unlabelled(rest[1]) else _place(rest[1:], part)

    def _part(self, path: Parts) -> Part | None:
        rest = path[len(self.above) :] if path[: len(self.above)] == self.above else ()
        return part_of(rest[0]) if self.kind == "parts" and len(rest) > 1 else None

    @property
    def class_depth(self) -> int:
        """How many folders down the class folders are."""
        return len(self.above) + (1 if self.kind == "classes" else 2)


@dataclass
class _Folder:
    """The photos of one folder: those directly in it, and those of each of its sub-folders."""

    loose: int = 0
    below: Counter[str] = field(default_factory=Counter[str])

    @property
    def photos(self) -> int:
        return self.loose + self.below.total()

    @property
    def holds_folders(self) -> bool:
        """Whether it looks like a folder of class folders, with a few strays at most."""
        return self.below.total() > self.loose


def find_layout(paths: Sequence[Parts], loose: Loose = "left_out") -> Layout:
    """What the user most likely means by these folders.

    ``loose`` says whether photos in no class folder are to be labelled; a folder called "to label" always is.

    A folder that is alone and holds several others (or nothing but one other) is a wrapping, not a class: what it
    wraps counts. Folders named train, val or test hold classes, if they hold folders; ``train/`` with photos of
    trains beside ``plane/`` and ``car/`` is a class like these.
    """
    above: Parts = ()
    while True:
        folders = _folders(paths, above)
        named = {name: folder for name, folder in folders.items() if not is_unlabelled(name)} or folders
        if len(named) != 1:
            break
        ((name, only),) = named.items()
        if len(only.below) < 2 and (only.loose or not only.below):
            break
        above = (*above, name)
    return Layout("parts" if _are_parts(named) else "classes", above, loose)


def is_unlabelled(folder: str) -> bool:
    """Whether a folder of this name holds photos that are still to be labelled."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", folder)).casefold() in UNLABELLED_FOLDERS


def part_of(folder: str) -> Part | None:
    return PART_FOLDERS.get(folder.casefold())


_LOOSE_REASONS = ("loose", "no_class")


def _shared(path: Parts, above: Parts) -> int:
    """How many folders from the root down the two have in common."""
    differing = (depth for depth, (one, other) in enumerate(zip(path, above, strict=False)) if one != other)
    return next(differing, min(len(path), len(above)))


def _folders(paths: Iterable[Parts], above: Parts) -> dict[str, _Folder]:
    folders: dict[str, _Folder] = {}
    depth = len(above)
    for path in paths:
        if len(path) < depth + 2 or path[:depth] != above:
            continue
        folder = folders.setdefault(path[depth], _Folder())
        if len(path) == depth + 2:
            folder.loose += 1
        else:
            folder.below[path[depth + 1]] += 1
    return folders


def _are_parts(folders: Mapping[str, _Folder]) -> bool:
    named = {name: folder for name, folder in folders.items() if part_of(name)}
    if len(named) == len(folders):
        return bool(named)
    alike = [folder for folder in named.values() if folder.holds_folders]
    if len(alike) != 1:
        return len(alike) > 1
    # One such folder among others: it takes two classes in it, and most of the photos, to be believed.
    others = sum(folder.photos for name, folder in folders.items() if name not in named)
    return len(alike[0].below) > 1 and alike[0].photos >= others


def _place(rest: Parts, part: Part | None) -> Place:
    """``rest`` begins with the class folder. The two Unicode forms of a name are one class."""
    return Place(unicodedata.normalize("NFC", rest[0]), part, rest[1] if len(rest) > 2 else None)
