"""What has arrived in one upload: a table in memory, one JSON line a file on disk. Torch-free.

The file system has the last word: a file is put in its place by a call that fails if something is there, so two
threads, two servers or a crash can lose a line, never a photo. Files without a line are found when the table is read.
"""

import contextlib
import hashlib
import json
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from core.data.names import collision_key, numbered, safe_path

REFUSALS_KEPT = 1000  # with their names; the rest are counted
FORGOTTEN_SECONDS = 3600.0  # after so long without a byte, an unfinished small file is nobody's


@dataclass(frozen=True)
class Received:
    """One file that is on disk, whole."""

    name: str  # as the sender called it
    path: str  # below the upload's photos/, with "/"
    bytes: int
    sha256: str
    again: bool = False  # it had already arrived under this name: nothing was added


class Journal:
    """The table of one upload. Its methods may be called from any thread."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = threading.RLock()
        self.received: list[Received] = []
        self.refused: dict[str, tuple[str, Mapping[str, object]]] = {}
        self.refused_count = 0
        self.bytes = 0
        self.arriving = 0  # files that are on their way
        self.arriving_bytes = 0  # promised to them
        self.open_parts: set[str] = set()
        self._wanted: dict[str, list[Received]] = {}
        self._taken: set[str] = set()
        self._read()

    def settle(self, name: str, wanted: str, part: Path, size: int, sha256: str) -> Received:
        """Give the finished ``part`` its place, beside and never over what is there."""
        with self.lock:
            same = self._wanted.setdefault(wanted, [])
            for earlier in same:
                if (earlier.bytes, earlier.sha256) == (size, sha256):
                    part.unlink()
                    return Received(name, earlier.path, size, sha256, again=True)
            path = self._place(part, wanted, sha256, first_number=len(same) + 1)
            arrived = Received(name, path, size, sha256)
            self._append({"name": name, "path": path, "bytes": size, "sha256": sha256})
            self._note(arrived, wanted)
            return arrived

    def refuse(self, name: str, reason: str, values: Mapping[str, object]) -> None:
        with self.lock:
            if name in self.refused:
                return
            self.refused_count += 1
            if len(self.refused) < REFUSALS_KEPT:
                self.refused[name] = (reason, values)
                self._append({"name": name, "refused": reason, "values": dict(values)})

    def withdraw(self, folder: str, into: Path) -> None:
        """Move a folder of photos away, as if they had never come: sent again, they arrive again."""
        with self.lock:
            os.rename(self.folder / "photos" / folder, into)
            self._reread()

    def put_back(self, source: Path, folder: str) -> None:
        """Move every file below ``source`` into ``folder``, beside and never over what is there."""
        with self.lock:
            self._reread()
            for file in sorted(path for path in source.rglob("*") if path.is_file()):
                name = f"{folder}/{file.relative_to(source).as_posix()}"
                self.settle(name, name, file, file.stat().st_size, _sha256(file))

    def _reread(self) -> None:
        """Forget what isn't on the disk any more. Files that are arriving go on."""
        self.received, self.refused, self.refused_count, self.bytes = [], {}, 0, 0
        self._wanted, self._taken = {}, set()
        self._read()

    def _place(self, part: Path, wanted: str, sha256: str, first_number: int) -> str:
        number = first_number
        while True:
            path = wanted if number == 1 else numbered(wanted, number)
            number += 1
            if collision_key(path) in self._taken:
                continue
            path = _beside_files(self.folder / "photos", path)
            target = self.folder / "photos" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            if _move_if_free(part, target):
                return path
            if target.is_file() and _sha256(target) == sha256:  # placed before a crash that kept its line from disk
                part.unlink()
                return path

    def _note(self, arrived: Received, wanted: str) -> None:
        self.received.append(arrived)
        self.bytes += arrived.bytes
        self._wanted.setdefault(wanted, []).append(arrived)
        self._taken.add(collision_key(arrived.path))
        if self.refused.pop(arrived.name, None) is not None:
            self.refused_count -= 1

    def _append(self, line: Mapping[str, object]) -> None:
        data = json.dumps(line, allow_nan=False) + "\n"
        with (self.folder / "journal.jsonl").open("ab", buffering=0) as file:
            file.write(data.encode())

    def _read(self) -> None:
        journal = self.folder / "journal.jsonl"
        text = journal.read_bytes() if journal.exists() else b""
        photos = self.folder / "photos"
        placed: dict[str, Received] = {}  # the last line about a path is the true one: a class may have been taken out
        for line in text.splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue  # a line torn by a crash; its file is found below
            if "refused" in entry:
                self.refused_count += entry["name"] not in self.refused
                self.refused[entry["name"]] = (entry["refused"], entry["values"])
            elif (photos / entry["path"]).is_file():
                placed[entry["path"]] = Received(entry["name"], entry["path"], entry["bytes"], entry["sha256"])
        for arrived in placed.values():
            self._note(arrived, safe_path(arrived.name) or arrived.path)
        if text and not text.endswith(b"\n"):
            with journal.open("ab") as file:
                file.write(b"\n")
        self._adopt_unwritten(photos)
        _forget_parts(self.folder / "parts")

    def _adopt_unwritten(self, photos: Path) -> None:
        """Files that were placed just before a crash, and so have no line yet."""
        known = {entry.path for entry in self.received}
        for file in sorted(photos.rglob("*")):
            path = file.relative_to(photos).as_posix()
            if path in known or not file.is_file():
                continue
            sha256 = _sha256(file)
            arrived = Received(path, path, file.stat().st_size, sha256)
            self._append({"name": path, "path": path, "bytes": arrived.bytes, "sha256": sha256})
            self._note(arrived, path)


