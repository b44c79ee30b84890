"""One run from settings to a scored model, as a generator: stopping means not asking for the next event.

The phases: weights → photos (what is frozen runs once) → head → finetune → test. Whatever was done before a crash or
a stop is found again: kept rows by the photo's hash, epochs in ``last.safetensors``.
"""

import json
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from core.config import TrainConfig
from core.data.report import Part, Sample, Split
from core.errors import DataError
from core.events import Ended, Evaluated, Event, Notice, PhaseStarted, Started, WeightsReady
from core.inference.evaluate import evaluate, from_probabilities
from core.inference.predictor import ModelCard, Predictor, write_model
from core.models import registry
from core.models.build import Network, build
from core.models.fetch import FetchStopped
from core.models.freeze import freeze, resolve_scope
from core.models.head import HeadSpec
from core.models.weights import WeightsFile
from core.runs.store import RunDirectory
from core.training import checkpoint
from core.training.augment import distinct_views
from core.training.checkpoint import Checkpoint, Saver
from core.training.device import name, pick, threads_for
from core.training.finetune import KeptActivations, tune_groups, tune_plan
from core.training.head import KeptFeatures, head_groups, head_plan, prepare_head
from core.training.kept import Kept, Recipe, Stopped, channels_last, keep
from core.training.loop import Loop
from core.training.obtain import obtain_weights
from core.training.precision import choose, lay_out
from core.training.score import Best
from core.training.versions import versions
from core.workspace import write_atomically


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
    frozen: int = 0  # stages that keep their weights
    copied: int = 0  # stages that have pretrained weights to begin with

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
            weights = yield from obtain_weights(config, folders.weights, should_stop, directory)
        except FetchStopped:
            yield Ended(reason="stopped", seconds=run.seconds)  # what has arrived is kept for the next start
            return
        network = _network(run, weights)
    yield WeightsReady(
        name=config.backbone,
        source=weights.source if weights else "scratch",
        sha256=weights.sha256 if weights else "",
        trainable_parameters=sum(p.numel() for p in network.parameters() if p.requires_grad),
        frozen_stages=network.frozen_stages,
    )
    try:
        reason = yield from _learn(run, network, weights, resumed)
    except Stopped:
        reason = "stopped"
    yield from _finish(run, network, weights, reason)


def _network(run: _Run, weights: WeightsFile | None) -> Network:
    """The network as the settings want it, with what is frozen frozen."""
    config = run.config
    stages = len(registry.backbone(config.backbone).stages)
    run.frozen, run.copied = resolve_scope(config.freeze_depth, config.copied_stages if weights else 0, stages)
    if run.copied < stages and (not config.epochs or run.frozen == stages):
        key = "training.copied_needs_epochs" if weights else "training.scratch_needs_epochs"
        raise DataError(key, copied=run.copied, stages=stages)
    network = build(
        config.backbone, len(run.split.classes), weights=weights, seed=config.seed, head=HeadSpec.of(config),
        copied_stages=run.copied, normalization=config.normalization, device=run.device,
    )  # fmt: skip
    channels_last(network)
    freeze(network, run.frozen)
    return network


def _learn(run: _Run, network: Network, weights: WeightsFile | None, resumed: Checkpoint | None) -> Iterator[Event]:
    """Photos, head and fine-tuning; returns why it ended. ``run.best`` holds the best weights."""
    config, stages = run.config, len(network.stages)
    finetunes = config.epochs > 0 and run.frozen < stages
    # Features mean something where the whole body has learnt something; fine-tuning may want to begin without them.
    heads = run.copied == stages and (config.head_first or not finetunes)
    train, val = yield from _keep(
        run, network, weights, features=heads or config.center_features, activations=finetunes
    )
    targets, val_targets = _targets(run.split.train), _targets(run.split.val)
    reason = "complete"
    in_finetune = resumed is not None and resumed.meta["phase"] == "finetune"
    if run.copied == stages and train.features:
        features = KeptFeatures(train.features, targets, val.features[0], val_targets, run.device)
        prepare_head(config, network, features)
        if heads and not in_finetune:
            plan = head_plan(config, network)
            loop = Loop(config, plan, network, head_groups(config, network), features, run.device)
            reason = yield from _phase(run, loop, resumed)
            if reason == "stopped" or not finetunes:
                return reason
            _put_best(run, network)
    if not finetunes:
        return reason
    photos = KeptActivations(
        config, network, run.frozen, train.activations, targets, val.activations[0], val_targets, run.device
    )
    loop = _tuner(run, network, photos)
    return (yield from _phase(run, loop, resumed if in_finetune else None))


