"""The bundle that was made last of a run: where it lies, how its check came out, whether it still fits. Torch-free.

```
runs/<id>/export/
  made.json            names the bundle, says when and of which model it was made, and how its check came out
  bundle-<digits>.zip  whole, or not there
  progress.json …      what is known of the process that makes one (``core.background``)
```
"""

import json
import re
import secrets
import shutil
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.background import WorkFolder
from core.export.parity import Parity
from core.runs.store import RunDirectory
from core.workspace import write_atomically

FORMAT = 1
_NAME = re.compile(r"bundle-[0-9a-f]{8}\.zip")


@dataclass(frozen=True)
class Made:
    """A bundle that can be taken along. ``contents`` are its files by their path in it, with their bytes unpacked."""

    file: Path
    at: float  # seconds since 1970
    of: str  # the stamp of what it was made from
    with_photos: bool
    parity: Parity
    contents: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class ExportFolder(WorkFolder):
    """A run's bundle, while it is made and afterwards."""

    run: RunDirectory

    @property
    def path(self) -> Path:
        return self.run.export

    @property
    def about(self) -> Path:
        return self.path / "made.json"

    def stamp(self) -> str:
        """Changes when the run has another model, other scores, or another idea of what is unknown to it."""
        files = (self.run.model, self.run.model_card, self.run.known, self.run.metrics, self.run.validation)
        return " ".join(_stamp(file) for file in files)

    def made(self) -> Made | None:
        """The bundle that is there; None where none is, or what is said of it can't be read."""
        try:
            told: dict[str, Any] = json.loads(self.about.read_text("utf-8"))
            name = str(told["file"])
            if int(told["format"]) > FORMAT or not _NAME.fullmatch(name):
                return None
            made = Made(
                file=self.path / name,
                at=float(told["at"]),
                of=str(told["of"]),
                with_photos=bool(told["with_photos"]),
                parity=Parity.from_json(told["parity"]),
                contents=tuple((str(file), int(size)) for file, size in told["contents"]),
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return made if made.file.is_file() else None

    def place(self) -> Path:
        """Where the next bundle is written to: never over the one that somebody may be downloading."""
        return self.path / f"bundle-{secrets.token_hex(4)}.zip"

    def keep(self, bundle: Path, parity: Parity, stamp: str, *, with_photos: bool) -> None:
        """From now on this bundle is the one; the others go."""
        with zipfile.ZipFile(bundle) as opened:
            contents = [(info.filename.partition("/")[2], info.file_size) for info in opened.infolist()]
        told = {
            "format": FORMAT,
            "file": bundle.name,
            "at": time.time(),
            "of": stamp,
            "with_photos": with_photos,
            "parity": parity.to_json(),
            "contents": contents,
        }
        write_atomically(self.about, json.dumps(told, ensure_ascii=False).encode())
        self.sweep()

    def sweep(self) -> None:
        """Remove what nobody can ask for: earlier bundles, and what a killed process has left."""
        made = self.made()
        for file in self.path.glob("bundle-*.zip"):
            if made is None or file != made.file:
                file.unlink(missing_ok=True)
        for folder in self.path.glob(".graft-export-*"):
            shutil.rmtree(folder, ignore_errors=True)


def _stamp(file: Path) -> str:
    try:
        facts = file.stat()
    except FileNotFoundError:
        return "-"
    return f"{facts.st_size}-{facts.st_mtime_ns}"
