"""What a scan found: the usable photos, what was left out and why, and what the user should know."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Literal

from core.errors import DataError
from core.words import say

FORMAT = 1
Part = Literal["train", "val", "test"]
PARTS: tuple[Part, ...] = ("train", "val", "test")


@dataclass(frozen=True)
class Photo:
    """One usable photo. ``width`` and ``height`` are in pixels, as shown (EXIF orientation applied)."""

    path: str  # below the data set's root, with "/" on every system
    label: str  # its class: the name of its folder
    part: Part | None  # where the user's own folders put it, if they say so
    sha256: str  # of the file's bytes: equal hashes are exact duplicates
    width: int
    height: int
    bytes: int


@dataclass(frozen=True)
class LeftOut:
    """A file that is not used. ``reason`` names an entry of the catalogue below ``data.leftout``."""

    path: str
    reason: str
    values: Mapping[str, object]

    @property
    def text(self) -> str:
        key = f"data.leftout.{self.reason}"
        return f"{say(f'{key}.message', **self.values)} {say(f'{key}.hint', **self.values)}"


@dataclass(frozen=True)
class Finding:
    """Something worth knowing about the whole set: few photos, imbalance, duplicates. Below ``data.finding``."""

    kind: str
    values: Mapping[str, object]
    photos: tuple[str, ...] = ()  # the photos it speaks of, if it speaks of some

    @property
    def text(self) -> str:
        return say(f"data.finding.{self.kind}", **self.values)


@dataclass(frozen=True)
class DatasetReport:
    """The result of ``scan``: photos sorted by path, so that the same folder gives the same report."""

    root: str  # the folder that the paths are below
    photos: tuple[Photo, ...]
    left_out: tuple[LeftOut, ...]
    findings: tuple[Finding, ...]
    layout: Literal["classes", "parts"]  # class folders at the top, or train/val/test folders with classes below
    unlabelled: tuple[Photo, ...] = ()  # nobody has said what these show; their label is empty
    aside: tuple[Photo, ...] = ()  # set aside by the user: on the disk, in no class's count, brought back at any time
    together: tuple[tuple[str, ...], ...] = ()  # paths that show the same or nearly the same picture
    groups: tuple[tuple[str, ...], ...] = ()  # paths that the user's rule keeps in one part: a plant, a patient, a day
    version: int = 0  # of the data set's history; 0 is as it arrived
    group_names: tuple[str, ...] = ()  # what each of ``groups`` is called

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Class names in code-point order: a class's number is its place here."""
        return tuple(sorted({photo.label for photo in self.photos}))

    @cached_property
    def counts(self) -> Mapping[str, int]:
        """Photos per class, in the order of ``classes``."""
        counted = Counter(photo.label for photo in self.photos)
        return {label: counted[label] for label in self.classes}

    @cached_property
    def fingerprint(self) -> str:
        """One hash of the whole set: contents, labels and given parts, not file names or order."""
        lines = sorted(f"{photo.sha256} {photo.part or '-'} {photo.label}" for photo in self.photos)
        return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogatepass")).hexdigest()

    def to_json(self) -> dict[str, object]:
        return {"format": FORMAT, "fingerprint": self.fingerprint, **asdict(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> "DatasetReport":
        if int(str(data.get("format", 0))) > FORMAT:
            raise DataError("data.newer", value=data.get("format"))
        rows = {name: data.get(name, ()) for name in ("photos", "left_out", "findings", "unlabelled", "aside")}
        return cls(
            root=str(data["root"]),
            photos=tuple(Photo(**row) for row in rows["photos"]),  # type: ignore[attr-defined]
            unlabelled=tuple(Photo(**row) for row in rows["unlabelled"]),  # type: ignore[attr-defined]
            aside=tuple(Photo(**row) for row in rows["aside"]),  # type: ignore[attr-defined]
            together=tuple(tuple(group) for group in data.get("together", ())),  # type: ignore[attr-defined]
            groups=tuple(tuple(group) for group in data.get("groups", ())),  # type: ignore[attr-defined]
            version=int(str(data.get("version", 0))),
            group_names=tuple(data.get("group_names", ())),  # type: ignore[arg-type]
            left_out=tuple(LeftOut(**row) for row in rows["left_out"]),  # type: ignore[attr-defined]
            findings=tuple(
                Finding(row["kind"], row["values"], tuple(row["photos"]))
                for row in rows["findings"]  # type: ignore[attr-defined]
            ),
            layout=data["layout"],  # type: ignore[arg-type]
        )


@dataclass(frozen=True)
class Sample:
    """A photo in its part of the split: where it lies and which class it shows."""

    path: str
    target: int  # the place of its label in Split.classes
    sha256: str  # of the file's bytes: what is kept about a photo is kept under this


@dataclass(frozen=True)
class Split:
    """Who is learnt from, who decides when to stop, and who is never looked at until the end."""

    classes: tuple[str, ...]
    train: tuple[Sample, ...]
    val: tuple[Sample, ...]
    test: tuple[Sample, ...]
    root: str
    test_root: str | None = None  # where the test photos lie, if they came from a second folder
    notes: tuple[Finding, ...] = ()  # what the split had to do: duplicates kept together, copies left out
    test_groups: tuple[tuple[str, str], ...] = ()  # paths of test photos, and the name of each one's group by the rule

    def part(self, name: Part) -> tuple[Sample, ...]:
        return {"train": self.train, "val": self.val, "test": self.test}[name]

    def root_of(self, name: Part) -> str:
        return self.test_root if name == "test" and self.test_root else self.root

    def to_json(self) -> dict[str, object]:
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> "Split":
        if int(str(data.get("format", 0))) > FORMAT:
            raise DataError("data.newer", value=data.get("format"))
        parts = {name: tuple(Sample(**row) for row in data[name]) for name in PARTS}  # type: ignore[attr-defined]
        return cls(
            classes=tuple(data["classes"]),  # type: ignore[arg-type]
            root=str(data["root"]),
            test_root=data.get("test_root"),  # type: ignore[arg-type]
            notes=tuple(Finding(row["kind"], row["values"], tuple(row["photos"])) for row in data.get("notes", ())),  # type: ignore[attr-defined, union-attr]
            test_groups=tuple((path, name) for path, name in data.get("test_groups", ())),  # type: ignore[attr-defined, union-attr]
            **parts,
        )
