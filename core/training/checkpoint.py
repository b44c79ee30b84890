"""Named tensors and a little JSON in one file, written whole or not at all, read without pickle (safetensors)."""

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from core.errors import RunError

FORMAT = 2  # 1: before heads had kinds
SAVE_SECONDS = 5.0  # at least, between two checkpoints: a head's epochs last milliseconds


@dataclass(frozen=True)
class Checkpoint:
    """Tensors by name, on the CPU, and what belongs to them (plain JSON values)."""

    tensors: Mapping[str, Tensor]
    meta: Mapping[str, object]

    def named(self, prefix: str) -> dict[str, Tensor]:
        """The tensors called ``prefix.…``, without it."""
        return {name.removeprefix(f"{prefix}."): t for name, t in self.tensors.items() if name.startswith(f"{prefix}.")}


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Replace ``path``; a crash leaves the old file or the new one, never half of one."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.tensors.items()}
    meta = json.dumps({"format": FORMAT, **checkpoint.meta}, allow_nan=False)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    save_file(tensors, temporary, metadata={"graft": meta})
    os.replace(temporary, path)


def load(path: Path) -> Checkpoint | None:
    """What was saved, or None where nothing was, or in another format: then a run begins again.

    RunError names a file that can't be read.
    """
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            meta = json.loads((file.metadata() or {}).get("graft", "{}"))
            if meta.get("format") != FORMAT:
                return None
            return Checkpoint({name: file.get_tensor(name) for name in file.keys()}, meta)  # noqa: SIM118
    except (SafetensorError, json.JSONDecodeError, OSError):
        raise RunError("runs.broken_file", run=path.parent.name, file=path.name) from None


class Saver:
    """Writes a checkpoint when the last one is some seconds old; writing never takes more than a tenth of the time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._due = time.monotonic() + SAVE_SECONDS
        self._make: Callable[[], Checkpoint] | None = None

    def __call__(self, make: Callable[[], Checkpoint]) -> None:
        self._make = make
        if time.monotonic() >= self._due:
            self.last_chance()

    def last_chance(self) -> None:
        """Write what came last, if it isn't written yet: the weights it would hold are about to change."""
        if self._make is None:
            return
        began = time.monotonic()
        save(self._path, self._make())
        self._make = None
        self._due = time.monotonic() + max(SAVE_SECONDS, 9 * (time.monotonic() - began))
