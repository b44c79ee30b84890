"""What a run does once its photos are read: the head, fine-tuning, and the head once more on all it may see."""

from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import replace

import torch
from torch import Tensor

from core.data.report import Sample
from core.errors import ConfigError
from core.events import Event, PhaseStarted, Progress
from core.models.build import Network
from core.training.checkpoint import Checkpoint, Saver
from core.training.device import threads_for
from core.training.finetune import KeptActivations, tune_groups, tune_plan
from core.training.head import Both, KeptFeatures, head_groups, head_plan, prepare_head
from core.training.kept import Kept
from core.training.loop import Loop
from core.training.precision import choose
from core.training.run import Run
from core.training.score import Best
from core.training.watched import Watched

NOBODY = torch.empty(0, dtype=torch.int64)  # targets of no photo


def heads_first(run: Run, network: Network, finetunes: bool) -> bool:
    """Features mean something where the whole body has learnt something; fine-tuning may want to begin without them."""
    return run.copied == len(network.stages) and (run.config.head_first or not finetunes)


def features_wanted(run: Run, network: Network, finetunes: bool) -> bool:
    whole = run.copied == len(network.stages)
    return heads_first(run, network, finetunes) or (whole and run.config.center_features)


def learn(run: Run, network: Network, train: Kept, val: Kept, resumed: Checkpoint | None) -> Iterator[Event]:
    """Head and fine-tuning; returns why it ended. ``run.best`` holds the best weights."""
    finetunes = run.config.epochs > 0 and run.frozen < len(network.stages)
    in_finetune = resumed is not None and resumed.meta["phase"] == "finetune"
    start = _trainable(run, network) if _refits(run) else {}
    reason = "complete"
    if train.features:
        loop = _head_loop(run, network, _features(run, train, val))
        if heads_first(run, network, finetunes) and not in_finetune:
            reason = yield from _phase(run, loop, resumed)
            put_best(run, network)
    if finetunes and reason != "stopped":
        loop = _tuner(run, network, _activations(run, network, train, val))
        reason = yield from _phase(run, loop, resumed if in_finetune else None)
    if _refits(run) and reason in ("complete", "patience"):
        reason = yield from _refit(run, network, start, train, val, reason)
    return reason


def _trainable(run: Run, network: Network) -> dict[str, Tensor]:
    """Copies of what training may change."""
    frozen = tuple(f"stages.{place}." for place in range(run.frozen))
    return {name: value.clone() for name, value in network.state_dict().items() if not name.startswith(frozen)}


def _refits(run: Run) -> bool:
    """Whether something learns once more; fine-tuning only where the settings say ``all``."""
    wanted = run.config.refit
    return bool(run.split.val) and (wanted == "all" or (wanted == "head" and run.best.phase in ("head", None)))


def _refit(
    run: Run, network: Network, start: dict[str, Tensor], train: Kept, val: Kept, reason: str
) -> Iterator[Event]:
    """From the beginning, as long as it took to the best epoch, from training and validation photos together.

    Validation photos have had their say by then. With few photos they are worth more as teachers: over five small sets
    and three seeds it brought a head 1.2 points of accuracy in the mean, for milliseconds.
    """
    network.load_state_dict(start, strict=False)
    best = run.best
    loops: list[tuple[int, Callable[[], Loop]]] = []
    if train.features:
        head_loop = _head_loop(run, network, _features(run, train, val, every=True))  # measures mean and scale anew
        if best.head_epoch:
            loops.append((best.head_epoch, lambda: head_loop))
    if best.phase == "finetune":
        loops.append((best.epoch, lambda: _tuner(run, network, _activations(run, network, train, val, every=True))))
    result: dict[str, Tensor] = {}
    for epochs, make in loops:
        loop = make()
        loop.plan = replace(loop.plan, phase="refit", until=epochs, patience=epochs + 1)
        ended = "diverged"
        with run.timed("refit"), threads_for(loop.weights, run.device):
            yield PhaseStarted(phase="refit", total=epochs, precision=loop.plan.way.bits)
            # The loss may become infinite, which it did not without the validation photos: then what there is is kept.
            with suppress(ConfigError):
                ended = yield from _progress_of(loop, run.should_stop)
        if ended != "complete":
            return "stopped" if ended == "stopped" else reason
        result |= loop.result()
        network.load_state_dict(result, strict=False)
    best.chosen, best.tensors = best.tensors, {**best.tensors, **result}
    return reason


