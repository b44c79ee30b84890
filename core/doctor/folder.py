"""The files of a check-up, below its data set: the only place that knows their names. Torch-free.

```
workspace/<owner>/datasets/<id>/doctor/
  <fingerprint>-fast.json, -deep.json   what was found in that version; -deep may hold a reason instead
  <fingerprint>-proposals.json          what its unlabelled photos probably show
  first.json                            the photos that were labelled when something was first proposed
  rounds.json                           how well the labelled photos taught, version by version
  progress.json, error.json             what is being done for which version, and why it couldn't be
  heartbeat, checkup.lock, stop         is it alive; and a flag that a page sets
```
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from filelock import FileLock

from core.data.store import Dataset, compact, read_or_nothing
from core.doctor.labelling import Proposals
from core.doctor.report import FORMAT, Depth, Examination
from core.errors import CoreError
from core.workspace import write_atomically

KEPT = 8  # versions whose findings stay: undoing finds them again
START_SECONDS = 10.0
LOG_TAIL_BYTES = 4000


@dataclass(frozen=True)
class Round:
    """How well the labelled photos of one version teach, judged on those that a person had labelled first."""

    fingerprint: str
    labelled: int
    unlabelled: int
    accuracy: float
    judged: int


@dataclass(frozen=True)
class DoctorFolder:
    """Where one data set's findings lie."""

    path: Path

    @property
    def progress(self) -> Path:
        return self.path / "progress.json"

    @property
    def error(self) -> Path:
        return self.path / "error.json"

    @property
    def heartbeat(self) -> Path:
        return self.path / "heartbeat"

    @property
    def stop(self) -> Path:
        return self.path / "stop"

    @property
    def log(self) -> Path:
        return self.path / "checkup.log"

    def lock(self) -> FileLock:
        """Held by the one process that examines, as long as it lives."""
        return FileLock(self.path / "checkup.lock")

    def start_lock(self) -> FileLock:
        """Held for the moment in which one is started or found dead."""
        return FileLock(self.path / "start.lock", timeout=START_SECONDS)

    # What was found

    def write(self, examination: Examination) -> None:
        write_atomically(self._found(examination.fingerprint, examination.depth), compact(examination.to_json()))

    def write_without_deep(self, fingerprint: str, reason: str) -> None:
        """Say why the closer look couldn't be had: a word below ``doctor.without_deep``."""
        told = {"format": FORMAT, "fingerprint": fingerprint, "reason": reason}
        write_atomically(self._found(fingerprint, "deep"), compact(told))

    def write_proposals(self, proposals: Proposals) -> None:
        write_atomically(self._found(proposals.fingerprint, "proposals"), compact(proposals.to_json()))

    def examination(self, fingerprint: str, depth: Depth) -> Examination | None:
        data = _read(self._found(fingerprint, depth))
        return Examination.from_json(data) if "diagnoses" in data else None

    def without_deep(self, fingerprint: str) -> str | None:
        reason = _read(self._found(fingerprint, "deep")).get("reason")
        return reason if isinstance(reason, str) else None

    def proposals(self, fingerprint: str) -> Proposals | None:
        data = _read(self._found(fingerprint, "proposals"))
        return Proposals.from_json(data) if data else None

    def latest(self, depth: Depth, besides: str) -> Examination | None:
        """The newest examination of another version."""
        for path in self._by_age(f"*-{depth}.json"):
            if not path.name.startswith(besides):
                data = _read(path)
                if "diagnoses" in data:
                    return Examination.from_json(data)
        return None

    # Rounds of labelling

    def first(self) -> tuple[str, ...] | None:
        """The paths that were labelled before anything was proposed."""
        found = read_or_nothing(self.path / "first.json").get("paths")
        return tuple(found) if found else None

    def write_first(self, paths: tuple[str, ...]) -> None:
        write_atomically(self.path / "first.json", compact({"format": FORMAT, "paths": paths}))

    def rounds(self) -> tuple[Round, ...]:
        rows = read_or_nothing(self.path / "rounds.json").get("rounds", ())
        return tuple(Round(**row) for row in rows)

    def add_round(self, made: Round) -> None:
        others = [one for one in self.rounds() if one.fingerprint != made.fingerprint]
        told = [asdict(one) for one in (*others, made)]
        write_atomically(self.path / "rounds.json", compact({"format": FORMAT, "rounds": told}))

    # Keeping order

    def tidy(self) -> None:
        """Remove what a killed process left half written, and the findings of all but the newest versions."""
        for path in self.path.glob(".*.tmp"):
            path.unlink(missing_ok=True)
        kept: list[str] = []
        for path in self._by_age("*-*.json"):
            fingerprint = path.name.split("-", 1)[0]
            if fingerprint not in kept:
                kept.append(fingerprint)
            if fingerprint not in kept[:KEPT]:
                path.unlink(missing_ok=True)

    def told_error(self, fingerprint: str) -> CoreError | None:
        """What kept the check-up of this version from its end."""
        told = read_or_nothing(self.error)
        return CoreError.from_json(told) if told.get("fingerprint") == fingerprint else None

    def log_tail(self) -> str:
        """The last words of the process."""
        try:
            return self.log.read_bytes()[-LOG_TAIL_BYTES:].decode("utf-8", "replace")
        except OSError:
            return ""

    def _found(self, fingerprint: str, what: str) -> Path:
        return self.path / f"{fingerprint}-{what}.json"

    def _by_age(self, pattern: str) -> list[Path]:
        """The newest first; by name where they are of one moment."""
        return sorted(self.path.glob(pattern), key=lambda path: (path.stat().st_mtime_ns, path.name), reverse=True)


def doctor_folder(dataset: Dataset) -> DoctorFolder:
    return DoctorFolder(dataset.folder / "doctor")


def _read(path: Path) -> Mapping[str, Any]:
    """A JSON object; empty where there is none, or one that can't be read: then it is made again."""
    try:
        return _parsed(path, path.stat().st_mtime_ns)
    except (OSError, ValueError):
        return {}


@lru_cache(maxsize=16)
def _parsed(path: Path, changed_ns: int) -> Mapping[str, Any]:
    del changed_ns  # part of the cache's key: pages ask several times a second
    read: object = json.loads(path.read_bytes())
    return read if isinstance(read, dict) else {}
