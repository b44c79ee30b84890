"""Photos on their way in: each file is written to disk as it arrives, whole or not at all. Torch-free.

```
workspace/<owner>/uploads/<id>/
  upload.json     what it is for
  photos/         what has arrived, under safe names, folders kept
  parts/          what is still arriving
  removed/        classes that were taken out again, each in a folder of its own
  journal.jsonl   one line a file: the name it was sent under, where it lies, its size and hash
```
"""

import errno
import hashlib
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Literal, get_args

from core.data.journal import Journal, Received, forget, journal_of
from core.data.names import safe_path
from core.data.quota import Quota, RefusalError
from core.errors import DataError
from core.words import say
from core.workspace import Workspace, below, make_directory, write_atomically

FORMAT = 1
# Folders and zips, photos class by class, a few photos to try a model on, many, photos to test a model on; and a model.
Purpose = Literal["dataset", "classes", "try", "many", "test", "bundle"]
RESUME_PATTERN = re.compile(r"[0-9a-f]{16,64}")
EMPTY_SECONDS = 86_400.0  # an upload into which nothing came for a day is cleared away


@dataclass(frozen=True)
class Upload:
    """One person's files arriving together. Its id is all that needs keeping: everything else is on disk."""

    workspace: Workspace
    id: str
    purpose: Purpose

    @property
    def folder(self) -> Path:
        return below(self.workspace.uploads, self.id)

    @property
    def photos(self) -> Path:
        return self.folder / "photos"

    @property
    def parts(self) -> Path:
        return self.folder / "parts"


@dataclass(frozen=True)
class Refused:
    """A file that was not taken. ``reason`` names an entry of the catalogue of the file ``upload``."""

    name: str
    reason: str
    values: Mapping[str, object]

    @property
    def text(self) -> str:
        return say(f"upload.{self.reason}.message", **self.values)


@dataclass(frozen=True)
class Summary:
    """What lies in an upload."""

    files: int
    bytes: int
    refused: tuple[Refused, ...]  # the first thousand
    refused_count: int


def begin(workspace: Workspace, *, purpose: Purpose) -> Upload:
    """A new, empty upload."""
    _clear_empty(workspace)
    identifier, folder = make_directory(workspace.uploads)
    (folder / "photos").mkdir()
    (folder / "parts").mkdir()
    write_atomically(folder / "upload.json", json.dumps({"format": FORMAT, "purpose": purpose}).encode())
    return Upload(workspace, identifier, purpose)


def open_upload(workspace: Workspace, identifier: str) -> Upload:
    """The upload behind ``identifier``; raises DataError if this owner has none of that name."""
    try:
        facts = json.loads((below(workspace.uploads, identifier) / "upload.json").read_text("utf-8"))
    except FileNotFoundError:
        raise DataError("upload.gone", value=identifier) from None
    purpose = facts["purpose"] if facts["purpose"] in get_args(Purpose) else "dataset"
    return Upload(workspace, identifier, purpose)


def discard(upload: Upload) -> None:
    """Remove the upload and what arrived in it."""
    forget(upload.folder)
    shutil.rmtree(upload.folder)


def receive(upload: Upload, name: str, chunks: Iterable[bytes] | bytes, *, quota: Quota | None = None) -> Received:
    """Write one file under a safe form of ``name``: whole or not at all, and never over another.

    A file of the same name and content counts once; one of the same name and other content gets a number.
    Raises RefusalError (which the journal notes too) if it can't be taken.
    """
    arrival = Arrival(upload, name, quota=quota or Quota.from_environment())
    try:
        for chunk in (chunks,) if isinstance(chunks, bytes) else chunks:
            arrival.write(chunk)
        return arrival.finish()
    finally:
        arrival.close()


def summary(upload: Upload) -> Summary:
    """How many files have arrived, and what was refused."""
    journal = journal_of(upload.folder)
    with journal.lock:
        refused = tuple(Refused(name, reason, values) for name, (reason, values) in journal.refused.items())
        return Summary(len(journal.received), journal.bytes, refused, journal.refused_count)


def arrived(upload: Upload) -> tuple[Received, ...]:
    """Every file that is there, in the order of arrival: the sender asks for this to go on after a break."""
    journal = journal_of(upload.folder)
    with journal.lock:
        return tuple(journal.received)


def count_on_disk(upload: Upload) -> int:
    """The files in ``photos/``, counted by looking."""
    return sum(len(files) for _, _, files in os.walk(upload.photos))


