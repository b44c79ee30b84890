"""One run from settings to a scored model, as a generator: stopping means not asking for the next event.

The phases: weights → photos (what is frozen runs once) → head → finetune → test. Whatever was done before a crash or
a stop is found again: kept rows by the photo's hash, epochs in ``last.safetensors``.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from core.config import TrainConfig
from core.data.report import Part, Sample, Split
from core.errors import DataError
from core.events import Ended, Evaluated, Event, Notice, PhaseStarted, Started, WeightsReady
from core.inference.evaluate import evaluate, from_probabilities
from core.inference.predictor import ModelCard, Predictor, write_model
from core.inference.unknown import Detector
from core.models import registry
from core.models.build import Network, build
from core.models.fetch import FetchStopped
from core.models.freeze import freeze, resolve_scope
from core.models.head import HeadSpec
from core.models.weights import WeightsFile
from core.runs.store import RunDirectory
from core.training import checkpoint
from core.training.augment import distinct_views
from core.training.device import name, pick
from core.training.judged import keep_validation
from core.training.kept import FrozenPart, Kept, Recipe, Stopped, keep
from core.training.known import keep_known
from core.training.obtain import obtain_weights
from core.training.phases import features_wanted, learn, put_best
from core.training.run import Folders, Run
from core.training.versions import versions
from core.workspace import write_atomically


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
    run = Run(config, split, directory, folders, should_stop, pick(config.device))
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
    train = val = Kept((), ())
    try:
        finetunes = config.epochs > 0 and run.frozen < len(network.stages)
        wanted = features_wanted(run, network, finetunes)
        train, val = yield from _keep(run, network, weights, features=wanted, activations=finetunes)
        reason = yield from learn(run, network, train, val, resumed)
    except Stopped:
        reason = "stopped"
    yield from _finish(run, network, weights, reason, train, val)


def _network(run: Run, weights: WeightsFile | None) -> Network:
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
    network.to(memory_format=torch.channels_last)  # as photos are laid out: on processors half again as fast
    freeze(network, run.frozen)
    return network


def _keep(
    run: Run, network: Network, weights: WeightsFile | None, *, features: bool, activations: bool
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
        train: Kept = yield from _kept(run, network, recipe, split.train, "train")
        val: Kept = yield from _kept(run, network, replace(recipe, views=1), split.val, "val")
        if recipe.views > 1 and config.refit != "none":
            # In the end they teach as well, and then with all their views.
            stages = activations and config.refit == "all"
            every = yield from _kept(run, network, replace(recipe, activations=stages), split.val, "val")
            val = Kept(every.features, every.activations if stages else val.activations)
    return train, val


def _kept(run: Run, network: Network, recipe: Recipe, samples: tuple[Sample, ...], name: Part) -> Iterator[Event]:
    run.part = run.part or FrozenPart(network, recipe, run.device, run.folders.cache)
    return (
        yield from keep(
            network, recipe, samples, Path(run.split.root_of(name)), run.folders.cache, run.device, run.should_stop,
            budget_bytes=round(run.config.kept_gigabytes * 1e9), part=run.part,
        )
    )  # fmt: skip


def _finish(
    run: Run, network: Network, weights: WeightsFile | None, reason: str, train: Kept, val: Kept
) -> Iterator[Event]:
    """Put the best weights together, score them on the test part, and say why the run ended."""
    if run.best.phase is not None:
        put_best(run, network)
        card = ModelCard.of(run.config, run.split, network, weights)
        write_model(run.directory, network, card)
        with run.timed("known"):
            keep_known(run, network, train, val)
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


def _score(run: Run, network: Network, weights: WeightsFile | None) -> Iterator[Event]:
    """Every answer on the test part, through what Try it uses as well: the same stages, in the same 32 bits."""
    temperature = keep_validation(run)
    samples = run.split.test
    if not samples:
        return
    root = Path(run.split.root_of("test"))
    results = None
    if run.best.phase == "head" and weights is not None:
        with suppress(DataError):  # a photo that can't be read any more: the other way lists it and goes on
            results = yield from _score_kept(run, network, weights, samples, temperature)
    if results is None:
        yield PhaseStarted(phase="test", total=len(samples))
        results = yield from evaluate(Predictor.load(run.directory, device=run.device), samples, root, temperature)
    write_atomically(run.directory.metrics, json.dumps(results.to_json(), ensure_ascii=False).encode())
    yield Evaluated(correct=results.correct, total=results.total, accuracy=results.accuracy)


def _score_kept(
    run: Run, network: Network, weights: WeightsFile, samples: tuple[Sample, ...], temperature: float | None
) -> Iterator[Event]:
    """With the body as it was, a test photo's features are the same in every run: they are kept as well."""
    recipe = Recipe(
        weights_sha256=weights.sha256, frozen_stages=len(network.stages), augment="none", views=1,
        features=True, activations=False, exact=True,
    )  # fmt: skip
    yield PhaseStarted(phase="test", total=len(samples))
    # Stages that learnt were prepared before, or in the middle of it: then they are prepared anew.
    part = run.part if network.frozen_stages == len(network.stages) else None
    to_the_end = replace(run, part=part, should_stop=lambda: False)  # a run that was stopped is scored as well
    kept: Kept = yield from _kept(to_the_end, network, recipe, samples, "test")
    network.head.eval()
    detector = Detector.load(run.directory)
    with torch.inference_mode():
        x = torch.from_numpy(kept.features[0][:].astype(np.float32)).to(run.device)
        logits = network.head(x)
        strangeness = detector.to(run.device)(x, logits).cpu().numpy() if detector else None
        probabilities = logits.softmax(dim=1).cpu().numpy()
    limit = detector.limit if detector else None
    return from_probabilities(run.split.classes, samples, probabilities, temperature, strangeness, limit)
