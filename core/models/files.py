"""Weights files as such: where one lies, where it came from, and its hash, worked out only once. Torch-free."""

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core.workspace import write_atomically

Source = Literal["imported", "fetched", "cache", "package", "run"]

_known_hashes: dict[str, str] = {}


@dataclass(frozen=True)
class WeightsFile:
    """A file with pretrained weights whose content was checked."""

    path: Path
    source: Source
    sha256: str

    @property
    def of_a_run(self) -> bool:
        """Whether it is an earlier model of Graft's: stages and a head, not a published network."""
        return self.source == "run"


def sha256_of(path: Path, folder: Path) -> str:
    """A file's hash, worked out once for each size and time of change and remembered in ``folder``."""
    status = path.stat()
    key = f"{path.absolute()}|{status.st_size}|{status.st_mtime_ns}"
    if key not in _known_hashes:
        memory = folder / "hashes.json"
        _known_hashes.update(_read(memory))
        if key not in _known_hashes:
            _known_hashes[key] = hashed(path)
            _remember(memory, key)
    return _known_hashes[key]


def hashed(path: Path) -> str:
    """SHA-256 of a file's content, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(memory: Path) -> dict[str, str]:
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        data = json.loads(memory.read_text("utf-8"))
        return {str(key): str(value) for key, value in data["sha256"].items()}
    return {}


def _remember(memory: Path, key: str) -> None:
    """Add to the file; where it can't be written the hash is worked out again next time."""
    with suppress(OSError):
        memory.parent.mkdir(parents=True, exist_ok=True)
        known = {**_read(memory), key: _known_hashes[key]}
        write_atomically(memory, json.dumps({"format": 1, "sha256": known}).encode())
