"""Deleting a data set: everything of it, at once as far as anyone can see, and its space is free. Torch-free."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from core.data import once
from core.data.datasets import is_scanning
from core.data.report import Photo
from core.data.store import Dataset, history_of, read_scan
from core.errors import DataError
from core.words import say
from core.workspace import Workspace

GOING = ".deleting-"


def delete(workspace: Workspace, dataset: Dataset) -> None:
    """Remove a data set with its photos, its history and its thumbnails. Photos in a folder on the server stay there.

    Who depends on it is the caller's to ask (``core.runs.uses``).

    Raises:
        DataError: its photos are being looked at.
    """
    if is_scanning(dataset):
        raise DataError("dataset.in_use", name=dataset.name, what=say("dataset.being_scanned"))
    hashes = {photo.sha256 for photo in _every_photo(dataset)}
    going = dataset.folder.with_name(GOING + dataset.id)
    os.rename(dataset.folder, going)  # from here on it is gone for everyone; what a crash leaves goes with the next
    for left in workspace.datasets.glob(f"{GOING}*"):
        shutil.rmtree(left, ignore_errors=True)
    once.forget_unused(workspace.photos, hashes)
    _forget_thumbnails(workspace, hashes)


def size_bytes(dataset: Dataset) -> int:
    """What the data set's photos take on the disk; 0 where they lie in a folder on the server."""
    return sum(photo.bytes for photo in _every_photo(dataset)) if dataset.kind != "server" else 0


def _every_photo(dataset: Dataset) -> Iterator[Photo]:
    """Of every scan that a version builds on: an addition that was undone lies on the disk as well."""
    numbers = {1, *(step.report for step in history_of(dataset).steps if step.report)}
    seen: set[str] = set()
    for number in sorted(numbers):
        try:
            report = read_scan(dataset, number)
        except (OSError, ValueError, KeyError, TypeError):
            continue  # never scanned, or damaged: there is nothing to look up
        for photo in (*report.photos, *report.unlabelled):
            if photo.path not in seen:
                seen.add(photo.path)
                yield photo


def _forget_thumbnails(workspace: Workspace, hashes: set[str]) -> None:
    """Pictures of photos that no data set holds any more show nobody anything."""
    folder: Path = workspace.cache / "thumbnails"
    for sha256 in hashes:
        if not once.place(workspace.photos, sha256).exists():
            for file in (folder / sha256[:2]).glob(f"{sha256}-*"):
                file.unlink(missing_ok=True)
