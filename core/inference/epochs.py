"""What each epoch of a run said about the validation photos: read while the run writes it, and afterwards. Torch-free.

``core.training.watched`` writes it: a first line that names the photos, then a line an epoch, in order. A resume tells
epochs after its checkpoint again; the last telling counts, as it does for events.
"""

import json
import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from core.data.report import Sample
from core.events import TRAINING_PHASES, Phase
from core.runs.store import RunDirectory

FORMAT = 1
SHOWN = 12  # photos that are watched through the whole run
UNIT = 1000  # certainties are written as whole thousandths
# A line of ours, whole: a killed worker may leave half of one, which the next start ends with a newline.
LINE = re.compile(rb'\{"phase":"(\w+)","epoch":(\d+),.*\]\}', re.DOTALL)


@dataclass(frozen=True)
class WatchedPhotos:
    """The validation photos of a run, or evenly spread ones of very many; ``shown`` are the places of the few."""

    classes: tuple[str, ...]
    samples: tuple[Sample, ...]
    of: int  # validation photos in all
    shown: tuple[int, ...] = ()

    def to_json(self) -> dict[str, object]:
        return {
            "format": FORMAT,
            "classes": list(self.classes),
            "of": self.of,
            "shown": list(self.shown),
            "photos": [[sample.path, sample.target, sample.sha256] for sample in self.samples],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> "WatchedPhotos":
        """Raises ValueError, KeyError or TypeError where it is no such line, or one of a newer Graft."""
        if data["format"] != FORMAT:
            raise ValueError(data["format"])
        samples = tuple(Sample(*row) for row in data["photos"])  # type: ignore[attr-defined]
        return cls(tuple(data["classes"]), samples, int(str(data["of"])), tuple(data["shown"]))  # type: ignore[arg-type]


@dataclass(frozen=True)
class WatchedEpoch:
    """One epoch's answers, in the order of the photos: the class, its probability and that of the true class."""

    phase: Phase
    epoch: int
    said: tuple[int, ...]
    sure: tuple[float, ...]
    true: tuple[float, ...]

    def confusion(self, photos: WatchedPhotos) -> Counter[tuple[int, int]]:
        """How often each class was taken for each, as (true, said) pairs: 300 classes leave most of a matrix empty."""
        targets = (sample.target for sample in photos.samples)
        return Counter(zip(targets, self.said, strict=True))


class Epochs:
    """Follows a run's record: keeps where each epoch's line lies, so that a look costs only the new bytes."""

    def __init__(self, run: RunDirectory) -> None:
        self._run = run
        self._forget()

    def _forget(self) -> None:
        self.photos: WatchedPhotos | None = None
        self._lines: list[tuple[Phase, int, int, int]] = []  # phase, epoch, first byte, bytes
        self._offset = 0

    def look(self) -> list[tuple[Phase, int]]:
        """Every epoch whose line is there, in order. Reads what is new."""
        try:
            with self._run.judged.open("rb") as file:
                if file.seek(0, 2) < self._offset:
                    self._forget()  # it was begun again
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            self._forget()
            data = b""
        for line in data[: data.rfind(b"\n") + 1].splitlines(keepends=True):
            self._take(line.rstrip(b"\n"), self._offset)
            self._offset += len(line)
        return [(phase, epoch) for phase, epoch, _, _ in self._lines]

    def _take(self, line: bytes, start: int) -> None:
        if start == 0:
            self.photos = photos_of(line)
            return
        found = LINE.fullmatch(line)
        if found is None or found[1].decode() not in TRAINING_PHASES or self.photos is None:
            return
        phase, epoch = cast(Phase, found[1].decode()), int(found[2])
        while self._lines and _place(*self._lines[-1][:2]) >= _place(phase, epoch):
            self._lines.pop()  # told again, and so will be all that came after it
        self._lines.append((phase, epoch, start, len(line)))

    def read(self, phase: Phase, epoch: int) -> WatchedEpoch | None:
        """What that epoch said; None where nobody wrote it."""
        known = (line for line in reversed(self._lines) if line[:2] == (phase, epoch))
        place = next(known, None)
        if place is None or self.photos is None:
            return None
        try:
            with self._run.judged.open("rb") as file:
                file.seek(place[2])
                return _epoch_of(file.read(place[3]), self.photos)
        except OSError:
            return None


def photos_of(line: bytes) -> WatchedPhotos | None:
    """The photos that a first line names; None where it is torn or of a newer Graft."""
    try:
        return WatchedPhotos.from_json(json.loads(line))
    except (ValueError, KeyError, TypeError):
        return None


def _epoch_of(line: bytes, photos: WatchedPhotos) -> WatchedEpoch | None:
    try:
        data = json.loads(line)
    except ValueError:
        return None
    said = tuple(data["said"])
    if len(said) != len(photos.samples):
        return None
    sure, true = (tuple(share / UNIT for share in data[name]) for name in ("sure", "true"))
    return WatchedEpoch(data["phase"], data["epoch"], said, sure, true)


def _place(phase: Phase, epoch: int) -> tuple[int, int]:
    return TRAINING_PHASES.index(phase), epoch


def choose(targets: Sequence[int], said: Sequence[int], seed: int, count: int = SHOWN) -> tuple[int, ...]:
    """Places of the few photos to watch: evenly over the classes, about half of them wrong at first where any were.

    ``said`` are the first epoch's answers. With more classes than ``count``, the seed draws which classes are seen.
    """
    draw = random.Random(seed)
    classes = sorted(set(targets))
    draw.shuffle(classes)
    left: dict[int, dict[bool, list[int]]] = {one: {True: [], False: []} for one in classes}
    places = list(range(len(targets)))
    draw.shuffle(places)
    for place in places:
        left[targets[place]][said[place] == targets[place]].append(place)
    chosen: list[int] = []
    for turn in range(count):
        for number, one in enumerate(classes):
            right = (turn + number) % 2 == 1
            pile = left[one][right] or left[one][not right]
            if pile and len(chosen) < count:
                chosen.append(pile.pop())
    return tuple(sorted(chosen, key=lambda place: (targets[place], place)))
