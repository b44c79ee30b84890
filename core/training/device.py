"""Which device computes, what it is called, and how much memory it has taken."""

import sys
from collections.abc import Generator
from contextlib import contextmanager

import torch
from torch import Tensor

from core.errors import ConfigError
from core.machine import processor_name

SMALL_HEAD = 500_000  # weights: a linear head for 100 classes on 4,096 features, but not a hidden layer on 25,088


def pick(wish: str) -> torch.device:
    """``auto``: the first GPU, else Apple's, else the processor. ConfigError names a device that isn't there."""
    if wish == "auto":
        wish = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(wish)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError):
        raise ConfigError("training.no_device", device=wish) from None
    return device


def name(device: torch.device) -> str:
    """The device in words: the GPU's name, or the processor's."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return processor_name()


def memory_megabytes(device: torch.device) -> float:
    """The most that was taken so far: of the GPU where there is one, else by this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    try:
        import resource  # not on Windows
    except ImportError:
        return 0.0
    # Kilobytes on Linux, bytes on macOS (getrusage(2)).
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


@contextmanager
def threads_for(weights: int, device: torch.device) -> Generator[None]:
    """One thread while a small head learns on a processor: its steps are over before a second one has woken up.

    On a machine busy with other work two threads took 18 times as long as one (350 photos, 1,280 features, 5 classes):
    each step waits for a partner that isn't given a core.
    """
    threads = torch.get_num_threads()
    if device.type == "cpu" and weights <= SMALL_HEAD:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def to_device(rows: Tensor, device: torch.device) -> Tensor:
    """Copied to the device; from pinned memory, so that a GPU goes on computing meanwhile."""
    if device.type != "cuda":
        return rows.to(device)
    return rows.pin_memory().to(device, non_blocking=True)


def ran_out(error: BaseException) -> bool:
    """Whether an error means that memory ran out, of the GPU or of the machine."""
    told = str(error).lower()
    out = isinstance(error, torch.cuda.OutOfMemoryError | MemoryError)
    return out or "out of memory" in told or "can't allocate memory" in told or "not enough memory" in told
