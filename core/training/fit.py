"""One run from settings to a scored model, as a generator: stopping means not asking for the next event.

The phases: weights → photos (what is frozen runs once) → head → finetune → test. Whatever was done before a crash or
a stop is found again: kept rows by the photo's hash, epochs in ``last.safetensors``.
"""

import json
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from core.config import TrainConfig
from core.data.report import Sample, Split
from core.errors import DataError
from core.events import Ended, Evaluated, Event, Notice, PhaseStarted, Started, WeightsReady
from core.inference.evaluate import evaluate
from core.inference.predictor import ModelCard, Predictor, write_model
from core.models import registry
from core.models.build import Network, build
from core.models.fetch import FetchStopped
from core.models.freeze import freeze, resolve_depth
from core.models.weights import WeightsFile
from core.runs.store import RunDirectory
from core.training import checkpoint
from core.training.augment import distinct_views
from core.training.checkpoint import Checkpoint
from core.training.device import name, pick
from core.training.finetune import Activations, FineTuner
from core.training.head import Features, train_head
from core.training.kept import Kept, Recipe, Stopped, channels_last, keep
from core.training.obtain import obtain_weights
from core.training.rows import Rows
from core.training.score import Best
from core.training.versions import versions
from core.workspace import write_atomically

SAVE_SECONDS = 5.0  # between two checkpoints of the head, whose epochs last milliseconds


@dataclass(frozen=True)
class Folders:
    """Where a run reads and writes besides its own directory."""

    weights: Path
    cache: Path


@dataclass
class _Run:
    """What the phases of one run hand to each other."""

    config: TrainConfig
    split: Split
    directory: RunDirectory
    folders: Folders
    should_stop: Callable[[], bool]
    device: torch.device
    best: Best = field(default_factory=Best)
    seconds: dict[str, float] = field(default_factory=dict)
    saved_at: float = 0.0

    @contextmanager
    def timed(self, phase: str) -> Generator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds[phase] = round(self.seconds.get(phase, 0.0) + time.monotonic() - began, 3)


