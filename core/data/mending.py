"""Mending a data set: the verbs of the Photos page. Each writes one step, which can be undone. Torch-free."""

from collections import defaultdict
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Protocol

from core.data import grouping
from core.data.history import Change, Field, History, Step, append, next_step
from core.data.names import collision_key
from core.data.report import PARTS, DatasetReport
from core.data.store import Dataset, clean_name, history_of, read_report, read_scan, write_summary
from core.errors import DataError

LABEL_LETTERS = 80


class Suggested(Protocol):
    """What the doctor suggests for a case, as this module needs to know it."""

    @property
    def field(self) -> Field: ...
    @property
    def paths(self) -> tuple[str, ...]: ...
    @property
    def value(self) -> str: ...


# What people do


def move(dataset: Dataset, paths: Sequence[str], label: str) -> Step:
    """These photos show ``label``: a class that is there, or a new one."""
    report = read_report(dataset)
    label = class_name(report, label)
    return _write(dataset, "move", [Change(tuple(paths), "label", label)], n=len(paths), label=label)


def forget_label(dataset: Dataset, paths: Sequence[str]) -> Step:
    """Nobody knows what these show: they are to be labelled."""
    return _write(dataset, "forget_label", [Change(tuple(paths), "label", None)], n=len(paths))


def set_aside(dataset: Dataset, paths: Sequence[str], why: str = "chosen") -> Step:
    """Leave these out of everything that is learnt or scored. They stay on the disk."""
    return _write(dataset, "set_aside", [Change(tuple(paths), "aside", why)], n=len(paths))


def bring_back(dataset: Dataset, paths: Sequence[str]) -> Step:
    """Use photos again that were set aside."""
    return _write(dataset, "bring_back", [Change(tuple(paths), "aside", None)], n=len(paths))


def rename_class(dataset: Dataset, old: str, new: str) -> Step:
    """Give a class another name; the name of another class makes one of the two."""
    report = read_report(dataset)
    new = class_name(report, new, besides=old)
    every = (*report.photos, *report.aside)
    paths = tuple(photo.path for photo in every if photo.label == old)
    if not paths:
        raise DataError("mend.no_class", name=old)
    kind = "merge" if new in report.classes and new != old else "rename"
    return _write(dataset, kind, [Change(paths, "label", new)], old=old, new=new, n=len(paths))


def confirm(dataset: Dataset, labels: Mapping[str, str]) -> Step:
    """Say of many photos at once what each shows."""
    report = read_report(dataset)
    meant = {label: class_name(report, label) for label in set(labels.values())}
    of_label: defaultdict[str, list[str]] = defaultdict(list)
    for path, label in labels.items():
        of_label[meant[label]].append(path)
    changes = [Change(tuple(paths), "label", label) for label, paths in sorted(of_label.items())]
    return _write(dataset, "confirm", changes, n=len(labels))


def refuse(dataset: Dataset, kind: str, paths: Sequence[str]) -> Step:
    """The doctor's finding of this kind was looked at: these photos are fine as they are."""
    return _write(dataset, "refuse", [Change(tuple(paths), "refused", kind)], n=len(paths))


def accept(dataset: Dataset, suggestions: Iterable[Suggested]) -> Step:
    """Do what the doctor suggests for these cases, all in one step."""
    chosen: defaultdict[tuple[Field, str], list[str]] = defaultdict(list)
    for suggestion in suggestions:
        chosen[suggestion.field, suggestion.value] += suggestion.paths
    changes = [Change(tuple(dict.fromkeys(paths)), field, value) for (field, value), paths in sorted(chosen.items())]
    return _write(dataset, "accept", changes, n=sum(len(change.paths) for change in changes))


def set_parts(dataset: Dataset, parts: Mapping[str, str | None]) -> Step:
    """Say which photos are for training, validation and testing; None leaves it to the division."""
    of_part: defaultdict[str | None, list[str]] = defaultdict(list)
    for path, part in parts.items():
        if part not in (*PARTS, None):
            raise ValueError(f"not a part: {part}")
        of_part[part].append(path)
    return _write(
        dataset, "set_parts", [Change(tuple(paths), "part", part) for part, paths in of_part.items()], n=len(parts)
    )


