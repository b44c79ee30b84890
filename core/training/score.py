"""Running totals of loss and accuracy, and which epoch was the best so far."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor
from torch.nn import functional as F

from core.events import Phase


@dataclass(frozen=True)
class Score:
    """Sums over photos; ``loss`` (mean cross-entropy in nats) and ``accuracy`` (share right) are read off them."""

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


def score_logits(logits: Tensor, targets: Tensor) -> Score:
    """Score (n, classes) logits against (n,) targets by plain cross-entropy.

    Also where training smooths its labels: else the two curves of a chart would not be of the same quantity.
    """
    loss = F.cross_entropy(logits.float(), targets)
    right = int((logits.argmax(dim=1) == targets).sum())
    return Score(float(loss) * len(targets), right, len(targets))


@dataclass
class Best:
    """The best epoch over all phases: the lowest validation loss, which moves long before accuracy does.

    ``tensors`` are the weights of that epoch; ``stale`` counts epochs since, within the phase.
    """

    phase: Phase | None = None
    epoch: int = 0
    loss: float = math.inf
    accuracy: float | None = None
    stale: int = 0
    tensors: dict[str, Tensor] = field(default_factory=dict)

    def update(self, phase: Phase, epoch: int, score: Score) -> bool:
        """Take note of an epoch's score; True where it is the new best."""
        if score.loss < self.loss:
            self.phase, self.epoch, self.loss, self.accuracy, self.stale = phase, epoch, score.loss, score.accuracy, 0
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
        }

    def restore(self, data: Mapping[str, object]) -> None:
        self.phase = data["phase"]  # type: ignore[assignment]
        self.epoch = int(str(data["epoch"]))
        self.loss = math.inf if data["loss"] is None else float(str(data["loss"]))
        self.accuracy = None if data["accuracy"] is None else float(str(data["accuracy"]))
        self.stale = int(str(data["stale"]))
