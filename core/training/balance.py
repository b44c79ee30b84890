"""The order in which photos are seen, and what is done where one class has many more of them than another."""

import torch
from torch import Tensor

from core.config import TrainConfig
from core.training.objective import class_weights


class Order:
    """Called with an epoch: which training photos it sees, in which order."""

    def __init__(self, config: TrainConfig, targets: Tensor, classes: int) -> None:
        self.balance, self._seed = config.class_balance, config.seed
        self.count = len(targets)
        self._weights = class_weights(targets, classes)
        self._targets = targets

    def seed(self, epoch: int) -> int:
        """One for each epoch, from the run's."""
        return self._seed * 100_003 + epoch

    def class_weights(self, device: torch.device) -> Tensor | None:
        """What the loss multiplies a class by, where the settings say so."""
        return self._weights.to(device) if self.balance == "weights" else None

    def __call__(self, epoch: int) -> Tensor:
        """(photos,) int64: each once, or drawn with replacement so that every class is as frequent."""
        generator = torch.Generator().manual_seed(self.seed(epoch))
        if self.balance == "sampling":
            chances = self._weights[self._targets]
            return torch.multinomial(chances, self.count, replacement=True, generator=generator)
        return torch.randperm(self.count, generator=generator)
