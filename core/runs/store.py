"""A run's directory: the only place that knows its file names. Torch-free.

One writer each: the page writes ``config.json`` and ``split.json`` once, ``notes.json``, and the flags ``stop`` and
``resume``; the worker writes the rest. Nothing says what state a run is in; that is folded from the events
(``core.runs.state``).
"""

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from core.config import TrainConfig
from core.data.report import Split
from core.errors import RunError
from core.events import Event, from_line, to_line
from core.workspace import ID_PATTERN, make_directory, write_atomically

FORMAT = 1
LOG_TAIL_BYTES = 4000


@dataclass(frozen=True)
class RunInfo:
    """What was fixed before the start: settings and where the photos came from."""

    config: TrainConfig
    title: str
    dataset: Mapping[str, object]  # id, name, fingerprint, photos, skipped
    created: float  # seconds since 1970

    @property
    def fingerprint(self) -> str:
        return str(self.dataset.get("fingerprint", ""))


@dataclass(frozen=True)
class RunDirectory:
    """Paths and whole-file reads of one run."""

    path: Path

    @property
    def id(self) -> str:
        return self.path.name

    @property
    def events(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def log(self) -> Path:
        return self.path / "worker.log"

    @property
    def heartbeat(self) -> Path:
        return self.path / "heartbeat"

    @property
    def lock(self) -> Path:
        return self.path / "worker.lock"

    @property
    def stop_flag(self) -> Path:
        return self.path / "stop"

    @property
    def resume_flag(self) -> Path:
        """Its time says when the user last asked to go on."""
        return self.path / "resume"

    @property
    def last(self) -> Path:
        """Where training can go on from, and the best so far."""
        return self.path / "last.safetensors"

    @property
    def model(self) -> Path:
        """The whole network of the best epoch."""
        return self.path / "model.safetensors"

    @property
    def model_card(self) -> Path:
        """What the network needs to be used: classes, preprocessing, backbone."""
        return self.path / "model.json"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.json"

    @property
    def notes(self) -> Path:
        """What a person wrote about it: name, note, star (``core.runs.notes``)."""
        return self.path / "notes.json"

    @property
    def validation(self) -> Path:
        """What the network of the best epoch said about the validation photos, before they taught it as well."""
        return self.path / "validation.json"

    @property
    def judged(self) -> Path:
        """What each epoch said about the validation photos, a line an epoch (``core.training.watched``)."""
        return self.path / "judged.jsonl"

    @property
    def known(self) -> Path:
        """What the training photos look like to the network, and what is unlike them (``core.inference.unknown``)."""
        return self.path / "known.safetensors"

    @property
    def tests(self) -> Path:
        """Scores on other photos than the run's own test part, a file each."""
        return self.path / "tests"

    @property
    def export(self) -> Path:
        """The bundle that was made last, and how its parity check came out."""
        return self.path / "export"

    @property
    def map(self) -> Path:
        """Where its photos lie in feature space, and the process that finds out (``core.inference.map_folder``)."""
        return self.path / "map"

    @property
    def kept(self) -> Path:
        """Kept activations, where no shared cache is named."""
        return self.path / "kept"

    @property
    def has_model(self) -> bool:
        return self.model.exists() and self.model_card.exists()

    def info(self) -> RunInfo:
        data = self._json("config.json")
        return RunInfo(
            config=TrainConfig.from_json(data["config"]),
            title=data["title"],
            dataset=data["dataset"],
            created=data["created"],
        )

    def split(self) -> Split:
        return Split.from_json(self._json("split.json"))

    def results(self) -> dict[str, object] | None:
        """The final evaluation, or None while there is none."""
        return self._json("metrics.json") if self.metrics.exists() else None

    def ask_to_resume(self) -> None:
        """Note the moment: until the worker's next event is later than that, the run counts as starting."""
        self.stop_flag.unlink(missing_ok=True)
        self.resume_flag.touch()
        os.utime(self.resume_flag, (now := time.time(), now))  # a file's own clock may lag behind that of the events

    @property
    def asked_to_resume_at(self) -> float:
        """Seconds since 1970; 0 where nobody asked."""
        try:
            return self.resume_flag.stat().st_mtime
        except FileNotFoundError:
            return 0.0

    def log_tail(self) -> str:
        """The last lines the worker printed."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, self.log.stat().st_size - LOG_TAIL_BYTES))
                return file.read().decode("utf-8", "replace").strip()
        except FileNotFoundError:
            return ""

    def _json(self, name: str) -> dict:  # type: ignore[type-arg]
        try:
            return json.loads((self.path / name).read_text("utf-8"))
        except FileNotFoundError:
            raise RunError("runs.missing_file", run=self.id, file=name) from None
        except (json.JSONDecodeError, UnicodeDecodeError):
            raise RunError("runs.broken_file", run=self.id, file=name) from None


def create(
    parent: Path, config: TrainConfig, split: Split, *, title: str, dataset: Mapping[str, object]
) -> RunDirectory:
    """A new run below ``parent`` with its settings and exact file lists; nothing is started."""
    _, path = make_directory(parent)
    return fill(path, config, split, title=title, dataset=dataset)


def fill(path: Path, config: TrainConfig, split: Split, *, title: str, dataset: Mapping[str, object]) -> RunDirectory:
    """Write what is fixed before the start into an empty directory of the caller's."""
    run = RunDirectory(path)
    write_atomically(path / "split.json", json.dumps(split.to_json(), ensure_ascii=False).encode())
    settings = {
        "format": FORMAT,
        "title": title,
        "created": time.time(),
        "dataset": dict(dataset),
        "config": config.to_json(),
    }
    # config.json is written last: a directory without it is no run yet, and list_runs passes over it.
    write_atomically(path / "config.json", json.dumps(settings, ensure_ascii=False, indent=1).encode())
    return run


class EventWriter:
    """Appends events; flushed line by line, so that a reader in another process sees them at once."""

    def __init__(self, run: RunDirectory) -> None:
        end_torn_line(run.events)
        self._file = run.events.open("a", encoding="utf-8")

    def append(self, event: Event) -> None:
        self._file.write(to_line(replace(event, at=time.time())) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()


def end_torn_line(path: Path) -> None:
    """A worker killed while writing left half a line: end it, so that the next event starts on its own."""
    if path.exists() and path.stat().st_size:
        with path.open("rb+") as file:
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")


def read_events(run: RunDirectory, offset: int = 0) -> tuple[list[Event], int]:
    """The whole lines from byte ``offset`` on, and the offset after them; a torn last line waits for its end."""
    try:
        with run.events.open("rb") as file:
            file.seek(offset)
            data = file.read()
    except FileNotFoundError:
        return [], offset
    end = data.rfind(b"\n") + 1
    events: list[Event] = []
    for line in data[:end].splitlines():
        try:
            event = from_line(line.decode("utf-8"))
        except (ValueError, TypeError):
            continue  # half a line that a killed worker left; end_torn_line closed it
        if event is not None:
            events.append(event)
    return events, offset + end


def open_run(parent: Path, identifier: str) -> RunDirectory:
    """The run with this id below ``parent``; RunError when there is none."""
    if not ID_PATTERN.fullmatch(identifier) or not (parent / identifier / "config.json").exists():
        raise RunError("runs.unknown", run=identifier[:80])
    return RunDirectory(parent / identifier)


def all_runs(parent: Path) -> list[RunDirectory]:
    """Every run below ``parent``, newest first; one that is being deleted has a name with a dot, and is none."""
    if not parent.is_dir():
        return []
    names = sorted((entry.name for entry in os.scandir(parent) if entry.is_dir()), reverse=True)
    whole = (name for name in names if not name.startswith(".") and (parent / name / "config.json").exists())
    return [RunDirectory(parent / name) for name in whole]
