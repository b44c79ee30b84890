"""What the doctor knows of the photos as they are now: starting the check-up, watching it, and which cases are open."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import streamlit as st

from core.data import mending
from core.data.datasets import Dataset
from core.data.history import History
from core.data.report import DatasetReport, Photo
from core.doctor import checkup
from core.doctor.checkup import Checkup
from core.doctor.labelling import Proposal, Proposals
from core.doctor.report import Case, Diagnosis, Refused, ordered
from core.inference.metrics import wilson
from pages.parts import charts, state

MOST_STARTS = 3  # of one version by itself: a process that can't even begin isn't started again and again


@dataclass(frozen=True)
class Found:
    """What there is to show. While a check-up works, what it hasn't looked at yet comes from the version before."""

    checkup: Checkup
    diagnoses: tuple[Diagnosis, ...]  # with their open cases only
    proposals: Proposals | None  # for photos without a label, of this version or the one before

    @property
    def complete(self) -> bool:
        return self.checkup.status == "ready"


def look(chosen: Dataset, report: DatasetReport) -> Found:
    """Start the check-up where this version had none, and take what is known by now."""
    now = checkup.watch(chosen, report)
    if now.status == "waiting" and _may_start(chosen, report):
        start(chosen)
        now = checkup.watch(chosen, report)
    older = {one.depth: one for one in now.stale}
    known = [now.fast or older.get("fast"), now.deep or (None if now.without_deep else older.get("deep"))]
    every = [one for examination in known if examination is not None for one in examination.diagnoses]
    diagnoses = still_open(every, report, refused(mending.history(chosen)))
    if now.proposals is not None:
        st.session_state[f"proposals_{chosen.id}"] = now.proposals
    return Found(now, _in_order(chosen, diagnoses), st.session_state.get(f"proposals_{chosen.id}"))


def start(chosen: Dataset) -> None:
    """Begin the check-up, or go on where it was interrupted."""
    checkup.start(chosen, state.workspace())


def _may_start(chosen: Dataset, report: DatasetReport) -> bool:
    starts: dict[tuple[str, int], int] = st.session_state.setdefault(f"starts_{chosen.id}", {})
    version = (report.fingerprint, len(report.unlabelled))
    starts[version] = starts.get(version, 0) + 1
    return starts[version] <= MOST_STARTS


def _in_order(chosen: Dataset, diagnoses: Iterable[Diagnosis]) -> tuple[Diagnosis, ...]:
    """The gravest first; but what was shown keeps its place, and what comes later comes below."""
    seen: list[str] = st.session_state.setdefault(f"seen_{chosen.id}", [])
    made = ordered(diagnoses)
    seen += [one.kind for one in made if one.kind not in seen]
    return tuple(sorted(made, key=lambda one: seen.index(one.kind)))


def refused(history: History) -> Refused:
    """By kind: the photos whose suggestion was refused, in the version that is current."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for step in history.chain(history.version):
        for change in step.changes:
            if change.field == "refused" and change.value is not None:
                found[change.value].update(change.paths)
    return found


def still_open(diagnoses: Iterable[Diagnosis], report: DatasetReport, fine: Refused) -> tuple[Diagnosis, ...]:
    """Without the cases that were refused or are mended, and without a diagnosis that has none left."""
    photos = {photo.path: photo for photo in (*report.photos, *report.unlabelled)}
    found: list[Diagnosis] = []
    for one in diagnoses:
        judged = fine.get(one.kind, ())
        cases = tuple(
            case
            for case in one.cases
            if not all(path in judged for path in case.paths) and not _mended(case, photos)
        )  # fmt: skip
        if len(cases) == len(one.cases):
            found.append(one)
        elif cases:
            found.append(replace(one, cases=cases, values=_values(one, cases)))
    return tuple(found)


def _values(one: Diagnosis, cases: tuple[Case, ...]) -> Mapping[str, object]:
    """For the words: the number of cases that are left, and what they say of the first of them."""
    first = cases[0].values if "name" in one.values and "name" in cases[0].values else {}
    return {**one.values, **first, "n": len(cases)}


def _mended(case: Case, photos: Mapping[str, Photo]) -> bool:
    """Whether nothing is left to do: a photo of it is gone, or shows by now what was suggested."""
    if any(path not in photos for path in case.paths):
        return True
    wanted = case.suggestion
    if wanted is None or wanted.field != "label":
        return False
    return all(photos[path].label == wanted.value for path in wanted.paths)


# Photos without a label


def guesses(report: DatasetReport, found: Found) -> tuple[Proposal, ...]:
    """What the photos that still have no label probably show, the surest first."""
    waiting = {photo.path for photo in report.unlabelled}
    return tuple(one for one in found.proposals.certain if one.path in waiting) if found.proposals else ()


def useful(report: DatasetReport, found: Found) -> list[str]:
    """The photos without a label, what teaches most first; in order of their names where nobody knows."""
    waiting = dict.fromkeys(photo.path for photo in report.unlabelled)
    first = [path for path in found.proposals.useful if path in waiting] if found.proposals else []
    return list(dict.fromkeys([*first, *waiting]))


def rounds(found: Found) -> list[charts.Round]:
    """Labelled photos and the guesses' accuracy with its 95 % interval, one a round of labelling."""
    return [
        (one.labelled, one.accuracy, *wilson(round(one.accuracy * one.judged), one.judged))
        for one in sorted(found.checkup.rounds, key=lambda one: one.labelled)
    ]
