"""What can be told of a data set from its photos' facts alone, without a network. Pure and torch-free."""

from collections.abc import Collection, Iterable, Mapping

from core.data.facts import Facts
from core.data.findings import SMALL_SIDE
from core.data.report import DatasetReport
from core.doctor.amounts import examine_amounts
from core.doctor.copies import find_copies
from core.doctor.quality import find_poor
from core.doctor.report import Case, Diagnosis, Weight, ordered
from core.doctor.shortcut import find_shortcuts

Refused = Mapping[str, Collection[str]]
WEIGHTS: Mapping[str, Weight] = {
    "torn": "serious",
    "leak": "serious",
    "shortcut": "serious",
    "exact_copies": "look",
    "near_copies": "look",
    "blank": "look",
    "dark": "look",
    "bright": "look",
    "blurred": "look",
    "tiny": "note",
    "extreme_shape": "note",
    "animated": "note",
    "turned": "note",
}  # of what has cases, in the order in which it is told


def examine_fast(
    report: DatasetReport, facts: Mapping[str, Facts], *, refused: Refused | None = None
) -> tuple[Diagnosis, ...]:
    """Every fast finding, the gravest first. Photos that weren't measured are passed over.

    ``refused`` are the photos that a person looked at and found fine, by kind: a case of those alone isn't told again.
    """
    cases = {**find_copies(report, facts), "shortcut": find_shortcuts(report, facts), **find_poor(report, facts)}
    fine = {kind: frozenset(paths) for kind, paths in (refused or {}).items()}
    found = [_diagnosis(kind, weight, cases[kind], fine.get(kind, frozenset())) for kind, weight in WEIGHTS.items()]
    return ordered([*(one for one in found if one.cases), *examine_amounts(report)])


def _diagnosis(kind: str, weight: Weight, cases: Iterable[Case], fine: frozenset[str]) -> Diagnosis:
    told = sorted((case for case in cases if not fine.issuperset(case.paths)), key=_surest_first)
    photos = {path for case in told for path in case.paths}
    spare = {path for case in told if case.suggestion for path in case.suggestion.paths}
    values = {"n": len(told), "photos": len(photos), "spare": len(spare), "least": SMALL_SIDE}
    first = told[0].values if kind == "shortcut" and told else {}
    return Diagnosis(kind, weight, tuple(told), {**values, **first})


def _surest_first(case: Case) -> tuple[float, tuple[str, ...]]:
    return -case.confidence, case.paths
