"""Weights over the network: with progress, resumed where it broke off, checked, never hanging. Torch-free.

What has arrived lies in ``<file>.part`` until its hash is right; only then does it get its name.
"""

import os
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from core.errors import ModelError
from core.models.files import WeightsFile, hashed, sha256_of
from core.models.registry import Backbone

CHUNK_BYTES = 1 << 18
ATTEMPTS = 3  # in a row that bring nothing new
PAUSE_SECONDS = 1.0  # before the second attempt; twice as long before the third
WORTH_A_RETRY = (408, 425, 429, 500, 502, 503, 504)

Progress = Callable[[int, int], None]


class FetchStopped(ModelError):
    """The user asked to stop; what has arrived is kept."""


class _BrokenOff(Exception):
    """The server went away, or fell silent, before the end."""


class _Unreachable(Exception):
    """There is no way to the server."""


def fetch(
    backbone: Backbone,
    folder: Path,
    *,
    on_progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
    timeout_seconds: float = 10.0,
) -> WeightsFile:
    """Download the published weights into ``folder``; ``on_progress`` gets bytes done and bytes in all.

    ``timeout_seconds`` of silence count as broken off. Without a network the error comes after at most that time for
    each address that the host's name stands for.

    Raises:
        ModelError: they can't be had, and how to go on.
        FetchStopped: ``should_stop`` said so.
    """
    source = backbone.weights
    if source.url is None:
        raise ModelError("models.from_package", title=backbone.title, package=source.package)
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / source.file_name
    try:
        with FileLock(folder / f"{source.file_name}.lock", timeout=0):
            if not (target.is_file() and sha256_of(target, folder).startswith(source.sha256)):
                download = _Download(backbone, folder, on_progress, should_stop or (lambda: False), timeout_seconds)
                download.run()
                os.replace(download.part, target)
            return WeightsFile(target, "fetched", sha256_of(target, folder))
    except Timeout:
        raise ModelError("models.fetch_busy", title=backbone.title) from None


class _Download:
    """One file on its way into its ``.part``."""

    def __init__(
        self,
        backbone: Backbone,
        folder: Path,
        on_progress: Progress | None,
        should_stop: Callable[[], bool],
        timeout_seconds: float,
    ) -> None:
        self.backbone, self.on_progress, self.should_stop = backbone, on_progress, should_stop
        self.timeout_seconds = timeout_seconds
        self.url = cast("str", backbone.weights.url)
        self.host = urlsplit(self.url).hostname
        self.part = folder / f"{backbone.weights.file_name}.part"
        self.total = round(backbone.megabytes * 1e6)  # until the server tells

    def run(self) -> None:
        """Until the part is whole and right."""
        began_with = self._here()
        self._receive_all()
        wrong = self._wrong_hash()
        if wrong and began_with:
            # The beginning may have been another file's, or spoilt on disk: once more, from nothing.
            self.part.unlink()
            self._receive_all()
            wrong = self._wrong_hash()
        if wrong:
            self.part.unlink()
            raise self._error("fetched_wrong", has=wrong, needs=self.backbone.weights.sha256[:8])

    def _receive_all(self) -> None:
        failures = 0
        while True:
            before = self._here()
            try:
                self._receive()
                return
            except urllib.error.HTTPError as error:
                error.close()
                if error.code == 416 and before:  # what is here is longer than the file: it is not its beginning
                    self.part.unlink()
                elif error.code not in WORTH_A_RETRY or failures + 1 >= ATTEMPTS:
                    raise self._error("refused", status=error.code) from None
            except _Unreachable:
                if failures + 1 >= ATTEMPTS or not before:
                    raise self._error("no_network") from None
            except _BrokenOff:
                if failures + 1 >= ATTEMPTS:
                    raise self._broken_off() from None
            failures = 0 if self._here() > before else failures + 1
            self._pause(PAUSE_SECONDS * 2**failures / 2)

    def _receive(self) -> None:
        """One request, from where the part ends."""
        here = self._here()
        headers = {"User-Agent": "graft", "Accept-Encoding": "identity"}
        if here:
            headers["Range"] = f"bytes={here}-"
        request = urllib.request.Request(self.url, headers=headers)  # noqa: S310  (the URL is our table's)
        with self._open(request) as response:
            resumed = response.status == 206 and _first_byte(response) == here
            if response.status == 206 and not resumed:
                raise _BrokenOff
            done = here if resumed else 0
            length = response.headers.get("Content-Length")
            if length is not None:
                self.total = done + int(length)
            self._check_room(self.total - done)
            with self.part.open("ab" if resumed else "wb") as file:
                self._pour(response, file, done)
        if length is not None and self._here() < self.total:
            raise _BrokenOff

    def _open(self, request: urllib.request.Request) -> HTTPResponse:
        try:
            return urllib.request.urlopen(request, timeout=self.timeout_seconds)  # noqa: S310
        except urllib.error.HTTPError:
            raise
        except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
            raise _Unreachable from error
        except (HTTPException, OSError) as error:
            raise _BrokenOff from error

    def _pour(self, response: HTTPResponse, file: BinaryIO, done: int) -> None:
        while True:
            if self.should_stop():
                megabytes = round(done / 1e6)
                raise FetchStopped("models.fetch_stopped", title=self.backbone.title, done=megabytes)
            try:
                # read1 gives what is there; read would wait for the whole chunk and not notice a stop.
                block = response.read1(CHUNK_BYTES)
            except (HTTPException, OSError) as error:
                raise _BrokenOff from error
            if not block:
                return
            file.write(block)
            done += len(block)
            if self.on_progress is not None:
                self.on_progress(done, max(done, self.total))

    def _pause(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.should_stop():
            time.sleep(0.05)

    def _check_room(self, needed_bytes: int) -> None:
        free = shutil.disk_usage(self.part.parent).free
        if free < needed_bytes:
            raise self._error("no_space", needs=round(needed_bytes / 1e6), free=round(free / 1e6))

    def _wrong_hash(self) -> str | None:
        """The beginning of a hash that it shouldn't have; None where it is right."""
        sha256 = hashed(self.part)
        return None if sha256.startswith(self.backbone.weights.sha256) else sha256[:8]

    def _here(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _broken_off(self) -> ModelError:
        return self._error("broken_off", done=round(self._here() / 1e6), total=round(self.total / 1e6))

    def _error(self, key: str, **values: object) -> ModelError:
        return ModelError(f"models.{key}", title=self.backbone.title, host=self.host, **values)


def _first_byte(response: HTTPResponse) -> int:
    """Of the part that a 206 answer holds, as its ``Content-Range: bytes 100-199/200`` says; -1 where it doesn't."""
    unit, _, numbers = (response.headers.get("Content-Range") or "").partition(" ")
    first = numbers.split("-")[0]
    return int(first) if unit == "bytes" and first.isdigit() else -1
