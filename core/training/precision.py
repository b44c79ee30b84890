"""How the trainable part computes: 16 or 32 bits, and how its maps lie in memory. A short measurement decides.

What is quicker differs from machine to machine: bfloat16 wins where the processor multiplies it natively, and loses by
a lot where it must be emulated. The decision is kept with the rows it belongs to, so that later runs on this machine
compute the same bits.
"""

import copy
import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.config import TrainConfig
from core.models.build import Network
from core.training.device import ran_out
from core.workspace import write_atomically

SMALLEST_GAIN = 1.15  # times faster than 32 bits, channels last: less could be chance
TURNS = 2
PHOTOS = 16  # of a timed step


@dataclass(frozen=True)
class Way:
    """One way to compute a step."""

    bits: Literal["float32", "bfloat16"] = "float32"
    channels_last: bool = True

    @property
    def memory_format(self) -> torch.memory_format:
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def autocast(self, device: torch.device) -> Callable[[], AbstractContextManager[object]]:
        """bfloat16 has the range of float32, so no loss scaling is needed."""
        if self.bits == "float32":
            return nullcontext
        return partial(torch.autocast, device.type, torch.bfloat16)


def choose(
    config: TrainConfig, network: Network, first_stage: int, batch: Callable[[int], Tensor], memory: Path
) -> Way:
    """What the settings ask for; with ``auto`` what an earlier run on this machine found, or a trial finds now.

    ``batch(n)`` gives n photos as they enter ``first_stage``; ``memory`` is where the finding is kept.
    """
    device = next(network.parameters()).device
    if config.precision != "auto":
        return Way(config.precision)
    if (known := _read(memory)) is not None:
        return known
    found = _trial(network, first_stage, batch(PHOTOS), device)
    memory.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(memory, json.dumps(asdict(found)).encode())
    return found


def _trial(network: Network, first_stage: int, x: Tensor, device: torch.device) -> Way:
    """The quickest of three ways, timed on a copy, which leaves the network as it is."""
    ways = [Way(), Way(channels_last=False)]
    if device.type == "cpu" or (device.type == "cuda" and torch.cuda.is_bf16_supported()):
        ways.append(Way("bfloat16"))
    if x.dim() != 4:
        ways.remove(Way(channels_last=False))  # a list of numbers lies as it lies
    part = nn.Sequential(*copy.deepcopy(list(network.stages)[first_stage:]), copy.deepcopy(network.head)).train()
    with torch.random.fork_rng():  # dropout in the trial must not change what the run draws
        seconds = {way: _seconds(part, x, way, device) for way in ways}
    best = min(seconds, key=lambda way: seconds[way])
    return best if seconds[Way()] > SMALLEST_GAIN * seconds[best] else Way()


def _seconds(part: nn.Module, x: Tensor, way: Way, device: torch.device) -> float:
    """The shortest of a few steps after one that isn't counted."""
    part.to(memory_format=way.memory_format)
    x = x.contiguous(memory_format=way.memory_format) if x.dim() == 4 else x
    targets = torch.zeros(len(x), dtype=torch.int64, device=device)
    shortest = float("inf")
    try:
        for turn in range(TURNS + 1):
            part.zero_grad(set_to_none=True)  # a gradient keeps the layout it was made in
            _wait(device)
            began = time.perf_counter()
            with way.autocast(device)():
                logits = part(x)
            F.cross_entropy(logits.float(), targets).backward()  # type: ignore[no-untyped-call]
            _wait(device)
            if turn:
                shortest = min(shortest, time.perf_counter() - began)
    except (RuntimeError, MemoryError) as error:
        if way == Way() and not ran_out(error):
            raise  # nothing works here
    return shortest


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _read(memory: Path) -> Way | None:
    try:
        data = json.loads(memory.read_text("utf-8"))
        return Way(data["bits"], data["channels_last"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
