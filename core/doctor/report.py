"""What the doctor found: diagnoses, each with its cases, and what would mend each case. Torch-free.

Nothing here changes a photo. A suggestion becomes a change of the data set when a person accepts it
(``core.data.mending``), and can be undone like any other.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal

from core.errors import DataError
from core.words import say

FORMAT = 1
Weight = Literal["serious", "look", "note"]  # spoils the score; worth a look; good to know
Depth = Literal["fast", "deep"]  # from the pictures alone; with a pretrained network's features


@dataclass(frozen=True)
class Suggestion:
    """One press that would mend a case: give ``paths`` the class ``value``, or set them aside because of ``value``."""

    field: Literal["label", "aside"]
    paths: tuple[str, ...]
    value: str  # a class; or a word below ``mend.why``


@dataclass(frozen=True)
class Case:
    """One photo, or several that belong together (copies of each other)."""

    paths: tuple[str, ...]
    confidence: float  # 0 to 1: how sure the doctor is
    suggestion: Suggestion | None = None
    values: Mapping[str, object] = field(default_factory=dict[str, object])  # for ``doctor.<kind>.case``


@dataclass(frozen=True)
class Diagnosis:
    """One kind of finding, with every case of it, the surest first. Words below ``doctor.<kind>``."""

    kind: str
    weight: Weight
    cases: tuple[Case, ...] = ()  # empty where it speaks of the whole set
    values: Mapping[str, object] = field(default_factory=dict[str, object])

    @property
    def paths(self) -> tuple[str, ...]:
        """Every photo it speaks of, once, in the order of the cases."""
        return tuple(dict.fromkeys(path for case in self.cases for path in case.paths))

    @property
    def title(self) -> str:
        """What was found: ``12 photos are nearly the same``."""
        return say(f"doctor.{self.kind}.title", **self.values)

    @property
    def meaning(self) -> str:
        """What that does to the model."""
        return say(f"doctor.{self.kind}.meaning", **self.values)

    @property
    def mend(self) -> str:
        """What to do about it."""
        return say(f"doctor.{self.kind}.mend", **self.values)

    def case_text(self, case: Case) -> str:
        """What is to be said of one case: ``looks like “wasp”``; empty where there is nothing."""
        return say(f"doctor.{self.kind}.case", **case.values) if case.values else ""


@dataclass(frozen=True)
class Examination:
    """All that was found in one version of a data set, the gravest first."""

    fingerprint: str  # of the version
    depth: Depth
    diagnoses: tuple[Diagnosis, ...]
    seconds: float
    accuracy: float | None = None  # of a linear probe on photos it didn't learn from; only deep
    judged: int = 0  # photos that the accuracy speaks of

    def to_json(self) -> dict[str, object]:
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> "Examination":
        if int(str(data.get("format", 0))) > FORMAT:
            raise DataError("data.newer", value=data.get("format"))
        facts = {name: data[name] for name in cls.__dataclass_fields__ if name in data}
        facts["diagnoses"] = tuple(_diagnosis(row) for row in data["diagnoses"])  # type: ignore[attr-defined]
        return cls(**facts)  # type: ignore[arg-type]


Refused = Mapping[str, Collection[str]]  # by kind of finding: photos that a person looked at and found fine
GRAVITY: Mapping[str, int] = {"serious": 0, "look": 1, "note": 2}


def ordered(diagnoses: Iterable[Diagnosis]) -> tuple[Diagnosis, ...]:
    """The gravest first, and among equals in the order given."""
    return tuple(sorted(diagnoses, key=lambda one: GRAVITY[one.weight]))


def flat(looks: Sequence[Examination]) -> dict[str, object]:
    """What several looks at one version found, as one object for programs; the gravest finding first."""
    deep = looks[-1] if looks[-1].depth == "deep" else None
    return {
        "fingerprint": looks[0].fingerprint,
        "findings": [_flat(one) for one in ordered(found for look in looks for found in look.diagnoses)],
        "accuracy": deep.accuracy if deep else None,
        "judged": deep.judged if deep else 0,
        "seconds": {look.depth: look.seconds for look in looks},
    }


def _flat(found: Diagnosis) -> dict[str, object]:
    return {
        "kind": found.kind,
        "weight": found.weight,
        "title": found.title,
        "meaning": found.meaning,
        "mend": found.mend,
        "photos": found.paths,
        "confidence": max((case.confidence for case in found.cases), default=1.0),
        "values": dict(found.values),
        "cases": [asdict(case) for case in found.cases],
    }


def _diagnosis(row: Mapping[str, object]) -> Diagnosis:
    cases = tuple(_case(case) for case in row["cases"])  # type: ignore[attr-defined]
    return Diagnosis(str(row["kind"]), row["weight"], cases, row["values"])  # type: ignore[arg-type]


def _case(row: Mapping[str, object]) -> Case:
    kept: Mapping[str, object] | None = row["suggestion"]  # type: ignore[assignment]
    suggestion = None
    if kept is not None:
        suggestion = Suggestion(kept["field"], tuple(kept["paths"]), str(kept["value"]))  # type: ignore[arg-type]
    return Case(tuple(row["paths"]), float(row["confidence"]), suggestion, row["values"])  # type: ignore[arg-type]
