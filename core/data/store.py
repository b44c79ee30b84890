"""A data set's directory: the only place that knows its file names. Torch-free.

```
workspace/<owner>/datasets/<id>/
  meta.json       name, when and how it came; written by pages
  photos/         the tree as it arrived (a folder on the server stays where it is: ``root`` in meta.json)
  progress.json   what the scan is doing; it and the following are written by ``core.data.scanning``
  report.json     what it found; or error.json, why it couldn't
  report-2.json   what lay there once more photos had come, and so on
  facts.json      what was measured of each photo, by its hash; columns.json, what a table says of each
  history.jsonl   what people said of the photos since (``core.data.history``); summary.json, how that stands, for lists
  arriving-*/     photos that have come to be added and aren't yet
  unpacked.json   which zips became which folders
  heartbeat       touched each second while a scan works; scan.log is what its process said
```
"""

import json
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from filelock import FileLock

from core.data import grouping
from core.data.history import History, read_history
from core.data.report import DatasetReport
from core.data.versions import apply
from core.errors import DataError
from core.workspace import write_atomically

if TYPE_CHECKING:
    from core.data.facts import Facts

FORMAT = 1
START_SECONDS = 10.0  # starting a scan takes milliseconds; who waits longer for another's start is stuck
LOG_TAIL_BYTES = 4000
NAME_LETTERS = 80
JOINERS = "\u200c\u200d"  # unseen, but part of Persian words and of emoji

