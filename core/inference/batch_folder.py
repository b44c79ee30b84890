"""The answers for many photos that were uploaded: where they lie and how they are read. Torch-free.

```
uploads/<id>/
  photos/                what arrived
  zips/<hash>/           what a zip of them held; <hash>.json: what of it was left out, or why it can't be opened
  answers/<run id>/
    answers.jsonl        one line a photo, after one that names the model; only ever added to
    progress.json …      what is known of the process that answers (``core.background``)
```
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from core.background import WorkFolder
from core.data.archive import unpack
from core.data.report import LeftOut
from core.data.store import compact, read_or_nothing
from core.errors import CoreError
from core.inference.answers_file import PhotoAnswer
from core.inference.batch import Source, folder_photos, refusals
from core.runs.store import RunDirectory
from core.workspace import write_atomically

FORMAT = 1


@dataclass(frozen=True)
class BatchFolder(WorkFolder):
    """One upload and one run that answers it."""

    upload: Path
    run: RunDirectory

    @property
    def path(self) -> Path:
        return self.upload / "answers" / self.run.id

    @property
    def photos(self) -> Path:
        return self.upload / "photos"

    @property
    def zips(self) -> Path:
        return self.upload / "zips"

    @property
    def answers(self) -> Path:
        return self.path / "answers.jsonl"

    # The photos

    def arrived(self) -> int:
        """Files that have arrived; a zip is one."""
        return sum(len(files) for _, _, files in os.walk(self.photos))

    def unpack_zips(self, on_progress: Callable[[int, int], None]) -> None:
        """Turn each zip into a folder beside the photos, once; one that can't be opened is noted.

        Raises:
            DataError: the disk is full.
        """
        for name, archive in self._archives():
            told = self._told_of(name)
            if told.exists():
                continue
            self.zips.mkdir(exist_ok=True)
            folder = told.with_suffix("")
            shutil.rmtree(folder, ignore_errors=True)  # what a killed process left: nothing but copies from the zip
            try:
                left_out = unpack(archive, folder, on_progress=on_progress)
                rows = {"left_out": [asdict(row) for row in left_out]}
            except CoreError as error:
                if error.key == "data.archive.disk_full":
                    raise
                rows = {"error": error.to_json()}
            write_atomically(told, compact(rows))

    def sources(self) -> Iterator[Source]:
        """Every photo, those in zips known by the zip's name and theirs inside."""
        yield from folder_photos(self.photos)
        for name, _ in self._archives():
            told = read_or_nothing(self._told_of(name))
            if "error" in told:
                yield Source(name, None, str(CoreError.from_json(told["error"])))
            elif told:
                yield from folder_photos(self._told_of(name).with_suffix(""), f"{name}/")
                yield from refusals((LeftOut(**row) for row in told["left_out"]), f"{name}/")

    def find(self, name: str) -> tuple[Path, str] | None:
        """The folder, and the path below it, of the photo known by this name. The name may be anybody's: whoever opens
        the path checks that it stays in the folder."""
        if (self.photos / name).is_file():
            return self.photos, name
        for archive, _ in self._archives():
            if name.startswith(f"{archive}/"):
                return self._told_of(archive).with_suffix(""), name.removeprefix(f"{archive}/")
        return None

    def _archives(self) -> list[tuple[str, Path]]:
        found = (path for path in self.photos.rglob("*") if path.suffix.lower() == ".zip" and path.is_file())
        return sorted((path.relative_to(self.photos).as_posix(), path) for path in found)

    def _told_of(self, archive_name: str) -> Path:
        return self.zips / f"{hashlib.sha256(archive_name.encode()).hexdigest()[:16]}.json"

    # The answers

    def model_stamp(self) -> str:
        return model_stamp(self.run)

    def read(self) -> Iterator[PhotoAnswer]:
        """The answers of this model so far; a line that is only half written is read later."""
        rows = whole_lines(self.answers)
        if next(rows, {}).get("model") == self.model_stamp():
            yield from map(PhotoAnswer.from_json, rows)

    def begin(self) -> list[PhotoAnswer]:
        """Make the answers ready to be added to; returns those that are there."""
        known = list(self.read())
        if known:
            cut_torn_line(self.answers)
        else:
            write_atomically(self.answers, compact({"format": FORMAT, "model": self.model_stamp()}) + b"\n")
        return known

    def tell(self, told: Mapping[str, Any]) -> None:
        super().tell({**told, "model": self.model_stamp()})


def model_stamp(run: RunDirectory) -> str:
    """Changes when the run has another model; empty while it has none."""
    try:
        facts = run.model.stat()
    except FileNotFoundError:
        return ""
    return f"{facts.st_size}-{facts.st_mtime_ns}"


def located(folder: BatchFolder, answers: Iterable[PhotoAnswer]) -> Iterator[tuple[PhotoAnswer, Path]]:
    """Each answer with the file it is about."""
    by_name = {answer.path: answer for answer in answers if answer.label is not None}
    for source in folder.sources():
        if source.file is not None and source.name in by_name:
            yield by_name[source.name], source.file


def whole_lines(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with path.open("rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    yield json.loads(line)
    except FileNotFoundError:
        return


def cut_torn_line(path: Path) -> None:
    """Without this the next answer would be glued to half of another."""
    with path.open("r+b") as file:
        whole = sum(len(line) for line in file if line.endswith(b"\n"))
        file.truncate(whole)