def _tuner(run: _Run, network: Network, photos: KeptActivations) -> Loop:
    """The loop over stages and head, computing the way that is quickest here."""
    config, device = run.config, run.device
    with run.timed("trial"):
        memory = run.folders.cache / f"way-{config.backbone}-{run.frozen}-{config.head}-{device.type}.json"
        way = choose(config, network, run.frozen, photos.some, memory)
        lay_out(network, way)
        photos.channels_last = way.channels_last
    plan = replace(tune_plan(config, run.frozen), way=way)
    groups = tune_groups(config, network, run.frozen, run.copied)
    return Loop(config, plan, network, groups, photos, device)


def _phase(run: _Run, loop: Loop, resumed: Checkpoint | None) -> Iterator[Event]:
    """One loop, announced, timed and saved."""
    with run.timed(loop.plan.phase):
        done = int(str(resumed.meta["epoch"])) if resumed else 0
        yield PhaseStarted(phase=loop.plan.phase, total=loop.plan.epochs, done=done, precision=loop.plan.way.bits)
        save = Saver(run.directory.last)
        with threads_for(loop.weights, run.device):
            reason = yield from loop.run(resumed=resumed, best=run.best, save=save, stop=run.should_stop)
        save.last_chance()
        return reason


def _keep(
    run: _Run, network: Network, weights: WeightsFile | None, *, features: bool, activations: bool
) -> Iterator[Event]:
    """Run the frozen part once; returns what was kept of the training and of the validation photos."""
    config, split = run.config, run.split
    with run.timed("photos"):
        yield PhaseStarted(phase="photos", total=len(split.train) + len(split.val))
        recipe = Recipe(
            weights_sha256=weights.sha256 if weights else f"scratch {config.seed}",
            frozen_stages=run.frozen,
            augment=config.augment,
            views=distinct_views(config.augment, config.views),
            features=features and run.copied == len(network.stages),
            activations=activations,
        )
        kept: list[Kept] = []
        for samples, views in ((split.train, recipe.views), (split.val, 1)):
            kept.append((yield from _kept(run, network, replace(recipe, views=views), samples, "train")))
    return kept[0], kept[1]


def _kept(run: _Run, network: Network, recipe: Recipe, samples: tuple[Sample, ...], part: Part) -> Iterator[Event]:
    return (
        yield from keep(
            network, recipe, samples, Path(run.split.root_of(part)), run.folders.cache, run.device, run.should_stop,
            budget_bytes=round(run.config.kept_gigabytes * 1e9),
        )
    )  # fmt: skip


def _finish(run: _Run, network: Network, weights: WeightsFile | None, reason: str) -> Iterator[Event]:
    """Put the best weights together, score them on the test part, and say why the run ended."""
    if run.best.phase is not None:
        _put_best(run, network)
        card = ModelCard.of(run.config, run.split, network, weights)
        write_model(run.directory, network, card)
        with run.timed("test"):
            yield from _score(run, network, weights)
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


def _score(run: _Run, network: Network, weights: WeightsFile | None) -> Iterator[Event]:
    """Every answer on the test part, through what Try it uses as well: the same stages, in the same 32 bits."""
    samples = run.split.test
    if not samples:
        return
    root = Path(run.split.root_of("test"))
    results = None
    if run.best.phase == "head" and weights is not None:
        with suppress(DataError):  # a photo that can't be read any more: the other way lists it and goes on
            results = yield from _score_kept(run, network, weights, samples)
    if results is None:
        yield PhaseStarted(phase="test", total=len(samples))
        results = yield from evaluate(Predictor.load(run.directory, device=run.device), samples, root)
    write_atomically(run.directory.metrics, json.dumps(results.to_json(), ensure_ascii=False).encode())
    yield Evaluated(correct=results.correct, total=results.total, accuracy=results.accuracy)


def _score_kept(run: _Run, network: Network, weights: WeightsFile, samples: tuple[Sample, ...]) -> Iterator[Event]:
    """With the body as it was, a test photo's features are the same in every run: they are kept as well."""
    recipe = Recipe(
        weights_sha256=weights.sha256, frozen_stages=len(network.stages), augment="none", views=1,
        features=True, activations=False, exact=True,
    )  # fmt: skip
    yield PhaseStarted(phase="test", total=len(samples))
    to_the_end = replace(run, should_stop=lambda: False)  # a run that was stopped is scored as well
    kept: Kept = yield from _kept(to_the_end, network, recipe, samples, "test")
    network.head.eval()
    with torch.inference_mode():
        x = torch.from_numpy(kept.features[0][:].astype(np.float32)).to(run.device)
        probabilities = network.head(x).softmax(dim=1).cpu().numpy()
    return from_probabilities(run.split.classes, samples, probabilities)


def _put_best(run: _Run, network: Network) -> None:
    """The weights that training changed: the head's alone, or every trainable stage's as well."""
    network.load_state_dict(run.best.tensors, strict=False)


def _targets(samples: tuple[Sample, ...]) -> Tensor:
    return torch.tensor([sample.target for sample in samples], dtype=torch.int64)
