"""Many files in one request body: a list of what comes, then the bytes, file after file.

```
4 bytes   length of the list, big-endian
list      JSON: [{"name": "cat/a.jpg", "size": 99000}, …]
bytes     of the first entry, of the second, …
```
An entry with ``offset``, ``total`` and ``resume`` is a piece of a larger file. Multipart would need a search for
boundaries in every byte; one request a file costs about a millisecond each, on both sides.
"""

import json
from dataclasses import dataclass

from core.data.intake import Arrival, BusyError, Upload
from core.data.quota import Quota, RefusalError

LIST_BYTES = 4_000_000
NAME_CHARACTERS = 8192


class BadBatchError(ValueError):
    """A body that our own page would never send."""


@dataclass(frozen=True)
class Entry:
    name: str
    size: int  # bytes of it in this body
    offset: int
    total: int
    resume: str | None


class Batch:
    """Takes a body in pieces of any length, on a worker thread. ``close`` it in any case."""

    def __init__(self, upload: Upload, quota: Quota) -> None:
        self.upload, self.quota = upload, quota
        self.answers: list[dict[str, object]] = []
        self.full = False
        self._head = bytearray()
        self._entries: list[Entry] | None = None
        self._arrival: Arrival | None = None
        self._left = 0  # bytes of the current entry still to come

    def feed(self, data: bytes) -> None:
        rest = memoryview(data)
        if self._entries is None:
            rest = self._feed_head(rest)
        while self._entries is not None and len(self.answers) < len(self._entries):
            taken = rest[: self._left]
            if self._arrival is not None and taken:
                self._write(bytes(taken))
            self._left -= len(taken)
            rest = rest[len(taken) :]
            if self._left:
                return
            self._end_entry()
        if rest:
            raise BadBatchError("more bytes came than the list announced")

    def finish(self) -> list[dict[str, object]]:
        """What became of each entry, in order; raises BadBatchError if some didn't come."""
        if self._entries is None or len(self.answers) < len(self._entries):
            raise BadBatchError("fewer bytes came than the list announced")
        return self.answers

    def close(self) -> None:
        if self._arrival is not None:
            self._arrival.close()
            self._arrival = None

    def _feed_head(self, data: memoryview) -> memoryview:
        wanted = 4
        while len(self._head) < wanted:
            taken = data[: wanted - len(self._head)]
            self._head += taken
            data = data[len(taken) :]
            if len(self._head) < wanted:
                return data
            wanted = 4 + int.from_bytes(self._head[:4], "big")
            if wanted > LIST_BYTES:
                raise BadBatchError("the list is too long")
        self._entries = read_list(bytes(self._head[4:]))
        self._begin_entry()
        return data

    def _begin_entry(self) -> None:
        if self._entries is None or len(self.answers) == len(self._entries):
            return
        entry = self._entries[len(self.answers)]
        self._left = entry.size
        self._refused: dict[str, object] | None = None
        try:
            self._arrival = Arrival(self.upload, entry.name, quota=self.quota, size=entry.total, resume=entry.resume)
            if self._arrival.have != entry.offset:  # the sender goes on from what we have
                self._refused = {"state": "partial", "have": self._arrival.have}
                self.close()
        except RefusalError as error:
            self._refuse(error)
        except BusyError:
            self._refused = {"state": "busy"}

    def _write(self, data: bytes) -> None:
        if self._arrival is not None:
            try:
                self._arrival.write(data)
            except RefusalError as error:
                self.close()
                self._refuse(error)

    def _end_entry(self) -> None:
        if self._arrival is None:
            self.answers.append(self._refused or {"state": "busy"})
        elif self._arrival.complete:
            received = self._arrival.finish()
            self.answers.append({"state": "received", "path": received.path, "again": received.again})
        else:
            self.answers.append({"state": "partial", "have": self._arrival.have})
        self.close()
        self._begin_entry()

    def _refuse(self, error: RefusalError) -> None:
        self.full = self.full or error.ends_all
        self._refused = {"state": "refused", "reason": error.reason, "text": error.message, "hint": error.hint}


def read_list(data: bytes) -> list[Entry]:
    """The announced entries; raises BadBatchError for anything that our page wouldn't send."""
    try:
        rows = json.loads(data)
    except ValueError:
        raise BadBatchError("the list is no JSON") from None
    if not isinstance(rows, list):
        raise BadBatchError("the list is no list")
    return [_read_entry(row) for row in rows]


def _read_entry(row: object) -> Entry:
    if not isinstance(row, dict) or not isinstance(row.get("name"), str) or len(row["name"]) > NAME_CHARACTERS:
        raise BadBatchError("an entry has no name")
    size, resume = row.get("size"), row.get("resume")
    offset, total = row.get("offset", 0), row.get("total", size)
    numbers = (size, offset, total)
    if not all(isinstance(number, int) and not isinstance(number, bool) and number >= 0 for number in numbers):
        raise BadBatchError("an entry has no size")
    whole = offset == 0 and size == total
    if offset + size > total or (not whole and resume is None) or not isinstance(resume, str | None):
        raise BadBatchError("an entry's piece doesn't fit into its file")
    return Entry(row["name"], size, offset, total, resume)
