"""How steps are taken, how their size changes over a phase, and an optimiser's memory as named tensors."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from core.config import Schedule, TrainConfig
from core.training.eager import spare_the_compiler

# PyTorch's transfer learning tutorial: StepLR(step_size=7, gamma=0.1).
STEP_EPOCHS = 7
STEP_FACTOR = 0.1

Groups = list[dict[str, Any]]  # parameters with a learning rate each


def make_optimizer(config: TrainConfig, groups: Groups) -> torch.optim.Optimizer:
    """Weight decay is decoupled from the step in AdamW (Loshchilov and Hutter 2019) and part of the gradient elsewhere.

    Gradient descent is SGD whose one step an epoch sees every photo; the loop does that.
    """
    spare_the_compiler()
    rate = float(groups[0]["lr"])
    match config.optimizer:
        case "adamw":
            return torch.optim.AdamW(groups, rate, weight_decay=config.weight_decay)
        case "adam":
            return torch.optim.Adam(groups, rate, weight_decay=config.weight_decay)
        case "momentum":
            return torch.optim.SGD(groups, rate, momentum=config.momentum, weight_decay=config.weight_decay)
        case "sgd" | "gradient_descent":
            return torch.optim.SGD(groups, rate, weight_decay=config.weight_decay)


def rate_share(schedule: Schedule, step: int, steps: int, epoch: int, warm_up: float) -> float:
    """The share of the full learning rate at ``step`` of ``steps``, counted from 0, in ``epoch``, counted from 1.

    A straight climb over the first ``warm_up`` of the steps; then constant, half a cosine down to 0 (Loshchilov and
    Hutter 2017), or a tenth after every seven epochs.
    """
    climb = round(steps * warm_up)
    if step < climb:
        return (step + 1) / climb
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * (step - climb) / max(1, steps - climb)))
    return STEP_FACTOR ** ((epoch - 1) // STEP_EPOCHS) if schedule == "step" else 1.0


def flat_optimizer(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """An optimiser's state as named tensors: ``optimizer.<parameter>.<name>``."""
    state = optimizer.state_dict()["state"]
    return {
        f"optimizer.{place}.{name}": value
        for place, values in state.items()
        for name, value in values.items()
        if isinstance(value, Tensor)
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put back what ``flat_optimizer`` took out; settings such as learning rates come from the config again."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, place, key = name.split(".", 2)
            state.setdefault(int(place), {})[key] = value
    if state:
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def parameters_of(optimizer: torch.optim.Optimizer) -> Iterable[torch.nn.Parameter]:
    return (parameter for group in optimizer.param_groups for parameter in group["params"])
