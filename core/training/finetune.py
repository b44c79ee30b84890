"""Fine-tuning: from the converged head on, the stages that are not frozen learn as well, gently.

The head comes first, so that a random one can't spoil the pretrained stages (LP-FT, Kumar et al. 2022, section 4).
Earlier stages hold more general features and get smaller steps (discriminative learning rates, Howard and Ruder 2018,
section 3.1). The rate warms up for a tenth of the steps and then falls as a half cosine (Loshchilov and Hutter 2017).
"""

import math
import random
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.config import TrainConfig
from core.errors import ConfigError
from core.events import EpochEnded, Progress, finite
from core.models.build import Network
from core.training.augment import augmented, centre
from core.training.checkpoint import Checkpoint
from core.training.device import memory_megabytes
from core.training.head import flat_optimizer, restore_optimizer
from core.training.kept import normalised
from core.training.rows import Rows
from core.training.score import Best, Score, score_logits

STAGE_DECAY = 0.5  # each earlier stage learns at half the rate of the one after it
HEAD_BOOST = 10.0  # the head is new; its weights may move faster than pretrained ones
WARM_UP_SHARE = 0.1
LARGEST_GRADIENT = 1.0  # gradients are scaled down to this norm: one odd batch can't throw the weights away
JUDGE_BATCH = 64


@dataclass(frozen=True)
class Activations:
    """What fine-tuning starts from: rows kept at the freeze boundary, one entry a view, and their targets."""

    train: tuple[Rows, ...]
    train_targets: Tensor
    val: Rows
    val_targets: Tensor