_guard = threading.Lock()
_open: "weakref.WeakValueDictionary[Path, Journal]" = weakref.WeakValueDictionary()
_recent: deque[Journal] = deque(maxlen=8)  # reading 2,000 lines takes 20 ms: not between two batches of one upload


def journal_of(folder: Path) -> Journal:
    """The one journal of ``folder`` in this process, read from disk at first use."""
    with _guard:
        journal = _open.get(folder)
        if journal is None:
            journal = _open[folder] = Journal(folder)
        if journal not in _recent:
            _recent.append(journal)
        return journal


def read_journal(folder: Path, offset: int = 0) -> tuple[list[Received], int]:
    """The files whose whole lines begin at byte ``offset``, and where to read on; for other processes than the server.

    Files that a crash kept from their line are not among them.
    """
    try:
        with (folder / "journal.jsonl").open("rb") as journal:
            journal.seek(offset)
            data = journal.read()
    except FileNotFoundError:
        return [], offset
    end = data.rfind(b"\n") + 1
    found: list[Received] = []
    for line in data[:end].splitlines():
        with contextlib.suppress(ValueError):  # torn by a crash, and ended since
            entry = json.loads(line)
            if "path" in entry:
                found.append(Received(entry["name"], entry["path"], entry["bytes"], entry["sha256"]))
    return found, offset + end


def forget(folder: Path) -> None:
    with _guard:
        if (journal := _open.pop(folder, None)) is not None and journal in _recent:
            _recent.remove(journal)


def _move_if_free(part: Path, target: Path) -> bool:
    """Move ``part`` to ``target`` unless something is there; atomic on every system."""
    try:
        os.link(part, target)
    except FileExistsError:
        return False
    except OSError:  # a file system without hard links: take the name first, then put the file there
        try:
            target.open("xb").close()
        except FileExistsError:
            return False
        os.replace(part, target)
    else:
        part.unlink()
    return True


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _beside_files(photos: Path, path: str) -> str:
    """``path`` with a folder renumbered where a file already has its name."""
    *folders, last = path.split("/")
    built: list[str] = []
    for folder in folders:
        name, number = folder, 2
        while (photos.joinpath(*built, name)).is_file():
            name, number = numbered(folder, number), number + 1
        built.append(name)
    return "/".join([*built, last])


def _forget_parts(parts: Path) -> None:
    """Half of a small file is of no use: it is sent again. Pieces of large files (``.part``) wait for the rest."""
    for file in parts.glob("*.tmp"):
        if time.time() - file.stat().st_mtime > FORGOTTEN_SECONDS:
            file.unlink(missing_ok=True)
