"""Scores from counts: pure, free of torch, each with where its formula comes from."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from core.inference.intervals import Interval, macro, wilson

FORMAT = 3  # 1 knew no temperature, 2 no strangeness


@dataclass(frozen=True)
class Answer:
    """What the model said about one test photo. ``top`` holds (class number, probability), likeliest first.

    ``calibrated`` is the likeliest class's probability at the run's temperature; None where there is none.
    ``strangeness`` is how unlike the training photos it is; None where the run can't tell.
    """

    path: str
    target: int
    top: tuple[tuple[int, float], ...]
    calibrated: float | None = None
    strangeness: float | None = None

    @property
    def predicted(self) -> int:
        return self.top[0][0]

    @property
    def confidence(self) -> float:
        return self.top[0][1]

    @property
    def right(self) -> bool:
        return self.predicted == self.target


@dataclass(frozen=True)
class ClassScore:
    """One class: ``precision`` of what was called it, ``recall`` of what is it; None where nothing counts."""

    label: str
    photos: int
    right: int
    precision: float | None
    recall: float | None
    f1: float | None
    interval: Interval  # of the recall
    called: int  # photos that were taken for it, rightly or not
    precision_interval: Interval


@dataclass(frozen=True)
class Mistake:
    """Two classes that are mixed up: photos of ``true`` that were taken for ``predicted``, both class numbers."""

    true: int
    predicted: int
    photos: int


@dataclass(frozen=True)
class Results:
    """The evaluation on photos that no decision looked at."""

    classes: tuple[str, ...]
    answers: tuple[Answer, ...]
    unreadable: tuple[str, ...] = ()
    # Fitted on the validation photos, of the network before they taught it as well (core/training/judged.py).
    temperature: float | None = None
    limit: float | None = None  # of strangeness: a photo above it is answered "I don't know"

    @property
    def refused(self) -> int | None:
        """Photos that are answered "I don't know", though their class was learnt; None where the run can't tell."""
        told = [answer.strangeness for answer in self.answers if answer.strangeness is not None]
        if self.limit is None or len(told) < self.total:
            return None
        return sum(strangeness > self.limit for strangeness in told)

    @property
    def total(self) -> int:
        return len(self.answers)

    @property
    def correct(self) -> int:
        return sum(answer.right for answer in self.answers)

    @property
    def accuracy(self) -> float:
        return self.correct / max(1, self.total)

    @property
    def interval(self) -> Interval:
        return wilson(self.correct, self.total)

    def confusion(self) -> list[list[int]]:
        """``matrix[true][predicted]`` counts."""
        matrix = [[0] * len(self.classes) for _ in self.classes]
        for answer in self.answers:
            matrix[answer.target][answer.predicted] += 1
        return matrix

    def class_scores(self) -> list[ClassScore]:
        matrix = self.confusion()
        return [_class_score(label, place, matrix) for place, label in enumerate(self.classes)]

    def mistakes(self) -> list[Mistake]:
        """Every pair of classes that was mixed up, the most frequent first."""
        cells = [(i, j, count) for i, row in enumerate(self.confusion()) for j, count in enumerate(row)]
        found = [Mistake(i, j, count) for i, j, count in cells if count and i != j]
        return sorted(found, key=lambda mistake: (-mistake.photos, mistake.true, mistake.predicted))

    def cell(self, true: int, predicted: int) -> list[Answer]:
        """The photos of one class that were taken for another (or the same), the surest first."""
        inside = [answer for answer in self.answers if (answer.target, answer.predicted) == (true, predicted)]
        return sorted(inside, key=_surest_first)

    def best(self, count: int) -> list[Answer]:
        """The right answers it was surest of."""
        return sorted((answer for answer in self.answers if answer.right), key=_surest_first)[:count]

    def worst(self, count: int) -> list[Answer]:
        """The mistakes it was surest of, surest first."""
        return sorted((answer for answer in self.answers if not answer.right), key=_surest_first)[:count]

    def to_json(self) -> dict[str, object]:
        average = macro(self.confusion())
        return {
            "format": FORMAT,
            "accuracy": self.accuracy,
            "interval": list(self.interval),
            "correct": self.correct,
            "total": self.total,
            "macro": asdict(average) if average else None,
            "confusion": self.confusion(),
            "per_class": [asdict(score) for score in self.class_scores()],
            "classes": list(self.classes),
            "answers": [asdict(answer) for answer in self.answers],
            "unreadable": list(self.unreadable),
            "temperature": self.temperature,
            "limit": self.limit,
            "refused": self.refused,
        }

    @classmethod
    def from_json(cls, data: dict) -> "Results":  # type: ignore[type-arg]
        answers = tuple(
            Answer(
                row["path"],
                row["target"],
                tuple((int(place), float(chance)) for place, chance in row["top"]),
                row.get("calibrated"),
                row.get("strangeness"),
            )
            for row in data["answers"]
        )
        names, unreadable = tuple(data["classes"]), tuple(data["unreadable"])
        return cls(names, answers, unreadable, data.get("temperature"), data.get("limit"))


def _surest_first(answer: Answer) -> tuple[float, str]:
    return -answer.confidence, answer.path


def _class_score(label: str, place: int, matrix: Sequence[Sequence[int]]) -> ClassScore:
    right = matrix[place][place]
    photos = sum(matrix[place])
    called = sum(row[place] for row in matrix)
    precision = right / called if called else None
    recall = right / photos if photos else None
    # F1 = 2 right / (photos + called): the harmonic mean without dividing by a zero precision.
    f1 = 2 * right / (photos + called) if photos + called else None
    intervals = wilson(right, photos), wilson(right, called)
    return ClassScore(label, photos, right, precision, recall, f1, intervals[0], called, intervals[1])
