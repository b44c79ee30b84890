"""What a run tells while it works: small frozen dataclasses, one JSON line each, in the order they happened."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Literal

Phase = Literal["weights", "photos", "head", "finetune", "refit", "test"]
TRAINING_PHASES: tuple[Phase, ...] = ("head", "finetune")


@dataclass(frozen=True)
class Event:
    """``at`` is the time of writing in seconds since 1970; the writer sets it."""

    at: float = 0.0


@dataclass(frozen=True)
class Started(Event):
    """The worker has its settings, its device and its weights. Written again after a resume."""

    device: str = ""
    device_name: str = ""
    versions: Mapping[str, str] | None = None
    resumed: bool = False


@dataclass(frozen=True)
class WeightsReady(Event):
    name: str = ""
    source: str = ""
    sha256: str = ""
    trainable_parameters: int = 0
    frozen_stages: int = 0


@dataclass(frozen=True)
class PhaseStarted(Event):
    """``total`` counts photos (``photos``, ``test``), bytes (``weights``) or epochs (in all other phases).

    ``done`` is above zero where a resume goes on: training epochs after it are told again.
    """

    phase: Phase = "photos"
    total: int = 0
    done: int = 0
    precision: str = ""  # of a training phase: "float32" or "bfloat16"


@dataclass(frozen=True)
class Progress(Event):
    """How far the current phase is; ``per_second`` in units of ``total``, 0 while unknown."""

    phase: Phase = "photos"
    done: int = 0
    total: int = 0
    per_second: float = 0.0
    memory_megabytes: float = 0.0


@dataclass(frozen=True)
class EpochEnded(Event):
    """One pass over the training photos. Losses are means a photo of the run's own L(θ); accuracies in [0, 1].

    Validation values are None where there is no validation photo. ``penalty`` is λR(θ), which the losses leave out;
    None where the run has no regulariser.
    """

    phase: Phase = "head"
    epoch: int = 0  # counted from 1 within its phase
    of: int = 0
    train_loss: float = 0.0
    train_accuracy: float = 0.0
    val_loss: float | None = None
    val_accuracy: float | None = None
    learning_rate: float = 0.0
    seconds: float = 0.0
    photos_per_second: float = 0.0
    memory_megabytes: float = 0.0
    best: bool = False  # the best so far over all phases
    penalty: float | None = None


@dataclass(frozen=True)
class Notice(Event):
    """Something the user should know, though the run goes on. ``key`` is an entry of the catalogue."""

    key: str = ""
    values: Mapping[str, object] | None = None


@dataclass(frozen=True)
class Evaluated(Event):
    """The score on the test part; the whole of it is in the run's metrics file."""

    correct: int = 0
    total: int = 0
    accuracy: float = 0.0


@dataclass(frozen=True)
class Ended(Event):
    """The worker is done. ``reason``: every epoch was run, no better epoch came, the user stopped it, or NaN."""

    reason: Literal["complete", "patience", "stopped", "diverged"] = "complete"
    best_phase: Phase | None = None
    best_epoch: int = 0
    best_val_accuracy: float | None = None
    seconds: Mapping[str, float] | None = None  # where the time went


@dataclass(frozen=True)
class Failed(Event):
    """The run can't go on. ``error`` is a CoreError as JSON, or None for a mistake of ours (see worker.log)."""

    error: Mapping[str, object] | None = None
    detail: str = ""


KINDS: dict[str, type[Event]] = {
    kind.__name__: kind
    for kind in (Started, WeightsReady, PhaseStarted, Progress, EpochEnded, Notice, Evaluated, Ended, Failed)
}


def to_line(event: Event) -> str:
    """One JSON line without its newline. Raises ValueError on NaN or infinity, which JSON does not know."""
    return json.dumps({"kind": type(event).__name__, **asdict(event)}, allow_nan=False, ensure_ascii=False)


def from_line(line: str) -> Event | None:
    """The event on a line; None for a kind a newer Graft wrote, whose unknown fields are skipped as well."""
    data = json.loads(line)
    kind = KINDS.get(data.pop("kind", ""))
    if kind is None:
        return None
    known = {field.name for field in fields(kind)}
    return kind(**{name: value for name, value in data.items() if name in known})


def finite(value: float) -> float | None:
    """``value``, or None where it is NaN or infinite: an event can't hold those."""
    return value if math.isfinite(value) else None