class FineTuner:
    """Holds a network while its last stages and head are trained."""

    def __init__(
        self, config: TrainConfig, network: Network, boundary: int, data: Activations, device: torch.device
    ) -> None:
        self.config, self.network, self.boundary, self.data, self.device = config, network, boundary, data, device
        self.steps_an_epoch = math.ceil(len(data.train_targets) / config.batch_size)
        self.optimizer = _optimizer(config, network, boundary)
        self.rates = [float(group["lr"]) for group in self.optimizer.param_groups]

    def run(
        self, *, resumed: Checkpoint | None, best: Best, save: Callable[[Checkpoint], None], stop: Callable[[], bool]
    ) -> Iterator[EpochEnded | Progress]:
        """Yield progress between batches and an event an epoch; returns why it ended."""
        best.stale = 0
        first = self._restore(best, resumed) if resumed is not None else 0
        for epoch in range(first + 1, self.config.epochs + 1):
            if best.stale >= self.config.patience:
                return "patience"
            began = time.monotonic()
            learnt = Score()
            for step, score in enumerate(self._train(epoch)):
                learnt += score
                if not math.isfinite(learnt.loss):
                    return self._diverged(best)
                if stop():
                    return "stopped"  # the half epoch is dropped, so that a resume repeats it whole
                yield self._progress(epoch, step + 1, learnt.count, time.monotonic() - began)
            judged = self._judge()
            better = best.update("finetune", epoch, judged or learnt)
            if better:
                best.tensors = self.trained()
            yield self._event(epoch, learnt, judged, time.monotonic() - began, better)
            save(self._checkpoint(epoch, best))
        return "complete"

    def trained(self) -> dict[str, Tensor]:
        """Copies of the weights that fine-tuning may change: trainable stages, with their statistics, and head."""
        kept = tuple(f"stages.{i}." for i in range(self.boundary, len(self.network.stages)))
        state = self.network.state_dict()
        return {name: value.clone() for name, value in state.items() if name.startswith((*kept, "head."))}

    def _train(self, epoch: int) -> Iterator[Score]:
        self.network.train()
        seed = self.config.seed * 100_003 + epoch
        torch.manual_seed(seed)  # dropout and stochastic depth
        order = torch.randperm(len(self.data.train_targets), generator=torch.Generator().manual_seed(seed))
        for step, chosen in enumerate(order.split(self.config.batch_size)):
            if len(chosen) == 1 and step:
                continue  # BatchNorm can't take the variance of one photo
            self._set_rates((epoch - 1) * self.steps_an_epoch + step)
            yield self._step(chosen, epoch)

    def _step(self, chosen: Tensor, epoch: int) -> Score:
        targets = self.data.train_targets[chosen].to(self.device)
        x = self._train_batch(chosen.numpy(), epoch)
        with self._precision():
            logits = self.network.head(self.network.run_stages(x, self.boundary))
            loss = F.cross_entropy(logits.float(), targets, label_smoothing=self.config.label_smoothing)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self._trainable(), LARGEST_GRADIENT)
        self.optimizer.step()
        return score_logits(logits.detach().float(), targets)

    def _judge(self) -> Score | None:
        if not len(self.data.val_targets):
            return None
        self.network.eval()
        total = Score()
        with torch.inference_mode(), self._precision():
            for start in range(0, len(self.data.val), JUDGE_BATCH):
                x = self._val_batch(slice(start, start + JUDGE_BATCH))
                logits = self.network.head(self.network.run_stages(x, self.boundary)).float()
                total += score_logits(logits, self.data.val_targets[start : start + JUDGE_BATCH].to(self.device))
        return total

    def _train_batch(self, chosen: np.ndarray, epoch: int) -> Tensor:
        draws = [random.Random(f"{self.config.seed} {epoch} {place}") for place in chosen]
        if self.boundary:
            views = [draw.randrange(len(self.data.train)) for draw in draws]
            rows = [self.data.train[view][np.array([place])] for view, place in zip(views, chosen, strict=True)]
            return _activations(np.concatenate(rows), self.device)
        squares = torch.from_numpy(self.data.train[0][chosen]).to(self.device).permute(0, 3, 1, 2)
        preprocessing = self.network.backbone.preprocessing
        return normalised(augmented(squares, preprocessing.crop, self.config.augment, draws), preprocessing)

    def _val_batch(self, which: slice) -> Tensor:
        rows = self.data.val[which]
        if self.boundary:
            return _activations(rows, self.device)
        preprocessing = self.network.backbone.preprocessing
        squares = torch.from_numpy(rows).to(self.device).permute(0, 3, 1, 2)
        return normalised(centre(squares, preprocessing.crop), preprocessing)

    def _precision(self) -> AbstractContextManager[object]:
        """bfloat16 where a GPU computes it natively: as wide in range as float32, so no loss scaling is needed."""
        if self.device.type == "cuda" and torch.cuda.is_bf16_supported():
            return torch.autocast("cuda", torch.bfloat16)
        return nullcontext()

    def _set_rates(self, step: int) -> None:
        share = schedule(step, self.config.epochs * self.steps_an_epoch)
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * share

    def _trainable(self) -> list[nn.Parameter]:
        return [parameter for group in self.optimizer.param_groups for parameter in group["params"]]

    def _progress(self, epoch: int, step: int, photos: int, seconds: float) -> Progress:
        """In photos over all epochs, so that the time left covers the whole phase."""
        per_epoch = len(self.data.train_targets)
        return Progress(
            phase="finetune",
            done=(epoch - 1) * per_epoch + photos,
            total=self.config.epochs * per_epoch,
            per_second=photos / max(seconds, 1e-9),
            memory_megabytes=memory_megabytes(self.device),
        )

    def _event(self, epoch: int, learnt: Score, judged: Score | None, seconds: float, better: bool) -> EpochEnded:
        return EpochEnded(
            phase="finetune",
            epoch=epoch,
            of=self.config.epochs,
            train_loss=learnt.loss,
            train_accuracy=learnt.accuracy,
            val_loss=finite(judged.loss) if judged else None,
            val_accuracy=judged.accuracy if judged else None,
            learning_rate=self.config.learning_rate * schedule(epoch * self.steps_an_epoch - 1, self._all_steps()),
            seconds=seconds,
            photos_per_second=learnt.count / max(seconds, 1e-9),
            memory_megabytes=memory_megabytes(self.device),
            best=better,
        )

    def _all_steps(self) -> int:
        return self.config.epochs * self.steps_an_epoch

    def _diverged(self, best: Best) -> str:
        if best.phase is None:
            raise ConfigError("training.diverged", name="learning_rate", value=self.config.learning_rate)
        return "diverged"

    def _checkpoint(self, epoch: int, best: Best) -> Checkpoint:
        tensors = {f"now.{name}": value for name, value in self.trained().items()}
        tensors |= flat_optimizer(self.optimizer)
        return Checkpoint(tensors, {"phase": "finetune", "epoch": epoch, "best": best.to_json()})

    def _restore(self, best: Best, saved: Checkpoint) -> int:
        now = {name.removeprefix("now."): value for name, value in saved.tensors.items() if name.startswith("now.")}
        self.network.load_state_dict(now, strict=False)
        restore_optimizer(self.optimizer, saved.tensors)
        best.restore(saved.meta["best"])  # type: ignore[arg-type]
        return int(str(saved.meta["epoch"]))


def schedule(step: int, steps: int) -> float:
    """The share of the full learning rate at ``step``, counted from 0: a straight climb, then half a cosine to 0."""
    warm_up = max(1, round(steps * WARM_UP_SHARE))
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))


def _optimizer(config: TrainConfig, network: Network, boundary: int) -> torch.optim.Optimizer:
    groups: list[dict[str, object]] = []
    last = len(network.stages) - 1
    for place in range(boundary, len(network.stages)):
        rate = config.learning_rate * STAGE_DECAY ** (last - place)
        groups.append({"params": [p for p in network.stages[place].parameters() if p.requires_grad], "lr": rate})
    boost = HEAD_BOOST if config.weights == "pretrained" else 1.0
    groups.append({"params": list(network.head.parameters()), "lr": config.learning_rate * boost})
    groups = [group for group in groups if group["params"]]
    if config.optimizer in ("sgd", "momentum"):
        return torch.optim.SGD(groups, config.learning_rate, momentum=0.9, weight_decay=config.weight_decay)
    return torch.optim.AdamW(groups, config.learning_rate, weight_decay=config.weight_decay)


def _activations(rows: np.ndarray, device: torch.device) -> Tensor:
    x = torch.from_numpy(rows).to(device).float()
    return x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x