class Arrival:
    """One file being written. Feed it with ``write``, then ``finish``; ``close`` in any case.

    ``size`` is what the sender announced, so that a file too large is refused before its first byte. With ``resume``
    (an id of the sender's making) the bytes that came so far outlive a broken connection: see ``have``.
    """

    def __init__(
        self, upload: Upload, name: str, *, quota: Quota, size: int | None = None, resume: str | None = None
    ) -> None:
        if resume is not None and not RESUME_PATTERN.fullmatch(resume):
            raise ValueError(f"not an id to resume by: {resume[:80]!r}")
        wanted = safe_path(name)
        if wanted is None:
            raise _refuse(upload, name, "no_name", name=name[:80])
        self.name, self.size, self._wanted = name, size, wanted
        self._upload, self._quota, self._resume = upload, quota, resume
        self._journal: Journal = journal_of(upload.folder)
        self._promised, self._counted = 0, False
        self._hash = hashlib.sha256()
        self._claim()
        self._part = upload.parts / (f"{resume}.part" if resume else f"{secrets.token_hex(8)}.tmp")
        try:
            self._file = FileIO(self._part, "ab")
        except OSError:
            self._release()
            raise
        self.have = self._file.tell()
        if size is not None and self.have > size:  # another file left this under the same id
            self.have = self._file.truncate(0)
        try:
            self._promise(size or 0)
        except RefusalError:
            self.close()
            raise

    def write(self, data: bytes) -> None:
        """Append ``data``; raises RefusalError when the announced size or a quota is passed."""
        if self.size is not None and self.have + len(data) > self.size:
            raise ValueError(f"more than the announced {self.size} bytes came for {self._wanted}")
        self._promise(self.have + len(data))
        try:
            _write_all(self._file, data)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise _refuse(self._upload, self.name, "disk_full", name=self.name, **self._quota.spoken) from error
        if not self._resume:
            self._hash.update(data)
        self.have += len(data)

    @property
    def complete(self) -> bool:
        return self.size is None or self.have == self.size

    def finish(self) -> Received:
        """Give the whole file its place."""
        if not self.complete:
            raise ValueError(f"{self.have} of {self.size} bytes came for {self._wanted}")
        self._file.close()
        digest = self._digest()
        with self._journal.lock:  # at no moment counted twice
            self._release()
            return self._journal.settle(self.name, self._wanted, self._part, self.have, digest)

    def close(self) -> None:
        """Let go: an unfinished file leaves nothing behind, unless it is one that can be resumed."""
        self._file.close()
        if not self._resume or not self.have:
            self._part.unlink(missing_ok=True)
        self._release()

    def _digest(self) -> str:
        if not self._resume:
            return self._hash.hexdigest()
        with self._part.open("rb") as file:  # its first bytes may have come to another process, a day ago
            return hashlib.file_digest(file, "sha256").hexdigest()

    def _promise(self, size: int) -> None:
        """Set ``size`` bytes aside for this file, or refuse it."""
        if self._counted and size <= self._promised:
            return
        journal = self._journal
        with journal.lock:
            others_arriving = journal.arriving_bytes - self._promised
            limit = self._quota.broken_by(
                size,
                others_bytes=journal.bytes + others_arriving,
                others=len(journal.received) + journal.arriving - self._counted,
                free=shutil.disk_usage(self._upload.parts).free - others_arriving,
            )
            if limit is None:
                journal.arriving_bytes += size - self._promised
                journal.arriving += not self._counted
                self._promised, self._counted = size, True
                return
        raise _refuse(self._upload, self.name, limit, name=self.name, **self._quota.spoken)

    def _claim(self) -> None:
        """One writer at a time for each file that can be resumed."""
        if self._resume:
            with self._journal.lock:
                if self._resume in self._journal.open_parts:
                    raise BusyError(self.name)
                self._journal.open_parts.add(self._resume)

    def _release(self) -> None:
        with self._journal.lock:
            self._journal.arriving_bytes -= self._promised
            self._journal.arriving -= self._counted
            self._promised, self._counted = 0, False
            if self._resume:
                self._journal.open_parts.discard(self._resume)


class BusyError(Exception):
    """The same large file is arriving in another request at this moment."""


def _refuse(upload: Upload, name: str, reason: str, /, **values: object) -> RefusalError:
    journal_of(upload.folder).refuse(name, reason, values)
    return RefusalError(reason, **values)


def _write_all(file: FileIO, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) or 0 :]


def _clear_empty(workspace: Workspace) -> None:
    """Opening a page makes an upload; those that nobody sent anything to go after a day."""
    for file in workspace.uploads.glob("*/upload.json"):
        folder = file.parent
        if time.time() - file.stat().st_mtime < EMPTY_SECONDS or (folder / "journal.jsonl").exists():
            continue
        if not any((folder / "parts").glob("*.part")) and not any((folder / "photos").iterdir()):
            shutil.rmtree(folder, ignore_errors=True)
