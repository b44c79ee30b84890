"""Runs side by side: which settings differ, and whether scores differ by more than chance. Pure, torch-free."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal

from core.config import TrainConfig
from core.data.report import Split
from core.inference.metrics import Results

# Rarer than this, a difference between two equally good models is called more than chance. Source: Fisher 1925.
RARE = 0.05

Reason = Literal["no_score", "other_photos", "other_labels"]


@dataclass(frozen=True)
class Difference:
    """One setting and its value in each of the configs, in their order."""

    name: str
    values: tuple[object, ...]


@dataclass(frozen=True)
class Scored:
    """What a comparison needs of a run: its test part, and its answers where it has been tested."""

    split: Split
    results: Results | None


@dataclass(frozen=True)
class Pairing:
    """The same photos under two models, counted by who was right."""

    both: int
    first_only: int  # the first model is right where the second is wrong
    second_only: int
    neither: int

    @property
    def total(self) -> int:
        return self.both + self.first_only + self.second_only + self.neither

    @property
    def p_value(self) -> float:
        """How often two equally good models would differ at least as much as these: McNemar's exact two-sided test.

        Photos on which both are right or both are wrong say nothing; of the others, each model would win half.

        Source: McNemar 1947, "Note on the sampling error of the difference between correlated proportions or
        percentages"; the exact binomial form: Agresti, "Categorical Data Analysis", section 10.1.
        """
        return _two_sided(self.first_only, self.first_only + self.second_only)

    @property
    def more_than_chance(self) -> bool:
        return self.p_value < RARE


@dataclass(frozen=True)
class NotComparable:
    """Why two runs can't be compared photo by photo. ``shared`` of the test photos are in both."""

    reason: Reason
    shared: int = 0


def differing(configs: Sequence[TrainConfig]) -> tuple[Difference, ...]:
    """The settings that aren't the same in all ``configs``, in the order of ``TrainConfig``'s fields."""
    rows = [(field.name, tuple(getattr(config, field.name) for config in configs)) for field in fields(TrainConfig)]
    return tuple(Difference(name, values) for name, values in rows if any(one != values[0] for one in values))


def pair(first: Scored, second: Scored) -> Pairing | NotComparable:
    """Count who was right on each test photo; refused unless both were tested on the same photos with the same labels.

    Photos are matched by their bytes and not by their paths: a data set may have been moved, or brought twice.
    """
    if first.results is None or second.results is None or not first.results.total or not second.results.total:
        return NotComparable("no_score")
    ours, theirs = _judged(first.split, first.results), _judged(second.split, second.results)
    shared = ours.keys() & theirs.keys()
    if len(shared) < max(len(ours), len(theirs)):
        return NotComparable("other_photos", len(shared))
    if any(ours[photo][0] != theirs[photo][0] for photo in shared):
        return NotComparable("other_labels", len(shared))
    counts = {(True, True): 0, (True, False): 0, (False, True): 0, (False, False): 0}
    for photo in shared:
        counts[ours[photo][1], theirs[photo][1]] += 1
    return Pairing(counts[True, True], counts[True, False], counts[False, True], counts[False, False])


def _judged(split: Split, results: Results) -> dict[tuple[str, int], tuple[str, bool]]:
    """Each answered photo, by hash and number among its exact copies: its label, and whether it was recognised."""
    hashes = {sample.path: sample.sha256 for sample in split.test}
    copies: dict[str, int] = {}
    judged: dict[tuple[str, int], tuple[str, bool]] = {}
    for answer in sorted(results.answers, key=lambda answer: answer.path):
        sha256 = hashes.get(answer.path, answer.path)
        copies[sha256] = copies.get(sha256, 0) + 1
        judged[sha256, copies[sha256]] = (results.classes[answer.target], answer.right)
    return judged


def _two_sided(successes: int, trials: int) -> float:
    """The exact two-sided binomial test with chance 1/2; 1 where nothing was tried. In whole numbers: no rounding."""
    term = tail = 1
    for place in range(min(successes, trials - successes)):
        term = term * (trials - place) // (place + 1)
        tail += term
    return min(1.0, 2 * tail / 2**trials)
