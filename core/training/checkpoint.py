"""Named tensors and a little JSON in one file, written whole or not at all, read without pickle (safetensors)."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from core.errors import RunError

FORMAT = 1


@dataclass(frozen=True)
class Checkpoint:
    """Tensors by name, on the CPU, and what belongs to them (plain JSON values)."""

    tensors: Mapping[str, Tensor]
    meta: Mapping[str, object]


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Replace ``path``; a crash leaves the old file or the new one, never half of one."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.tensors.items()}
    meta = json.dumps({"format": FORMAT, **checkpoint.meta}, allow_nan=False)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    save_file(tensors, temporary, metadata={"graft": meta})
    os.replace(temporary, path)


def load(path: Path) -> Checkpoint | None:
    """What was saved, or None where nothing was. RunError names a file that can't be read."""
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            meta = json.loads((file.metadata() or {}).get("graft", "{}"))
            return Checkpoint({name: file.get_tensor(name) for name in file.keys()}, meta)  # noqa: SIM118
    except (SafetensorError, json.JSONDecodeError, OSError):
        raise RunError("runs.broken_file", run=path.parent.name, file=path.name) from None
