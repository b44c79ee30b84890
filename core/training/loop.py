"""One phase of training, whichever: the head on kept features, or the last stages and the head on kept activations.

Both are the same loop over another beginning. It steps, judges each epoch on the validation photos, keeps the best,
ends when nothing better comes, and can be taken up again from a checkpoint with the very same result.
"""

import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from core.config import TrainConfig
from core.errors import ConfigError
from core.events import EpochEnded, Notice, Phase, Progress, finite
from core.models.build import Network
from core.training.balance import Order
from core.training.checkpoint import Checkpoint
from core.training.device import memory_megabytes, ran_out, to_device
from core.training.eager import take_step
from core.training.ema import Average
from core.training.mixing import Mixer
from core.training.objective import Objective, Penalty
from core.training.optimizers import Groups, flat_optimizer, make_optimizer, rate_share, restore_optimizer
from core.training.plan import Photos, Plan
from core.training.score import Best, Score, Tally

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
REPORT_SECONDS = 0.3  # between two progress events


class Loop:
    """Holds a network while a part of it is trained."""

    def __init__(
        self, config: TrainConfig, plan: Plan, network: Network, groups: Groups, photos: Photos, device: torch.device
    ) -> None:
        self.config, self.plan, self.network, self.photos, self.device = config, plan, network, photos, device
        self.batch_size = plan.batch_size
        self._autocast = plan.way.autocast(device)
        self.classes = network.classes
        self.optimizer = make_optimizer(config, groups)
        self.rates = [float(group["lr"]) for group in self.optimizer.param_groups]
        self.learns = list(network.stages)[plan.first_stage :]
        self.order = Order(config, photos.train_targets, self.classes)
        self.objective = Objective(config, self.order.class_weights(device))
        named = [(name, value) for name, value in network.named_parameters() if name.startswith(self._prefixes())]
        # L2-SP draws copied stages to where they started, and what is new to 0: the head, and stages begun from noise.
        copied = tuple(f"stages.{place}." for place in range(network.copied_stages))
        start = {name: value for name, value in named if name.startswith(copied)}
        self.penalty = Penalty(config, named, start)
        self.parameters = [value for _, value in named if value.requires_grad]
        self.mixer = Mixer(config)
        self.average = Average(config.ema, self._state()) if config.ema else None
        self._to_training()
        norms = [module for stage in self.learns for module in stage.modules() if isinstance(module, BATCH_NORMS)]
        self.lonely_photo_fails = any(module.training for module in norms)

    def run(
        self,
        *,
        resumed: Checkpoint | None,
        best: Best,
        save: Callable[[Callable[[], Checkpoint]], None],
        stop: Callable[[], bool],
        judged: Callable[[Phase, int, Tensor], None] = lambda phase, epoch, logits: None,
    ) -> Generator[EpochEnded | Progress | Notice, None, str]:
        """Yield progress between batches and an event an epoch; returns why it ended.

        ``save`` gets something that makes a checkpoint, after every epoch, and decides whether it is worth the time.
        ``judged`` gets what an epoch said about the validation photos, before that epoch's event.
        """
        best.stale = 0
        if best.tensors:  # an earlier phase's: from here on the best is a state of all that this one may change
            best.tensors = {**self.result(), **best.tensors}
        first = self._restore(best, resumed) if resumed is not None else 0
        self.network.eval()  # frozen stages stay so: their statistics are part of what was kept
        for epoch in range(first + 1, self.plan.last_epoch + 1):
            if best.stale >= self.plan.patience:
                return "patience"
            began = time.monotonic()
            tally = yield from self._learn(epoch, stop)
            if tally is None:
                return "stopped"  # the half epoch is dropped, so that a resume repeats it whole
            learnt = tally.score()
            if not math.isfinite(learnt.loss):
                return self._diverged(best)
            score, logits = self._judge()
            better = best.update(self.plan.phase, epoch, score or learnt)
            if better:
                best.tensors, best.logits = self.result(), logits
            if logits is not None:
                judged(self.plan.phase, epoch, logits)
            yield self._event(epoch, learnt, score, tally.penalty, time.monotonic() - began, better)
            save(lambda done=epoch: self.checkpoint(done, best))
        return "complete"

    def _learn(self, epoch: int, stop: Callable[[], bool]) -> Generator[Progress | Notice, None, Tally | None]:
        """One epoch, begun again with half the batch where memory runs out; None where the user stopped it."""
        while True:
            try:
                return (yield from self._epoch(epoch, stop))
            except (RuntimeError, MemoryError) as error:
                if not ran_out(error):
                    raise
            yield self._halved()

    def _epoch(self, epoch: int, stop: Callable[[], bool]) -> Generator[Progress, None, Tally | None]:
        """In an order that depends on the seed and the epoch alone, so that a resume repeats it."""
        torch.manual_seed(self.order.seed(epoch))  # dropout and stochastic depth
        tally = Tally(self.device)
        began = reported = time.monotonic()
        self._to_training()
        for step, chunks in enumerate(self._steps(epoch)):
            if stop():
                return None
            self._set_rates(epoch, step)
            self._step(chunks, epoch, step, tally)
            if (now := time.monotonic()) - reported >= REPORT_SECONDS:
                reported = now
                yield self._progress(epoch, tally.count, now - began)
                if not math.isfinite(tally.score().loss):
                    break
        return tally

    def _to_training(self) -> None:
        for place, stage in enumerate(self.learns, self.plan.first_stage):
            stage.train()
            if self.config.norm_statistics == "kept" and place < self.network.copied_stages:
                for module in stage.modules():
                    if isinstance(module, BATCH_NORMS):
                        module.eval()
        self.network.head.train()

    def _steps(self, epoch: int) -> Iterator[list[Tensor]]:
        """The photos of each step, in chunks that fit into memory at once: one, but for full-batch descent."""
        chunks = list(self.order(epoch).split(self.batch_size))
        whole = self.config.optimizer == "gradient_descent"
        if len(chunks) > 1 and len(chunks[-1]) == 1 and self.lonely_photo_fails:
            lonely = chunks.pop()  # BatchNorm can't take the variance of one photo; another epoch shows it
            if whole:
                chunks[-1] = torch.cat([chunks[-1], lonely])
        if whole:
            yield chunks
        else:
            yield from ([chunk] for chunk in chunks)

    def _step(self, chunks: list[Tensor], epoch: int, step: int, tally: Tally) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        photos = sum(len(chunk) for chunk in chunks)
        for chunk in chunks:
            targets = to_device(self.photos.train_targets[chunk], self.device)
            wanted = self.objective.wanted(targets, self.classes)
            x = self.photos.train(chunk, epoch)
            if self.mixer.acts:
                x, wanted = self.mixer(x, wanted, epoch, step)
            logits = self._forward(x)
            loss = self.objective.mean(logits, wanted) * (len(chunk) / photos)
            loss.backward()  # type: ignore[no-untyped-call]
            tally.add(self.objective.judge(logits.detach(), targets), logits.detach(), targets)
        if self.penalty.acts:
            penalty = self.penalty()
            penalty.backward()  # type: ignore[no-untyped-call]
            tally.add_penalty(penalty.detach())
        if self.config.clip_norm:
            nn.utils.clip_grad_norm_(self.parameters, self.config.clip_norm)
        take_step(self.optimizer)
        if self.average is not None:
            self.average.follow(self._state())

    def _forward(self, x: Tensor) -> Tensor:
        with self._autocast():
            return self.network.head(self.network.run_stages(x, self.plan.first_stage)).float()

    def _judge(self) -> tuple[Score | None, Tensor | None]:
        """On the validation photos, with averaged weights where they are what will be kept; the (n, classes) logits."""
        if not self.photos.val_count:
            return None, None
        for module in (*self.learns, self.network.head):
            module.eval()
        at_once = self.plan.judged_at_once
        while True:
            tally = Tally(self.device)
            said: list[Tensor] = []
            try:
                with self._averaged(), torch.inference_mode():
                    for x, targets in self.photos.val(at_once):
                        logits = self._forward(x)
                        tally.add(self.objective.judge(logits, targets), logits, targets)
                        said.append(logits)
                return tally.score(), torch.cat(said)
            except (RuntimeError, MemoryError) as error:
                if not ran_out(error) or at_once == 1:
                    raise
                at_once //= 2

    @contextmanager
    def _averaged(self) -> Generator[None]:
        if self.average is None:
            yield
            return
        own = {name: value.clone() for name, value in self._state().items()}
        self._put(self.average.tensors)
        try:
            yield
        finally:
            self._put(own)

    def _halved(self) -> Notice:
        """Make room: half the photos a step. Raises ConfigError where one photo is too much already."""
        if self.batch_size == 1:
            raise ConfigError("training.no_memory", device=str(self.device))
        self.batch_size //= 2
        self.optimizer.zero_grad(set_to_none=True)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        return Notice(key="training.notice.halved", values={"batch": self.batch_size, "before": self.batch_size * 2})

    @property
    def weights(self) -> int:
        """How many numbers learn."""
        return sum(parameter.numel() for parameter in self.parameters)

    @property
    def steps_an_epoch(self) -> int:
        return 1 if self.config.optimizer == "gradient_descent" else math.ceil(self.order.count / self.batch_size)

    def _set_rates(self, epoch: int, step: int) -> None:
        share = self._share(epoch, step)
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * share

    def _share(self, epoch: int, step: int) -> float:
        steps = self.steps_an_epoch
        done = (epoch - 1) * steps + step
        return rate_share(self.plan.schedule, done, self.plan.epochs * steps, epoch, self.plan.warm_up)

    def _prefixes(self) -> tuple[str, ...]:
        learning = range(self.plan.first_stage, len(self.network.stages))
        return (*(f"stages.{place}." for place in learning), "head.")

    def _state(self) -> dict[str, Tensor]:
        """What training may change, as it is: trainable stages, with their statistics, and the head."""
        return {k: v for k, v in self.network.state_dict().items() if k.startswith(self._prefixes())}

    def result(self) -> dict[str, Tensor]:
        """Copies of what was trained, as it is now; averaged where the settings say so."""
        now = self.average.tensors if self.average is not None else self._state()
        return {name: value.detach().clone() for name, value in now.items()}

    def _put(self, tensors: Mapping[str, Tensor]) -> None:
        self.network.load_state_dict(dict(tensors), strict=False)

    def _progress(self, epoch: int, photos: int, seconds: float) -> Progress:
        """In photos over all epochs, so that the time left covers the whole phase."""
        per_epoch = self.order.count
        return Progress(
            phase=self.plan.phase,
            done=(epoch - 1) * per_epoch + photos,
            total=self.plan.last_epoch * per_epoch,
            per_second=photos / max(seconds, 1e-9),
            memory_megabytes=memory_megabytes(self.device),
        )

    def _event(
        self, epoch: int, learnt: Score, judged: Score | None, penalty: float | None, seconds: float, better: bool
    ) -> EpochEnded:
        return EpochEnded(
            phase=self.plan.phase,
            epoch=epoch,
            of=self.plan.epochs,
            train_loss=learnt.loss,
            train_accuracy=learnt.accuracy,
            val_loss=finite(judged.loss) if judged else None,
            val_accuracy=judged.accuracy if judged else None,
            learning_rate=max(self.rates) * self._share(epoch, self.steps_an_epoch - 1),
            seconds=seconds,
            photos_per_second=learnt.count / max(seconds, 1e-9),
            memory_megabytes=memory_megabytes(self.device),
            best=better,
            penalty=penalty,
        )

    def _diverged(self, best: Best) -> str:
        if best.phase is None:
            raise ConfigError(
                "training.diverged", name=self.plan.rate_name, value=getattr(self.config, self.plan.rate_name)
            )
        return "diverged"

    def checkpoint(self, epoch: int, best: Best) -> Checkpoint:
        """Everything a resume needs, in one file: what is now, what was best, and the optimiser's memory."""
        tensors = {f"now.{name}": value for name, value in self._state().items()}
        tensors |= {f"best.{name}": value for name, value in best.tensors.items()}
        if self.average is not None:
            tensors |= {f"average.{name}": value for name, value in self.average.saved().items()}
        if best.logits is not None:
            tensors["judged.logits"] = best.logits
        tensors |= flat_optimizer(self.optimizer)
        meta = {"phase": self.plan.phase, "epoch": epoch, "best": best.to_json(), "batch_size": self.batch_size}
        return Checkpoint(tensors, meta)

    def _restore(self, best: Best, saved: Checkpoint) -> int:
        self._put(saved.named("now"))
        if self.average is not None:
            self.average.take(saved.named("average"), self.device)
        restore_optimizer(self.optimizer, saved.tensors)
        best.restore(saved.meta["best"])  # type: ignore[arg-type]
        best.tensors = {name: value.to(self.device) for name, value in saved.named("best").items()}
        best.logits = saved.tensors.get("judged.logits")  # none in a checkpoint of before they were kept
        self.batch_size = int(str(saved.meta["batch_size"]))
        return int(str(saved.meta["epoch"]))