Kind = Literal["upload", "server", "demo"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Summary:
    """What a list shows of a data set."""

    photos: int
    classes: int
    left_out: int
    bytes: int
    fingerprint: str


@dataclass(frozen=True)
class Dataset:
    """One data set. Its id is all that needs keeping: everything else is on disk."""

    folder: Path
    name: str
    kind: Kind
    created: float  # seconds since 1970
    root: Path  # the folder that the photos' paths are below
    summary: Summary | None = None  # once it has been scanned

    @property
    def id(self) -> str:
        return self.folder.name

    @property
    def report(self) -> Path:
        return self.folder / "report.json"

    def scan_report(self, number: int) -> Path:
        """What the scan of this number found; a data set to which photos were added has several."""
        return self.report if number == 1 else self.folder / f"report-{number}.json"

    @property
    def history(self) -> Path:
        return self.folder / "history.jsonl"

    @property
    def facts(self) -> Path:
        return self.folder / "facts.json"

    @property
    def columns(self) -> Path:
        return self.folder / "columns.json"

    @property
    def arriving(self) -> tuple[Path, ...]:
        """Photos that have come to be added, oldest first."""
        return tuple(sorted(self.folder.glob("arriving-*")))

    @property
    def summarised(self) -> Path:
        return self.folder / "summary.json"

    @property
    def error(self) -> Path:
        return self.folder / "error.json"

    @property
    def progress(self) -> Path:
        return self.folder / "progress.json"

    @property
    def unpacked(self) -> Path:
        return self.folder / "unpacked.json"

    @property
    def heartbeat(self) -> Path:
        return self.folder / "heartbeat"

    @property
    def log(self) -> Path:
        return self.folder / "scan.log"

    def scan_lock(self) -> FileLock:
        """Held by the one process that scans, as long as it lives: the kernel frees it, whatever ends the process."""
        return FileLock(self.folder / "scan.lock")

    def mend_lock(self) -> FileLock:
        """Held while a step is written to the history."""
        return FileLock(self.folder / "mend.lock", timeout=START_SECONDS)

    def start_lock(self) -> FileLock:
        """Held for the moment in which a scan is started or found dead."""
        return FileLock(self.folder / "start.lock", timeout=START_SECONDS)


def read_dataset(folder: Path) -> Dataset:
    """The data set in ``folder``."""
    try:
        meta = _read_json(folder / "meta.json")
    except FileNotFoundError:
        raise DataError("dataset.gone", value=folder.name) from None
    if int(str(meta.get("format", 0))) > FORMAT:
        raise DataError("data.newer", value=meta.get("format"))
    kind = meta.get("kind")
    if kind not in KINDS or not isinstance(meta.get("name"), str):
        raise DataError("dataset.gone", value=folder.name)
    root = Path(str(meta["root"])) if kind == "server" else folder / "photos"
    dataset = Dataset(folder, meta["name"], kind, float(meta.get("created", 0.0)), root)
    return replace(dataset, summary=_read_summary(dataset))


def read_report(dataset: Dataset, history: History | None = None) -> DatasetReport:
    """The data set as it stands now, or at the end of ``history``. Kept in memory until a file changes.

    Raises:
        FileNotFoundError: it hasn't been scanned.
        ValueError, KeyError, TypeError: the file is damaged.
    """
    if history is not None:
        return _applied(dataset, history)
    place = replace(dataset, name="", created=0.0, summary=None)  # whatever else changes, the photos don't
    return _current(place, _stamp(dataset.history), _stamp(dataset.report), _stamp(dataset.columns))


def read_scan(dataset: Dataset, number: int) -> DatasetReport:
    """What lay there when the scan of this number was made, before anything was said of it."""
    path = dataset.scan_report(number)
    return _scan_report(path, path.stat().st_mtime_ns, str(dataset.root))


def history_of(dataset: Dataset) -> History:
    """Every step that was taken."""
    return _history(dataset.history, _stamp(dataset.history))


def facts_of(dataset: Dataset) -> "Mapping[str, Facts]":
    """What was measured of each photo, by its hash; empty where that was before facts were measured."""
    from core.data.facts import read_facts  # which knows data sets itself

    return read_facts(dataset)


def columns_of(dataset: Dataset) -> Mapping[str, Mapping[str, str]]:
    """What the user's table says of the photos: column → path → value."""
    return read_or_nothing(dataset.columns)


def write_columns(dataset: Dataset, told: Mapping[str, Mapping[str, str]]) -> None:
    """Keep what a table says of the photos, in place of what one said before."""
    write_atomically(dataset.columns, compact(told))


@lru_cache(maxsize=8)
def _current(dataset: Dataset, *stamps: object) -> DatasetReport:
    del stamps  # part of the cache's key
    return _applied(dataset, history_of(dataset))


def _applied(dataset: Dataset, history: History) -> DatasetReport:
    state = history.state()
    made = apply(read_scan(dataset, state.report), state, history.version)
    if not state.rule:
        return made
    facts = facts_of(dataset) if state.rule.get("kind") == "time" else {}
    found = grouping.named(made.photos, state.rule, facts=facts, columns=columns_of(dataset))
    names = sorted(found, key=lambda name: found[name])
    return replace(made, groups=tuple(found[name] for name in names), group_names=tuple(names))


@lru_cache(maxsize=8)
def _history(path: Path, stamp: object) -> History:
    del stamp
    return read_history(path)


def _stamp(path: Path) -> tuple[int, int]:
    """Changes whenever the file does."""
    try:
        facts = path.stat()
    except FileNotFoundError:
        return (0, 0)
    return (facts.st_mtime_ns, facts.st_size)


@lru_cache(maxsize=4)
def _scan_report(path: Path, changed_ns: int, root: str) -> DatasetReport:
    """Reading 50,000 photos takes 0.25 s."""
    del changed_ns  # part of the cache's key
    # The workspace may have been moved since the scan: the photos lie where they lie now.
    read: object = json.loads(path.read_bytes())
    if not isinstance(read, dict):
        raise ValueError(f"{path} holds no report")
    return replace(DatasetReport.from_json(read), root=root)


def clean_name(name: str, letters: int = NAME_LETTERS) -> str:
    """A name for people: one line without control or direction characters, not endless."""
    shown = "".join(letter if unicodedata.category(letter)[0] != "C" or letter in JOINERS else " " for letter in name)
    return " ".join(shown.split())[:letters].strip(f" {JOINERS}")


def write_meta(dataset: Dataset) -> None:
    meta: dict[str, Any] = {"format": FORMAT, "name": dataset.name, "kind": dataset.kind, "created": dataset.created}
    if dataset.kind == "server":
        meta["root"] = str(dataset.root)
    write_atomically(dataset.folder / "meta.json", compact(meta))


def write_report(dataset: Dataset, report: DatasetReport, number: int = 1) -> None:
    """What a scan found. Before the first one its summary: where there is a report, the list can show it."""
    if number == 1:
        write_summary(dataset, report)
    write_atomically(dataset.scan_report(number), compact(report.to_json()))


def write_summary(dataset: Dataset, report: DatasetReport) -> None:
    """What lists show of the version ``report``."""
    size = sum(photo.bytes for photo in report.photos)
    summary = Summary(len(report.photos), len(report.classes), len(report.left_out), size, report.fingerprint)
    write_atomically(dataset.summarised, compact(asdict(summary)))


def _read_summary(dataset: Dataset) -> Summary | None:
    try:
        return Summary(**_read_json(dataset.summarised))
    except (OSError, TypeError):
        return None


def _read_json(path: Path) -> dict[str, Any]:
    """A JSON object; empty if the file is damaged."""
    try:
        read: object = json.loads(path.read_bytes())
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}


def read_or_nothing(path: Path) -> dict[str, Any]:
    try:
        return _read_json(path)
    except OSError:
        return {}


def log_tail(dataset: Dataset) -> str:
    """The last words of the process that scanned."""
    try:
        return dataset.log.read_bytes()[-LOG_TAIL_BYTES:].decode("utf-8", "replace")
    except OSError:
        return ""


def compact(data: object) -> bytes:
    """JSON without blanks: the report of 50,000 photos is read in a fifth less time."""
    return json.dumps(data, separators=(",", ":")).encode()
