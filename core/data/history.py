"""What people did to their photos, as a history: each line makes a version, and each can be had again. Torch-free.

A data set's photos never change and never go; what changes is what is said of them. ``history.jsonl`` holds one line a
step, written once. A version's state is what arrived with the changes of its line and of the lines it builds on. Undo
writes a line too, which says which earlier version is the same; so nothing is ever overwritten.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from core.words import say

FORMAT = 1
Field = Literal["label", "aside", "part", "refused"]
FIELDS: tuple[Field, ...] = ("label", "aside", "part", "refused")


@dataclass(frozen=True)
class Change:
    """The same thing said of several photos.

    ``label``: they show the class ``value`` (None: nobody knows what they show). ``aside``: they are set aside because
    of ``value``, a word below ``mend.why`` (None: they are back). ``part``: train, val, test, or None for undecided.
    ``refused``: the suggestion of this kind was looked at and refused, so it isn't made again.
    """

    paths: tuple[str, ...]
    field: Field
    value: str | None


@dataclass(frozen=True)
class Step:
    """One line of the history, and the version that it makes."""

    number: int  # of the version: 1 for the first step, 0 is what arrived
    at: float  # seconds since 1970
    kind: str  # an entry below ``mend.step``: what was done, in words
    values: Mapping[str, object]  # for the words
    parent: int  # the version it builds on
    changes: tuple[Change, ...] = ()
    report: int | None = None  # photos came: from here on the state builds on this scan (``Dataset.report_number``)
    rule: Mapping[str, object] | None = None  # how photos are grouped from here on; {} for not at all
    same_as: int | None = None  # undo, redo, going back: the version is this earlier one again
    fingerprint: str = ""  # of the version

    @property
    def text(self) -> str:
        return say(f"mend.step.{self.kind}", **self.values)


@dataclass(frozen=True)
class State:
    """What all steps of a version together say of the photos."""

    report: int  # the scan it builds on
    said: Mapping[Field, Mapping[str, str | None]]  # per field: path → value
    rule: Mapping[str, object]


@dataclass(frozen=True)
class History:
    """All steps, in order: ``steps[n - 1].number == n``."""

    steps: tuple[Step, ...] = ()

    @property
    def version(self) -> int:
        """The current one."""
        return self.steps[-1].number if self.steps else 0

    def step(self, version: int) -> Step | None:
        """The step that first made this version's state; None for what arrived."""
        while version:
            step = self.steps[version - 1]
            if step.same_as is None:
                return step
            version = step.same_as
        return None

    def chain(self, version: int) -> tuple[Step, ...]:
        """The steps that this version's state is made of, the first one first."""
        found: list[Step] = []
        while (step := self.step(version)) is not None:
            found.append(step)
            version = step.parent
        return tuple(reversed(found))

    def state(self, version: int | None = None) -> State:
        said: dict[Field, dict[str, str | None]] = {field: {} for field in FIELDS}
        report, rule = 1, {}
        for step in self.chain(self.version if version is None else version):
            report = step.report or report
            rule = step.rule if step.rule is not None else rule
            for change in step.changes:
                said[change.field].update(dict.fromkeys(change.paths, change.value))
        return State(report, said, rule)

    @property
    def undo(self) -> int | None:
        """The version that undoing leads to; None at the beginning."""
        step = self.step(self.version)
        return None if step is None else self._plain(step.parent)

    @property
    def redo(self) -> int | None:
        """The version that was undone last; None after anything else was done."""
        undone: list[int] = []
        for step in self.steps:
            if step.kind == "undo":
                undone.append(self._plain(step.parent))
            elif step.kind == "redo" and undone:
                undone.pop()
            else:
                undone.clear()
        return undone[-1] if undone else None

    def _plain(self, version: int) -> int:
        """The same version by the number that it first had."""
        step = self.step(version)
        return step.number if step else 0


def next_step(history: History, kind: str, /, **facts: object) -> Step:
    """The step that comes next; ``facts`` are ``Step``'s other fields. Who writes it fills its fingerprint in."""
    values = facts.pop("values", {})
    return Step(history.version + 1, time.time(), kind, values, history.version, **facts)  # type: ignore[arg-type]


def read_history(path: Path) -> History:
    """The history in a file; a torn last line, which a crash may leave, is as if never written."""
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return History()
    steps: list[Step] = []
    for line in lines:
        try:
            step = _read(json.loads(line))
        except (ValueError, KeyError, TypeError):
            break  # what a crash tore, and was written over by nobody: see ``append``
        if step.number != len(steps) + 1 or not 0 <= step.parent < step.number:
            break
        steps.append(step)
    return History(tuple(steps))


def append(path: Path, step: Step) -> None:
    """Write a line at the end; what a crash left half-written there before is cut off."""
    line = json.dumps({"format": FORMAT, **asdict(step)}, separators=(",", ":"), allow_nan=False).encode() + b"\n"
    with path.open("ab+") as file:
        file.seek(0)
        whole = file.read().rfind(b"\n") + 1
        file.truncate(whole)
        file.write(line)


def _read(row: Mapping[str, object]) -> Step:
    known = {name: row[name] for name in Step.__dataclass_fields__ if name in row}
    changes: Sequence[Mapping[str, object]] = known.pop("changes", ())  # type: ignore[assignment]
    step = Step(**known)  # type: ignore[arg-type]
    made = tuple(Change(tuple(row["paths"]), row["field"], row["value"]) for row in changes)  # type: ignore[arg-type]
    same = step.same_as
    if (same is not None and not 0 <= same < step.number) or any(change.field not in FIELDS for change in made):
        raise ValueError("not a step")
    return Step(**{**known, "changes": made})  # type: ignore[arg-type]
