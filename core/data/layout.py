"""Which class a photo belongs to, going by the folders it lies in. Pure: paths in, places out."""

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


@dataclass(frozen=True)
class Place:
    """Where a photo belongs."""

    label: str
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

    def place(self, path: Parts) -> Place | NoPlace:
        """The place of a photo, or why it has none."""
        rest = path[len(self.above) :]
        if path[: len(self.above)] != self.above or len(rest) < 2:
            return NoPlace("loose", {})
        if self.kind == "classes":
            return _place(rest, None)
        folder = rest[0]
        part = part_of(folder)
        if part is None:
            return NoPlace("beside_parts", {"folder": folder})
        return _place(rest[1:], part) if len(rest) > 2 else NoPlace("no_class", {"folder": folder})

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


def find_layout(paths: Sequence[Parts]) -> Layout:
    """What the user most likely means by these folders.

    A folder that is alone and holds several others (or nothing but one other) is a wrapping, not a class: what it
    wraps counts. Folders named train, val or test hold classes, if they hold folders; ``train/`` with photos of
    trains beside ``plane/`` and ``car/`` is a class like these.
    """
    above: Parts = ()
    while True:
        folders = _folders(paths, above)
        if len(folders) != 1:
            break
        ((name, only),) = folders.items()
        if len(only.below) < 2 and (only.loose or not only.below):
            break
        above = (*above, name)
    return Layout("parts" if _are_parts(folders) else "classes", above)


def part_of(folder: str) -> Part | None:
    return PART_FOLDERS.get(folder.casefold())


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
