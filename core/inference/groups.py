"""Where a model fares worse than elsewhere: its answers by groups of photos that are known anyway. Pure, torch-free."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from unicodedata import normalize

from core.data.report import DatasetReport, Photo, Sample
from core.inference.intervals import Interval, wilson
from core.inference.metrics import Answer

if TYPE_CHECKING:
    from core.data.facts import Facts

Kind = Literal["rule", "folder", "column", "camera", "light", "sharpness", "size"]
Third = Literal["low", "middle", "high"]
MEASURED: tuple[Kind, ...] = ("light", "sharpness", "size")
# Smaller groups are shown and not compared: they could show disasters only, and each comparison costs the others.
FEWEST = 5
RARE = 0.05  # over all comparisons together. Source: Bonferroni, as in Dunn 1961, "Multiple comparisons among means"


@dataclass(frozen=True)
class Grouping:
    """One way to divide test photos: ``of`` has the group of each photo of which it is known, by path.

    The groups of what is measured are called "low", "middle" and "high"; ``limits`` are where the first ends and the
    last begins.
    """

    kind: Kind
    of: Mapping[str, str]
    column: str = ""  # of the user's table
    limits: tuple[float, float] | None = None


@dataclass(frozen=True)
class GroupScore:
    """One group's answers, and those of all other photos whose group is known."""

    name: str
    right: int
    photos: int
    rest_right: int
    rest_photos: int

    @property
    def share(self) -> float:
        return self.right / self.photos

    @property
    def interval(self) -> Interval:
        return wilson(self.right, self.photos)

    @property
    def rest_interval(self) -> Interval:
        return wilson(self.rest_right, self.rest_photos)

    @property
    def compared(self) -> bool:
        return min(self.photos, self.rest_photos) >= FEWEST

    @property
    def p_value(self) -> float:
        """How often so few of a group would be right if the model were equally good everywhere: Fisher's exact test.

        Source: Fisher 1935, "The Logic of Inductive Inference"; one-sided, for the question is which group is worse.
        """
        return _few_right(self.right, self.photos, self.rest_right, self.rest_photos)


@dataclass(frozen=True)
class Worse:
    """A group that is worse than the others by more than chance."""

    grouping: Grouping
    score: GroupScore


def scores(answers: Iterable[Answer], grouping: Grouping) -> tuple[GroupScore, ...]:
    """Each group's score, the worst first; of equal ones the larger."""
    counts: dict[str, list[int]] = {}
    for answer in answers:
        name = grouping.of.get(answer.path)
        if name is not None:
            count = counts.setdefault(name, [0, 0])
            count[0] += answer.right
            count[1] += 1
    right = sum(count[0] for count in counts.values())
    photos = sum(count[1] for count in counts.values())
    made = [GroupScore(name, good, of, right - good, photos - of) for name, (good, of) in counts.items()]
    return tuple(sorted(made, key=lambda score: (score.share, -score.photos, score.name)))


def worse(answers: Sequence[Answer], groupings: Iterable[Grouping]) -> tuple[int, tuple[Worse, ...]]:
    """How many groups were compared with the others, and which are worse, the surest first.

    The more is compared, the more often chance alone looks like a finding: so each has to be as much rarer.
    """
    made = [Worse(grouping, score) for grouping in groupings for score in scores(answers, grouping) if score.compared]
    found = [(one.score.p_value, place) for place, one in enumerate(made)]
    return len(made), tuple(made[place] for chance, place in sorted(found) if chance * len(made) < RARE)


def groupings(
    samples: Iterable[Sample],
    *,
    rule: Mapping[str, str],
    report: DatasetReport | None = None,
    facts: "Mapping[str, Facts] | None" = None,
    columns: Mapping[str, Mapping[str, str]] | None = None,
) -> tuple[Grouping, ...]:
    """Every way to divide these photos of which enough is known.

    ``rule`` has the groups by which the parts were divided. The other three are what is known of a data set; of a photo
    whose bytes it has no more, it says nothing.
    """
    photos = _still_there(samples, report)
    found = [Grouping("rule", rule)]
    if photos:
        measured = {path: row for path, photo in photos.items() if (row := (facts or {}).get(photo.sha256))}
        found += [
            *([Grouping("folder", _folders(photos))] if _has_inner_folders(photos.values()) else []),
            Grouping("camera", {path: row.camera for path, row in measured.items() if row.camera}),
            *(_column(name, values, photos) for name, values in sorted((columns or {}).items())),
            _thirds("light", {path: row.brightness for path, row in measured.items()}),
            _thirds("sharpness", {path: row.sharpness for path, row in measured.items()}),
            _thirds("size", {path: float(photo.width * photo.height) for path, photo in photos.items()}),
        ]
    return tuple(grouping for grouping in found if _tells(grouping))


