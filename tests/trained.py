"""Small training runs for tests: real ones from photos, and loops over a few made-up numbers."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from core.config import TrainConfig
from core.data.report import Split
from core.events import Event
from core.models import registry
from core.models.build import Network
from core.models.head import Head, HeadSpec
from core.runs import store
from core.runs.store import RunDirectory
from core.training.checkpoint import Checkpoint
from core.training.fit import fit
from core.training.head import KeptFeatures, head_groups, head_plan, prepare_head
from core.training.loop import Loop
from core.training.run import Folders
from core.training.score import Best

CPU = torch.device("cpu")
# Nothing but the plain step: what the settings add is added by the test that asks for it.
PLAIN = TrainConfig(
    device="cpu", precision="float32", patience=10_000, head_patience=10_000, refit="none", weight_decay=0.0,
    clip_norm=0.0, label_smoothing=0.0,
    center_features=False, augment="none", warm_up=0.0, stage_decay=1.0, head_boost=1.0,
)  # fmt: skip


def new_run(folder: Path, config: TrainConfig, divided: Split) -> RunDirectory:
    return store.create(folder, config, divided, title="t", dataset={})


def train(
    run: RunDirectory, cache: Path, until: Callable[[Event], bool] | None = None, **options: Callable[[], bool]
) -> list[Event]:
    """The events of a run, to its end or killed when ``until`` comes."""
    events = fit(run.info().config, run.split(), run, Folders(cache / "weights", cache / "kept"), **options)
    return list(itertools.takewhile(lambda event: until is None or not until(event), events))


def trained(folder: Path, config: TrainConfig, divided: Split, cache: Path) -> tuple[dict[str, Tensor], list[Event]]:
    """The weights that a run saved, and what it told."""
    run = new_run(folder, config, divided)
    events = train(run, cache)
    return load_file(run.model), events


def assert_same(first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


def clusters(count: int, width: int = 6, classes: int = 3, seed: int = 0) -> tuple[np.ndarray, Tensor]:
    """(count, width) float32 features around one middle a class, and their targets."""
    random = np.random.default_rng(seed)
    targets = np.arange(count) % classes
    middles = np.random.default_rng(99).normal(size=(classes, width))
    return (middles[targets] + random.normal(size=(count, width))).astype(np.float32), torch.from_numpy(targets)


def small_network(config: TrainConfig, width: int = 6, classes: int = 3, stages: tuple[nn.Module, ...] = ()) -> Network:
    """A head on ``width`` features; the backbone lends its name alone."""
    torch.manual_seed(1)
    return Network(registry.backbone("efficientnet_lite0"), stages, Head(HeadSpec.of(config), width, classes))


def head_loop(config: TrainConfig, network: Network, count: int = 11, views: int = 1) -> Loop:
    x, y = clusters(count)
    val_x, val_y = clusters(9, seed=5)
    features = KeptFeatures([x + view for view in range(views)], y, val_x, val_y, CPU)
    prepare_head(config, network, features)
    return Loop(config, head_plan(config, network), network, head_groups(config, network), features, CPU)


def run_loop(
    loop: Loop, resumed: Checkpoint | None = None, stop: Callable[[], bool] = lambda: False
) -> tuple[list[Event], Best, list[Checkpoint]]:
    """What it told, its best epoch and a copy of the checkpoint after each epoch."""
    best, saved = Best(), []

    def save(make: Callable[[], Checkpoint]) -> None:
        made = make()
        saved.append(Checkpoint({name: value.clone() for name, value in made.tensors.items()}, dict(made.meta)))

    events: Iterator[Event] = loop.run(resumed=resumed, best=best, save=save, stop=stop)
    return list(events), best, saved