def use_table(dataset: Dataset, name: str, labels: Mapping[str, str], parts: Mapping[str, str | None]) -> Step:
    """Label and divide photos as the table of this name says, in one step; an empty label is nobody's answer."""
    report = read_report(dataset)
    meant = {label: class_name(report, label) if label else None for label in set(labels.values())}
    said: defaultdict[tuple[Field, str | None], list[str]] = defaultdict(list)
    for path, label in labels.items():
        said["label", meant[label]].append(path)
    for path, part in parts.items():
        if part not in (*PARTS, None):
            raise ValueError(f"not a part: {part}")
        said["part", part].append(path)
    changes = [Change(tuple(paths), field, value) for (field, value), paths in said.items()]
    return _write(dataset, "table", changes, name=name, n=len({*labels, *parts}))


def set_rule(dataset: Dataset, rule: grouping.Rule) -> Step:
    """Keep photos together by a rule from now on; see ``grouping.check``."""
    checked = grouping.check(rule)
    with _only_one(dataset) as history:
        return _append(dataset, history, next_step(history, "rule" if checked else "no_rule", rule=dict(checked)))


# Back and forth


def undo(dataset: Dataset) -> Step:
    with _only_one(dataset) as history:
        return _there(dataset, history, "undo", history.undo, of=history.version)


def redo(dataset: Dataset) -> Step:
    with _only_one(dataset) as history:
        return _there(dataset, history, "redo", history.redo, of=history.redo)


def _there(dataset: Dataset, history: History, kind: str, target: int | None, *, of: int | None) -> Step:
    """Make ``target`` the current version; what is told is the step of version ``of``."""
    if target is None or of is None:
        raise DataError(f"mend.nothing_to_{kind}")
    step = history.step(of)
    what = {"what": step.text} if step else {}
    return _append(dataset, history, next_step(history, kind, values=what, same_as=target))


def go_back(dataset: Dataset, version: int) -> Step:
    """Make an earlier version the current one. What came after it stays in the history."""
    with _only_one(dataset) as history:
        if not 0 <= version <= history.version:
            raise DataError("mend.no_version", value=version)
        return _append(dataset, history, next_step(history, "go_back", values={"version": version}, same_as=version))


def history(dataset: Dataset) -> History:
    """Every step, in order."""
    return history_of(dataset)


def class_name(report: DatasetReport, typed: str, besides: str | None = None) -> str:
    """The class that somebody means who typed this: one that is there, however it is spelt, or a new one.

    Raises:
        DataError: nothing is left of the name once it is made safe to show.
    """
    name = clean_name(typed)
    if not name:
        raise DataError("mend.no_name")
    if len(typed.strip()) > LABEL_LETTERS:
        raise DataError("mend.long_name", name=name[:LABEL_LETTERS], most=LABEL_LETTERS)
    known = {collision_key(label): label for label in report.classes if label != besides}
    return known.get(collision_key(name), name)


# Writing


def _write(dataset: Dataset, kind: str, changes: list[Change], **values: object) -> Step:
    if not any(change.paths for change in changes):
        raise DataError("mend.nothing_chosen")
    with _only_one(dataset) as history:
        scanned = read_scan(dataset, history.state().report)
        known = {photo.path for photo in (*scanned.photos, *scanned.unlabelled)}
        unknown = next((path for change in changes for path in change.paths if path not in known), None)
        if unknown is not None:
            raise DataError("mend.no_photo", path=unknown[:200])
        return _append(dataset, history, next_step(history, kind, values=values, changes=tuple(changes)))


def add_step(dataset: Dataset, kind: str, *, report: int, values: Mapping[str, object]) -> Step:
    """More photos have come: from here on the versions build on this scan."""
    with _only_one(dataset) as history:
        return _append(dataset, history, next_step(history, kind, values=values, report=report))


def _append(dataset: Dataset, history: History, step: Step) -> Step:
    """Write the step with its version's fingerprint, and what lists show of it."""
    made = read_report(dataset, History((*history.steps, step)))
    step = replace(step, fingerprint=made.fingerprint)
    append(dataset.history, step)
    write_summary(dataset, made)
    return step


@contextmanager
def _only_one(dataset: Dataset) -> Generator[History]:
    """Two tabs may mend at once: each step builds on the one before, so none is lost."""
    with dataset.mend_lock():
        yield history_of(dataset)