def thirds(values: Mapping[str, float]) -> tuple[Mapping[str, Third], tuple[float, float]]:
    """The third of the photos that each lies in, and where the first ends and the last begins; equal values together.

    Where so many values are equal that there are no three parts, no photo lies in any.
    """
    ordered = sorted(values.values())
    if len(ordered) < 3:
        return {}, (0.0, 0.0)
    low, high = ordered[len(ordered) // 3], ordered[-(len(ordered) // 3)]
    if not ordered[0] < low < high:
        return {}, (low, high)
    return {
        path: "low" if value < low else "high" if value >= high else "middle" for path, value in values.items()
    }, (low, high)  # fmt: skip


def _still_there(samples: Iterable[Sample], report: DatasetReport | None) -> dict[str, Photo]:
    if report is None:
        return {}
    known = {photo.path: photo for photo in (*report.photos, *report.unlabelled, *report.aside)}
    pairs = ((sample, known.get(sample.path)) for sample in samples)
    return {
        sample.path: photo for sample, photo in pairs if photo is not None and photo.sha256 == sample.sha256
    }  # fmt: skip


def _folders(photos: Mapping[str, Photo]) -> dict[str, str]:
    """The folder of each; only its name where several classes have folders of the same names inside."""
    folders = {path: path.rpartition("/")[0] for path in photos}
    names = {path: folder.rpartition("/")[2] for path, folder in folders.items()}
    inside = {path: name for path, name in names.items() if normalize("NFC", name) != photos[path].label}
    shared = len(set(inside.values())) < len({folders[path] for path in inside})
    return inside if shared else folders


def _has_inner_folders(photos: Iterable[Photo]) -> bool:
    """Whether photos of one class lie in several folders: else its folder says no more than its class."""
    listed = [(photo.path.rpartition("/")[0], (photo.label, photo.part)) for photo in photos]
    return len({folder for folder, _ in listed}) > len({home for _, home in listed})


def _column(name: str, values: Mapping[str, str], photos: Iterable[str]) -> Grouping:
    return Grouping("column", {path: value for path in photos if (value := values.get(path, "").strip())}, column=name)


def _thirds(kind: Kind, values: Mapping[str, float]) -> Grouping:
    of, limits = thirds(values)
    return Grouping(kind, of, limits=limits)  # type: ignore[arg-type]


def _tells(grouping: Grouping) -> bool:
    """Whether there is something to compare: two groups that are large enough, and not a group for each photo."""
    sizes: dict[str, int] = {}
    for name in grouping.of.values():
        sizes[name] = sizes.get(name, 0) + 1
    return sum(size >= FEWEST for size in sizes.values()) >= 2 and len(grouping.of) >= 2 * len(sizes)


def _few_right(right: int, photos: int, rest_right: int, rest_photos: int) -> float:
    """The lower tail of the hypergeometric distribution: so many or fewer of ``photos`` among all that are right."""
    wrong = photos - right
    rest_wrong = rest_photos - rest_right
    all_right, all_wrong = right + rest_right, wrong + rest_wrong
    term = math.exp(
        _log_choose(all_right, right) + _log_choose(all_wrong, wrong) - _log_choose(all_right + all_wrong, photos)
    )
    tail = term
    while right > 0 and rest_wrong > 0 and term > 0:
        term *= right * rest_wrong / ((rest_right + 1) * (wrong + 1))
        right, wrong, rest_right, rest_wrong = right - 1, wrong + 1, rest_right + 1, rest_wrong - 1
        tail += term
    return min(1.0, tail)


def _log_choose(total: int, chosen: int) -> float:
    return math.lgamma(total + 1) - math.lgamma(chosen + 1) - math.lgamma(total - chosen + 1)
