"""Models in memory, shared by the pages and the routes beside them: three at most, the longest unused goes first."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from core.runs import RunDirectory

if TYPE_CHECKING:  # it brings torch along
    from core.inference.predictor import Predictor

MOST = 3  # of the largest backbone 1.2 GB together


@dataclass
class _Place:
    """Where one model is, or will be. Its lock is held while it is loaded: others wait instead of loading it too."""

    stamp: tuple[int, int]
    lock: Lock = field(default_factory=Lock)
    predictor: Predictor | None = None


class Models:
    """At most ``most`` predictors. A run that has another model than last time is loaded anew."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._places: OrderedDict[Path, _Place] = OrderedDict()
        self._lock = Lock()

    def get(self, run: RunDirectory) -> Predictor:
        """The run's model, loaded once. RunError while it has none. Torch is imported here and not before."""
        from core.inference.predictor import Predictor

        stamp = model_stamp(run)
        with self._lock:
            place = self._places.get(run.path)
            if place is None or place.stamp != stamp:
                place = self._places[run.path] = _Place(stamp)
            self._places.move_to_end(run.path)
            while len(self._places) > self._most:
                self._places.popitem(last=False)
        with place.lock:
            if place.predictor is None:
                place.predictor = Predictor.load(run)
            return place.predictor


def model_stamp(run: RunDirectory) -> tuple[int, int]:
    """Changes with the model and with what it knows of its training photos: a resumed run writes both anew."""
    return _changed(run.model), _changed(run.known)


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


MODELS = Models()
