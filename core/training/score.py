"""Running totals of loss and accuracy, and which epoch was the best so far."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from core.events import Phase, finite


@dataclass(frozen=True)
class Score:
    """Sums over photos; ``loss`` (the mean) and ``accuracy`` (share right) are read off them."""

    loss_sum: float = 0.0
    right: int = 0
    count: int = 0

    @property
    def loss(self) -> float:
        return self.loss_sum / max(1, self.count)

    @property
    def accuracy(self) -> float:
        return self.right / max(1, self.count)

    def __add__(self, other: "Score") -> "Score":
        return Score(self.loss_sum + other.loss_sum, self.right + other.right, self.count + other.count)


class Tally:
    """Adds up batches on the device: asking a GPU for a number after each of them would make it wait."""

    def __init__(self, device: torch.device) -> None:
        self._loss = torch.zeros((), device=device, dtype=torch.float64 if device.type != "mps" else torch.float32)
        self._right = torch.zeros((), device=device, dtype=torch.int64)
        self._penalty: Tensor | None = None
        self._steps = self.count = 0

    def add(self, losses: Tensor, logits: Tensor, targets: Tensor) -> None:
        """(n,) losses, (n, classes) logits, (n,) targets."""
        self._loss += losses.sum()
        self._right += (logits.argmax(dim=1) == targets).sum()
        self.count += len(targets)

    def add_penalty(self, value: Tensor) -> None:
        """λR(θ) before a step."""
        self._penalty = value if self._penalty is None else self._penalty + value
        self._steps += 1

    def score(self) -> Score:
        return Score(float(self._loss), int(self._right), self.count)

    @property
    def penalty(self) -> float | None:
        """The mean over the steps; None where there was none, or it is no number."""
        return None if self._penalty is None else finite(float(self._penalty) / self._steps)


@dataclass
class Best:
    """The best epoch over all phases: the lowest validation loss, which moves long before accuracy does.

    ``tensors`` are the weights of that epoch, ``logits`` what they said about the validation photos, in their order;
    ``stale`` counts epochs since, within the phase. ``chosen`` are the weights that said it, where all learnt once more
    since.
    """

    phase: Phase | None = None
    epoch: int = 0
    loss: float = math.inf
    accuracy: float | None = None
    stale: int = 0
    head_epoch: int = 0  # the head's best, which fine-tuning began from
    tensors: dict[str, Tensor] = field(default_factory=dict)
    logits: Tensor | None = None
    chosen: dict[str, Tensor] | None = None

    def update(self, phase: Phase, epoch: int, score: Score) -> bool:
        """Take note of an epoch's score; True where it is the new best."""
        if score.loss < self.loss:
            self.phase, self.epoch, self.loss, self.accuracy, self.stale = phase, epoch, score.loss, score.accuracy, 0
            self.head_epoch = epoch if phase == "head" else self.head_epoch
            return True
        self.stale += 1
        return False

    def to_json(self) -> dict[str, object]:
        loss = self.loss if math.isfinite(self.loss) else None
        return {
            "phase": self.phase,
            "epoch": self.epoch,
            "loss": loss,
            "accuracy": self.accuracy,
            "stale": self.stale,
            "head_epoch": self.head_epoch,
        }

    def restore(self, data: Mapping[str, object]) -> None:
        self.phase = data["phase"]  # type: ignore[assignment]
        self.epoch = int(str(data["epoch"]))
        self.loss = math.inf if data["loss"] is None else float(str(data["loss"]))
        self.accuracy = None if data["accuracy"] is None else float(str(data["accuracy"]))
        self.stale = int(str(data["stale"]))
        self.head_epoch = int(str(data["head_epoch"]))