def fit(
    config: TrainConfig,
    split: Split,
    directory: RunDirectory,
    folders: Folders,
    *,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[Event]:
    """Train, keep the best epoch, score it on the test part. Raises CoreError for what the user can mend."""
    if len(split.classes) < 2 or not split.train:
        raise DataError("training.too_little", classes=len(split.classes), photos=len(split.train))
    run = _Run(config, split, directory, folders, should_stop, pick(config.device))
    resumed = checkpoint.load(directory.last)
    yield Started(
        device=str(run.device), device_name=name(run.device), versions=versions(), resumed=resumed is not None
    )
    with run.timed("weights"):
        try:
            weights = yield from obtain_weights(config, folders.weights, should_stop)
        except FetchStopped:
            yield Ended(reason="stopped", seconds=run.seconds)  # what has arrived is kept for the next start
            return
        backbone = registry.backbone(config.backbone)
        classes = len(split.classes)
        network = build(
            config.backbone, classes, weights=weights, seed=config.seed, dropout=config.dropout, device=run.device
        )
        channels_last(network)
        depth = resolve_depth(config.freeze_depth, len(backbone.stages))
        freeze(network, depth)
    yield WeightsReady(
        name=config.backbone,
        source=weights.source if weights else "scratch",
        sha256=weights.sha256 if weights else "",
        trainable_parameters=sum(p.numel() for p in network.parameters() if p.requires_grad),
        frozen_stages=depth,
    )
    try:
        reason = yield from _learn(run, network, weights, depth, resumed)
    except Stopped:
        reason = "stopped"
    yield from _finish(run, network, weights, reason)


def _learn(
    run: _Run, network: Network, weights: WeightsFile | None, depth: int, resumed: Checkpoint | None
) -> Iterator[Event]:
    """Photos, head and fine-tuning; returns why it ended. ``run.best`` holds the best weights."""
    config = run.config
    finetunes = config.epochs > 0 and depth < len(network.stages)
    if weights is None and not finetunes:
        raise DataError("training.scratch_needs_epochs")
    train, val = yield from _keep(run, network, weights, depth, finetunes)
    reason = "complete"
    in_finetune = resumed is not None and resumed.meta["phase"] == "finetune"
    if weights is not None and not in_finetune:
        with run.timed("head"):
            done = int(str(resumed.meta["epoch"])) if resumed else 0
            yield PhaseStarted(phase="head", total=config.head_epochs, done=done)
            data = Features(*_tensors(train.features, run, "train"), *_tensors(val.features[:1], run, "val"))
            weight, bias, reason = yield from train_head(
                config, len(run.split.classes), data, resumed=resumed, best=run.best,
                save=run_saver(run), should_stop=run.should_stop,
            )  # fmt: skip
            _load(network, {"head.weight": weight, "head.bias": bias})
        _save_best(run)
        if reason == "stopped" or not finetunes:
            return reason
    with run.timed("finetune"):
        done = int(str(resumed.meta["epoch"])) if in_finetune and resumed else 0
        yield PhaseStarted(phase="finetune", total=config.epochs, done=done)
        data = Activations(train.activations, _targets(run.split.train), val.activations[0], _targets(run.split.val))
        tuner = FineTuner(config, network, depth, data, run.device)
        if in_finetune and (best := checkpoint.load(run.directory.best)):
            run.best.tensors = dict(best.tensors)
        elif run.best.phase == "head":
            # From here on "the best" is a state of every weight that may change, not of the head alone.
            run.best.tensors = tuner.trained()
            _save_best(run)
        return (yield from tuner.run(
            resumed=resumed if in_finetune else None, best=run.best,
            save=lambda point: _save_both(run, point), stop=run.should_stop,
        ))  # fmt: skip


def _keep(run: _Run, network: Network, weights: WeightsFile | None, depth: int, finetunes: bool) -> Iterator[Event]:
    """Run the frozen part once; returns what was kept of the training and of the validation photos."""
    config, split = run.config, run.split
    with run.timed("photos"):
        yield PhaseStarted(phase="photos", total=len(split.train) + len(split.val))
        recipe = Recipe(
            weights_sha256=weights.sha256 if weights else f"scratch {config.seed}",
            frozen_stages=depth,
            augment=config.augment,
            views=distinct_views(config.augment, config.views),
            features=weights is not None,
            activations=finetunes,
        )
        root = Path(split.root)
        kept: list[Kept] = []
        for samples, views in ((split.train, recipe.views), (split.val, 1)):
            part = replace(recipe, views=views)
            made = keep(network, part, samples, root, run.folders.cache, run.device, run.should_stop)
            kept.append((yield from made))
    return kept[0], kept[1]


def _finish(run: _Run, network: Network, weights: WeightsFile | None, reason: str) -> Iterator[Event]:
    """Put the best weights together, score them on the test part, and say why the run ended."""
    if run.best.phase is not None:
        _load(network, run.best.tensors)
        card = ModelCard.of(run.config, run.split, network.backbone, weights)
        write_model(run.directory, network, card)
        with run.timed("test"):
            yield from _score(run)
    elif reason != "stopped":
        raise DataError("training.too_little", classes=len(run.split.classes), photos=len(run.split.train))
    if reason == "diverged":
        yield Notice(key="training.notice.diverged", values={"epoch": run.best.epoch})
    yield Ended(
        reason=reason,  # type: ignore[arg-type]
        best_phase=run.best.phase,
        best_epoch=run.best.epoch,
        best_val_accuracy=run.best.accuracy if run.split.val else None,
        seconds=run.seconds,
    )


def _score(run: _Run) -> Iterator[Event]:
    """The test part through the very predictor that Try it uses."""
    samples = run.split.test
    if not samples:
        return
    yield PhaseStarted(phase="test", total=len(samples))
    predictor = Predictor.load(run.directory, device=run.device)
    results = yield from evaluate(predictor, samples, Path(run.split.root_of("test")))
    write_atomically(run.directory.metrics, json.dumps(results.to_json(), ensure_ascii=False).encode())
    yield Evaluated(correct=results.correct, total=results.total, accuracy=results.accuracy)


def run_saver(run: _Run) -> Callable[[Checkpoint], None]:
    """Writes the head's checkpoint at most every few seconds."""

    def save(point: Checkpoint) -> None:
        if time.monotonic() - run.saved_at >= SAVE_SECONDS:
            checkpoint.save(run.directory.last, point)
            run.saved_at = time.monotonic()

    run.saved_at = time.monotonic()
    return save


def _save_both(run: _Run, point: Checkpoint) -> None:
    # Best first: a crash between the two repeats an epoch, and repeating gives the same best again.
    if run.best.stale == 0:
        _save_best(run)
    checkpoint.save(run.directory.last, point)


def _save_best(run: _Run) -> None:
    if run.best.tensors:
        checkpoint.save(run.directory.best, Checkpoint(run.best.tensors, run.best.to_json()))


def _load(network: Network, tensors: dict[str, Tensor]) -> None:
    """Put in the weights that training changed: the head's alone, or every trainable stage's as well."""
    # The head is Dropout, then Linear; on its own it learns without the first.
    names = {"head.weight": "head.1.weight", "head.bias": "head.1.bias"}
    network.load_state_dict({names.get(key, key): value for key, value in tensors.items()}, strict=False)


def _tensors(views: tuple[Rows, ...], run: _Run, part: str) -> tuple[Tensor, Tensor]:
    """(views × n, width) features on the device and their targets."""
    targets = _targets(run.split.train if part == "train" else run.split.val)
    rows = [torch.from_numpy(view[:].copy()) for view in views]
    return torch.cat(rows).to(run.device), targets.repeat(len(rows)).to(run.device)


def _targets(samples: tuple[Sample, ...]) -> Tensor:
    return torch.tensor([sample.target for sample in samples], dtype=torch.int64)
