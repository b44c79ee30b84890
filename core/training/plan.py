"""What a training loop is told: which part learns, for how long and how, and where its photos come from."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor

from core.config import Schedule
from core.events import Phase
from core.training.precision import Way


@dataclass(frozen=True)
class Plan:
    """What differs between the phases."""

    phase: Phase
    first_stage: int  # what trains: the stages from here on, and the head
    epochs: int
    batch_size: int
    patience: int
    schedule: Schedule
    warm_up: float
    judged_at_once: int  # validation photos
    rate_name: str  # the setting to lower where the loss becomes infinite
    until: int | None = None  # the epoch to end with, though the schedule is made for more
    way: Way = field(default_factory=Way)  # how it computes

    @property
    def last_epoch(self) -> int:
        return self.epochs if self.until is None else self.until


class Photos(Protocol):
    """What leaves stage ``first_stage - 1``, on the device, and the targets."""

    train_targets: Tensor  # on the CPU
    val_count: int

    def train(self, chosen: Tensor, epoch: int) -> Tensor: ...
    def val(self, at_once: int) -> Iterator[tuple[Tensor, Tensor]]: ...
