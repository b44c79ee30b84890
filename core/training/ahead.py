"""Features kept before anybody presses Start: of photos that are still arriving, and of a data set that was chosen.

What is kept is what the Fast preset would keep, under the same keys, so that a run finds its rows. Nothing here is
told to anyone: a photo that can't be read is passed over, for the scan tells about it; missing weights are never
fetched, they are waited for.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch

from core.config import TrainConfig
from core.data.filetypes import PHOTO_SUFFIXES, is_litter
from core.data.journal import read_journal
from core.data.report import DatasetReport, Sample
from core.data.split import split
from core.data.store import Dataset, read_dataset, read_report
from core.errors import CoreError, DataError
from core.events import Progress
from core.models import registry
from core.models.build import build
from core.models.freeze import freeze
from core.models.weights import WeightsFile, find
from core.training.device import pick
from core.training.frozen import FrozenPart
from core.training.kept import Stopped, keep
from core.training.keys import plain_features

PORTION = 64  # photos that are hashed at once, where nobody has done that yet


class Ahead:
    """Works ahead into one owner's ``cache``. It keeps its network prepared, so hold on to it."""

    def __init__(self, cache: Path, weights_folder: Path, device: str = TrainConfig().device) -> None:
        self.cache, self.weights_folder = cache, weights_folder
        self.device = pick(device)
        self._made: tuple[str, str] | None = None  # backbone and weights that the parts are of
        self._parts: dict[bool, FrozenPart] = {}

    def look(self, folder: Path, backbone: str, should_stop: Callable[[], bool]) -> Iterator[int]:
        """Keep what is in an upload's or a data set's ``folder``, as long as something may still come.

        Yields how many photos it will go through next, 0 while there is nothing to do: then wait before asking again.
        """
        while (weights := self._find(backbone)) is None:
            yield 0
        self._prepare(backbone, weights)
        try:
            if (folder / "upload.json").exists():
                yield from self._arriving(folder, should_stop)
            else:
                yield from self._data_set(folder, should_stop)
        except (Stopped, CoreError, OSError):  # gone, or the run will say what is wrong
            return

    def features(
        self, backbone: str, samples: Sequence[Sample], root: Path, should_stop: Callable[[], bool]
    ) -> Iterator[Progress]:
        """Keep the features of these photos, as far as they can be read; nothing where there are no weights.

        Raises:
            Stopped: it was told to.
            DataError: the disk is full.
        """
        weights = self._find(backbone)
        if weights is not None:
            self._prepare(backbone, weights)
            yield from self._kept(samples, root, should_stop, exact=False)

    def _arriving(self, upload: Path, should_stop: Callable[[], bool]) -> Iterator[int]:
        """The files that the journal says are whole, until the upload has become a data set."""
        offset = 0
        while (upload / "upload.json").exists():
            received, offset = read_journal(upload, offset)
            samples = [Sample(file.path, 0, file.sha256) for file in received if _may_be_photo(file.path)]
            yield len(samples)
            self._keep(samples, upload / "photos", should_stop)

    def _data_set(self, folder: Path, should_stop: Callable[[], bool]) -> Iterator[int]:
        """First its files as they are, while they are being scanned; then the photos that the scan found."""
        dataset = read_dataset(folder)
        waiting = _unscanned(dataset) if dataset.kind == "upload" else iter(())
        while (report := _report(dataset)) is None:
            samples = next(waiting, [])
            yield len(samples)
            self._keep(samples, dataset.root, should_stop)
        samples = [Sample(photo.path, 0, photo.sha256) for photo in report.photos]
        yield len(samples)
        self._keep(samples, dataset.root, should_stop)
        tested = split(report).test  # as the page divides with the seed that stands there
        yield len(tested)
        self._keep(tested, dataset.root, should_stop, exact=True)

    def _find(self, backbone: str) -> WeightsFile | None:
        try:
            return find(registry.backbone(backbone), self.weights_folder)
        except CoreError:  # no such backbone, or a damaged file, which the page tells about
            return None

    def _prepare(self, backbone: str, weights: WeightsFile) -> None:
        if self._made == (backbone, weights.sha256):
            return
        network = build(backbone, 2, weights=weights, device=self.device)
        network.to(memory_format=torch.channels_last)
        freeze(network, len(network.stages))
        for exact in (False, True):
            recipe = plain_features(network.backbone, weights.sha256, exact=exact)
            self._parts[exact] = FrozenPart(network, recipe, self.device, self.cache)
        self._made = (backbone, weights.sha256)

    def _keep(
        self, samples: Sequence[Sample], root: Path, should_stop: Callable[[], bool], *, exact: bool = False
    ) -> None:
        for _ in self._kept(samples, root, should_stop, exact=exact):
            pass

    def _kept(
        self, samples: Sequence[Sample], root: Path, should_stop: Callable[[], bool], *, exact: bool
    ) -> Iterator[Progress]:
        part = self._parts[exact]
        while samples:
            try:
                for told in keep(
                    part.network, part.recipe, samples, root, self.cache, self.device, should_stop, part=part
                ):
                    if isinstance(told, Progress):
                        yield told
                return
            except DataError as error:
                readable = [sample for sample in samples if sample.path != error.values.get("path")]
                if len(readable) == len(samples):
                    raise
                samples = readable


def _may_be_photo(path: str) -> bool:
    return Path(path).suffix.lower() in PHOTO_SUFFIXES


def _report(dataset: Dataset) -> DatasetReport | None:
    try:
        return read_report(dataset)
    except FileNotFoundError:
        return None


def _unscanned(dataset: Dataset) -> Iterator[list[Sample]]:
    """What looks like photos below a data set's folder, in portions, with hashes worked out here."""
    portion: list[Sample] = []
    for folder, _, files in os.walk(dataset.root):
        for name in sorted(files):
            path = Path(folder) / name
            below = path.relative_to(dataset.root)
            if _may_be_photo(name) and not is_litter(below.parts) and not path.is_symlink():
                portion.append(Sample(below.as_posix(), 0, _sha256(path)))
            if len(portion) == PORTION:
                yield portion
                portion = []
    yield portion


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
