"""The task-specific layer: a linear head learnt on kept features. Seconds, whatever the backbone.

Features are centred on the training part's mean and divided by one number, the root mean square of what is left, so
that one learning rate suits every backbone. (Dividing each feature by its own deviation instead blows up those that
hardly ever fire: with 200 photos and 1,280 features it cost one to four points on four small photo sets.) Afterwards
the scaling is folded into the head's weights, so that the saved head takes plain features: ``W' = W / scale``,
``b' = b - W' · mean``.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.config import TrainConfig
from core.errors import ConfigError
from core.events import EpochEnded, finite
from core.training.checkpoint import Checkpoint
from core.training.score import Best, Score, score_logits

# Kept features are tiny: larger steps than fine-tuning needs keep the processor busy.
SMALLEST_BATCH = 128
SMALLEST_SCALE = 1e-6  # features that never change are left as they are instead of being divided by nothing


@dataclass(frozen=True)
class Features:
    """(n, width) float32 and (n,) int64; training has one tensor a view, stacked along n."""

    train: Tensor
    train_targets: Tensor
    val: Tensor
    val_targets: Tensor


def train_head(
    config: TrainConfig,
    classes: int,
    data: Features,
    *,
    resumed: Checkpoint | None,
    best: Best,
    save: Callable[[Checkpoint], None],
    should_stop: Callable[[], bool],
) -> Iterator[EpochEnded]:
    """Yield an event an epoch; returns (weight, bias, reason): the best head for plain features and why it ended.

    ``save`` gets a checkpoint after every epoch and decides how often to write.
    """
    mean, scale = _statistics(data.train)
    train, val = (data.train - mean) / scale, (data.val - mean) / scale
    head = _new_head(data.train.shape[1], classes).to(train.device)
    optimizer = _optimizer(config, head)
    first = 0
    if resumed is not None:
        first = _restore(head, optimizer, best, resumed)
    kept = best.tensors or _plain(head, mean, scale)
    reason = "complete"
    for epoch in range(first + 1, config.head_epochs + 1):
        if best.stale >= config.patience:
            reason = "patience"
            break
        began = time.monotonic()
        learnt = _pass(config, head, optimizer, train, data.train_targets, epoch)
        if not math.isfinite(learnt.loss):
            if best.phase is None:
                raise ConfigError("training.diverged", name="head_learning_rate", value=config.head_learning_rate)
            reason = "diverged"
            break
        judged = _judge(head, val, data.val_targets)
        better = best.update("head", epoch, judged or learnt)
        if better:
            kept = best.tensors = _plain(head, mean, scale)
        seconds = time.monotonic() - began
        yield _event(config, epoch, learnt, judged, seconds, len(train), better)
        save(_checkpoint(head, optimizer, best, epoch))
        if should_stop():
            reason = "stopped"
            break
    return kept["head.weight"], kept["head.bias"], reason


def _statistics(features: Tensor) -> tuple[Tensor, Tensor]:
    """(width,) mean and the one scale, a scalar."""
    mean = features.mean(dim=0)
    scale = (features - mean).square().mean().sqrt()
    return mean, scale if scale > SMALLEST_SCALE else torch.ones_like(scale)


def _new_head(width: int, classes: int) -> nn.Linear:
    """All zeros: every class starts equally likely, and the problem is convex, so no symmetry must be broken."""
    head = nn.Linear(width, classes)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return head


def _optimizer(config: TrainConfig, head: nn.Linear) -> torch.optim.Optimizer:
    if config.optimizer in ("sgd", "momentum"):
        return torch.optim.SGD(
            head.parameters(), config.head_learning_rate, momentum=0.9, weight_decay=config.weight_decay
        )
    return torch.optim.AdamW(head.parameters(), config.head_learning_rate, weight_decay=config.weight_decay)


def _pass(
    config: TrainConfig, head: nn.Linear, optimizer: torch.optim.Optimizer, x: Tensor, targets: Tensor, epoch: int
) -> Score:
    """One epoch in an order that depends on the seed and the epoch alone, so that a resume repeats it."""
    generator = torch.Generator().manual_seed(config.seed * 100_003 + epoch)
    torch.manual_seed(config.seed * 100_003 + epoch)  # dropout
    order = torch.randperm(len(x), generator=generator).to(x.device)
    size = max(config.batch_size, SMALLEST_BATCH)
    total = Score()
    for chosen in order.split(size):
        logits = head(F.dropout(x[chosen], config.dropout))
        loss = F.cross_entropy(logits, targets[chosen], label_smoothing=config.label_smoothing)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += score_logits(logits.detach(), targets[chosen])
    return total


def _judge(head: nn.Linear, x: Tensor, targets: Tensor) -> Score | None:
    if not len(x):
        return None
    with torch.inference_mode():
        return score_logits(head(x), targets)


def _plain(head: nn.Linear, mean: Tensor, scale: Tensor) -> dict[str, Tensor]:
    """The head for features as they come."""
    with torch.inference_mode():
        weight = head.weight / scale
        return {"head.weight": weight.clone(), "head.bias": (head.bias - weight @ mean).clone()}


def _event(
    config: TrainConfig, epoch: int, learnt: Score, judged: Score | None, seconds: float, photos: int, better: bool
) -> EpochEnded:
    return EpochEnded(
        phase="head",
        epoch=epoch,
        of=config.head_epochs,
        train_loss=learnt.loss,
        train_accuracy=learnt.accuracy,
        val_loss=finite(judged.loss) if judged else None,
        val_accuracy=judged.accuracy if judged else None,
        learning_rate=config.head_learning_rate,
        seconds=seconds,
        photos_per_second=photos / max(seconds, 1e-9),
        best=better,
    )


def _checkpoint(head: nn.Linear, optimizer: torch.optim.Optimizer, best: Best, epoch: int) -> Checkpoint:
    tensors = {f"now.{name}": value for name, value in head.state_dict().items()}
    tensors |= {f"best.{name}": value for name, value in best.tensors.items()}
    tensors |= flat_optimizer(optimizer)
    return Checkpoint(tensors, {"phase": "head", "epoch": epoch, "best": best.to_json()})


def _restore(head: nn.Linear, optimizer: torch.optim.Optimizer, best: Best, saved: Checkpoint) -> int:
    tensors = saved.tensors
    head.load_state_dict({name: tensors[f"now.{name}"] for name in ("weight", "bias")})
    device = head.weight.device
    best.restore(saved.meta["best"])  # type: ignore[arg-type]
    best.tensors = {name: tensors[f"best.{name}"].to(device) for name in ("head.weight", "head.bias")}
    restore_optimizer(optimizer, tensors)
    return int(str(saved.meta["epoch"]))


def flat_optimizer(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """An optimiser's state as named tensors: ``optimizer.<parameter>.<name>``."""
    state = optimizer.state_dict()["state"]
    return {
        f"optimizer.{place}.{name}": value
        for place, values in state.items()
        for name, value in values.items()
        if isinstance(value, Tensor)
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor] | object) -> None:
    """Put back what ``flat_optimizer`` took out; settings such as learning rates come from the config again."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():  # type: ignore[union-attr]
        if name.startswith("optimizer."):
            _, place, key = name.split(".", 2)
            state.setdefault(int(place), {})[key] = value
    if state:
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