def _features(run: Run, train: Kept, val: Kept, *, every: bool = False) -> KeptFeatures:
    """What the head learns on; with ``every``, all photos but the test part's, and none left to judge it."""
    targets, val_targets = _targets(run.split.train), _targets(run.split.val)
    if not every:
        return KeptFeatures(train.features, targets, val.features[0], val_targets, run.device)
    views = [Both(ours, theirs) for ours, theirs in zip(train.features, val.features, strict=True)]
    return KeptFeatures(views, torch.cat([targets, val_targets]), val.features[0], NOBODY, run.device)


def _activations(run: Run, network: Network, train: Kept, val: Kept, *, every: bool = False) -> KeptActivations:
    """What fine-tuning starts from; ``every`` as above."""
    targets, val_targets = _targets(run.split.train), _targets(run.split.val)
    views = train.activations
    if every:
        # The disk may have had room for more versions of the few validation photos than of the others.
        theirs = [val.activations[min(view, len(val.activations) - 1)] for view in range(len(views))]
        views = tuple(Both(*pair) for pair in zip(views, theirs, strict=True))
        targets, val_targets = torch.cat([targets, val_targets]), NOBODY
    return KeptActivations(run.config, network, run.frozen, views, targets, val.activations[0], val_targets, run.device)


def _head_loop(run: Run, network: Network, features: KeptFeatures) -> Loop:
    prepare_head(run.config, network, features)
    plan = head_plan(run.config, network)
    return Loop(run.config, plan, network, head_groups(run.config, network), features, run.device)


def _progress_of(loop: Loop, should_stop: Callable[[], bool]) -> Generator[Progress, None, str]:
    """Its epochs are nobody's to see: without validation photos there is nothing to compare."""
    events = loop.run(resumed=None, best=Best(), save=lambda _: None, stop=should_stop)
    while True:
        try:
            event = next(events)
        except StopIteration as stop:
            return str(stop.value)
        if isinstance(event, Progress):
            yield event


def _tuner(run: Run, network: Network, photos: KeptActivations) -> Loop:
    """The loop over stages and head, computing the way that is quickest here."""
    config, device = run.config, run.device
    with run.timed("trial"):
        memory = run.folders.cache / f"way-{config.backbone}-{run.frozen}-{config.head}-{device.type}.json"
        way = choose(config, network, run.frozen, photos.some, memory)
        network.to(memory_format=way.memory_format)
        photos.memory_format = way.memory_format
    plan = replace(tune_plan(config, run.frozen), way=way)
    groups = tune_groups(config, network, run.frozen, run.copied)
    return Loop(config, plan, network, groups, photos, device)


def _phase(run: Run, loop: Loop, resumed: Checkpoint | None) -> Iterator[Event]:
    """One loop, announced, timed and saved."""
    with run.timed(loop.plan.phase):
        done = int(str(resumed.meta["epoch"])) if resumed else 0
        yield PhaseStarted(phase=loop.plan.phase, total=loop.plan.epochs, done=done, precision=loop.plan.way.bits)
        save = Saver(run.directory.last)
        with threads_for(loop.weights, run.device), Watched(run) as watched:
            reason = yield from loop.run(
                resumed=resumed, best=run.best, save=save, stop=run.should_stop, judged=watched.tell
            )
        save.last_chance()
        return reason


def put_best(run: Run, network: Network) -> None:
    """The weights that training changed: the head's alone, or every trainable stage's as well."""
    network.load_state_dict(run.best.tensors, strict=False)


def _targets(samples: tuple[Sample, ...]) -> Tensor:
    return torch.tensor([sample.target for sample in samples], dtype=torch.int64)
