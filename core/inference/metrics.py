"""Scores from counts: pure, free of torch, each with where its formula comes from."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

FORMAT = 1
# The 97.5 % quantile of the standard normal: two-sided 95 %.
Z_95 = 1.959963984540054


@dataclass(frozen=True)
class Answer:
    """What the model said about one test photo. ``top`` holds (class number, probability), likeliest first."""

    path: str
    target: int
    top: tuple[tuple[int, float], ...]

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
    interval: tuple[float, float]  # of the recall


@dataclass(frozen=True)
class Results:
    """The evaluation on photos that no decision looked at."""

    classes: tuple[str, ...]
    answers: tuple[Answer, ...]
    unreadable: tuple[str, ...] = ()

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
    def interval(self) -> tuple[float, float]:
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

    def worst(self, count: int) -> list[Answer]:
        """The mistakes it was surest of, surest first."""
        wrong = [answer for answer in self.answers if not answer.right]
        return sorted(wrong, key=lambda answer: (-answer.confidence, answer.path))[:count]

    def to_json(self) -> dict[str, object]:
        return {
            "format": FORMAT,
            "accuracy": self.accuracy,
            "interval": list(self.interval),
            "correct": self.correct,
            "total": self.total,
            "confusion": self.confusion(),
            "per_class": [asdict(score) for score in self.class_scores()],
            "classes": list(self.classes),
            "answers": [asdict(answer) for answer in self.answers],
            "unreadable": list(self.unreadable),
        }

    @classmethod
    def from_json(cls, data: dict) -> "Results":  # type: ignore[type-arg]
        answers = tuple(
            Answer(row["path"], row["target"], tuple((int(place), float(chance)) for place, chance in row["top"]))
            for row in data["answers"]
        )
        return cls(tuple(data["classes"]), answers, tuple(data["unreadable"]))


def wilson(right: int, total: int) -> tuple[float, float]:
    """The 95 % interval of a share ``right / total``, both in [0, 1]; (0, 1) where nothing was counted.

    Source: Wilson 1927; Newcombe 1998, "Two-sided confidence intervals for the single proportion", method 3.
    """
    if total == 0:
        return 0.0, 1.0
    share = right / total
    centre = (share + Z_95**2 / (2 * total)) / (1 + Z_95**2 / total)
    half = Z_95 / (1 + Z_95**2 / total) * math.sqrt(share * (1 - share) / total + Z_95**2 / (4 * total**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def _class_score(label: str, place: int, matrix: Sequence[Sequence[int]]) -> ClassScore:
    right = matrix[place][place]
    photos = sum(matrix[place])
    called = sum(row[place] for row in matrix)
    precision = right / called if called else None
    recall = right / photos if photos else None
    # F1 = 2 right / (photos + called): the harmonic mean without dividing by a zero precision.
    f1 = 2 * right / (photos + called) if photos + called else None
    return ClassScore(label, photos, right, precision, recall, f1, wilson(right, photos))
