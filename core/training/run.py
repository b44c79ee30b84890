"""What the phases of one run hand to each other."""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch

from core.config import TrainConfig
from core.data.report import Split
from core.runs.store import RunDirectory
from core.training.frozen import FrozenPart
from core.training.score import Best


@dataclass(frozen=True)
class Folders:
    """Where a run reads and writes besides its own directory."""

    weights: Path
    cache: Path


@dataclass
class Run:
    """One run while it is made."""

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
    part: FrozenPart | None = None  # the stages made quick, before any of them learns: prepared once for all photos

    @contextmanager
    def timed(self, phase: str) -> Generator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds[phase] = round(self.seconds.get(phase, 0.0) + time.monotonic() - began, 3)
