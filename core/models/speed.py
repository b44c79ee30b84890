"""How fast a backbone is on this machine: measured once, kept as JSON, read without torch. Torch-free but to measure.

python -m core.models.speed NAME… --into FOLDER
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from core.machine import machine
from core.models import registry
from core.workspace import write_atomically

if TYPE_CHECKING:
    import torch

FORMAT = 1
BATCH = 8
LEAST_RUNS = 1
# The head's epoch on kept features, whatever the backbone: measured between 1 and 4 ms for a few hundred photos.
HEAD_EPOCH_SECONDS = 0.003
# Starting Python and torch, finding weights, building the network and scoring: paid once a run.
START_SECONDS = 6.0


@dataclass(frozen=True)
class Speed:
    """Seconds a photo, stage by stage, counted from the photo, in batches of 8."""

    name: str
    device: str
    torch: str
    forward: tuple[float, ...]  # as the frozen part runs: folded, channels last, without gradients
    train: tuple[float, ...]  # forward and backward, as the trainable part runs

    @property
    def photos_per_second(self) -> float:
        """Through the whole frozen body."""
        return 1 / max(sum(self.forward), 1e-9)

    def to_json(self) -> dict[str, object]:
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Speed":
        return cls(data["name"], data["device"], data["torch"], tuple(data["forward"]), tuple(data["train"]))


def estimate_seconds(
    speed: Speed,
    *,
    frozen_stages: int,
    train_photos: int,
    val_photos: int,
    views: int,
    epochs: int,
    head_epochs: int,
) -> float:
    """How long a run should take, in seconds: a pure sum of what was measured.

    Once: every photo and view through the whole body. Each fine-tuning epoch: the trainable stages forward and
    backward over the training photos, forward over the validation photos. Then the head's epochs and the start.
    """
    once = (train_photos * views + val_photos) * sum(speed.forward)
    trainable, judged = sum(speed.train[frozen_stages:]), sum(speed.forward[frozen_stages:])
    epoch = train_photos * trainable + val_photos * judged
    return START_SECONDS + once + epochs * epoch + head_epochs * HEAD_EPOCH_SECONDS


def load(folder: Path, name: str) -> Speed | None:
    """What was measured on this very device with this very torch, or None."""
    try:
        speed = Speed.from_json(json.loads(_path(folder, name).read_text("utf-8")))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return speed if (speed.device, speed.torch) == (device_name(), torch_version()) else None


def save(folder: Path, speed: Speed) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(_path(folder, speed.name), json.dumps(speed.to_json()).encode())


def device_name() -> str:
    return machine().gpu or machine().processor


def torch_version() -> str:
    """Without importing it."""
    try:
        return version("torch")
    except PackageNotFoundError:
        return ""


def measure(name: str, device: "torch.device", *, seconds_budget: float = 3.0) -> Speed:
    """Time every stage on random photos; random weights take as long as trained ones."""
    import torch

    from core.models.build import build
    from core.models.fast import fast_frozen

    backbone = registry.backbone(name)
    network = build(name, 2, weights=None, device=device)
    network.train()
    crop = backbone.preprocessing.crop
    x = torch.randn(BATCH, 3, crop, crop, device=device).contiguous(memory_format=torch.channels_last)
    budget = seconds_budget / (2 * len(network.stages))
    forward: list[float] = []
    train: list[float] = []
    for stage in network.stages:
        frozen = fast_frozen([stage], device)
        forward.append(_seconds(partial(frozen, x), device, budget) / BATCH)
        train.append(_seconds(partial(_step, stage, x), device, budget) / BATCH)
        with torch.no_grad():
            x = stage(x).detach()
    return Speed(name, device_name(), torch_version(), tuple(forward), tuple(train))


def _step(stage: "torch.nn.Module", x: "torch.Tensor") -> None:
    stage.zero_grad(set_to_none=True)
    stage(x.detach().requires_grad_(x.dim() > 1)).sum().backward()


def _seconds(run: Callable[[], object], device: "torch.device", budget: float) -> float:
    """The shortest of a few runs after one that isn't counted: what the machine can do when nobody disturbs it."""
    import torch

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    run()
    shortest, until, runs = float("inf"), time.perf_counter() + budget, 0
    while runs < LEAST_RUNS or time.perf_counter() < until:
        wait()
        began = time.perf_counter()
        run()
        wait()
        shortest = min(shortest, time.perf_counter() - began)
        runs += 1
    return shortest


def _path(folder: Path, name: str) -> Path:
    return folder / f"{registry.backbone(name).name}.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", metavar="NAME")
    parser.add_argument("--into", type=Path, required=True, metavar="FOLDER")
    options = parser.parse_args()
    options.into.mkdir(parents=True, exist_ok=True)
    try:
        # One measurement at a time: two would measure each other. The lock ends with the process.
        lock = FileLock(options.into / "lock")
        lock.acquire(timeout=0)
    except Timeout:
        return
    import torch

    if hasattr(os, "nice"):
        os.nice(5)  # whoever is using the page goes first
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    for name in options.names:
        if load(options.into, name) is None:
            save(options.into, measure(name, device))


if __name__ == "__main__":
    main()
