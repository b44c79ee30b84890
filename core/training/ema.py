"""A running average of the weights over the steps, often a little better than the last ones.

Source: Polyak and Juditsky 1992; the slower start, min(decay, (1 + t) / (10 + t)), as in TensorFlow's
ExponentialMovingAverage.
"""

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor


class Average:
    """Shadows of named tensors. Counters and other whole numbers are copied, not averaged."""

    def __init__(self, decay: float, state: Mapping[str, Tensor]) -> None:
        self.decay = decay
        self.tensors = {name: value.detach().clone() for name, value in state.items()}
        self.steps = torch.zeros((), dtype=torch.int64)

    def follow(self, state: Mapping[str, Tensor]) -> None:
        """One step further."""
        self.steps += 1
        decay = min(self.decay, (1 + int(self.steps)) / (10 + int(self.steps)))
        for name, value in state.items():
            shadow = self.tensors[name]
            take = partial(shadow.lerp_, weight=1 - decay) if shadow.is_floating_point() else shadow.copy_
            take(value.detach())

    def saved(self) -> dict[str, Tensor]:
        return {**self.tensors, "steps": self.steps}

    def take(self, tensors: Mapping[str, Tensor], device: torch.device) -> None:
        """Go on from what ``saved`` gave."""
        self.steps = tensors["steps"].clone()
        self.tensors = {name: value.to(device) for name, value in tensors.items() if name != "steps"}
