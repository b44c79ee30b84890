"""Features of photos as training keeps them: found on the disk without torch, or kept now with it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from core.data.report import Sample
from core.models import registry
from core.models.weights import find
from core.training.keys import DEVICES, plain_features, store
from core.training.rows import Rows, RowStore

BACKBONE = "efficientnet_lite0"  # of the Fast preset, so that the doctor's features are those a run needs anyway


class Stopped(Exception):
    """The user asked to stop."""


class Hashed(Protocol):
    """A photo, as far as its features are concerned."""

    @property
    def path(self) -> str: ...
    @property
    def sha256(self) -> str: ...


@dataclass(frozen=True)
class Source:
    """Where features of one backbone are kept, and where its weights are looked for."""

    cache: Path
    weights_folder: Path
    backbone: str = BACKBONE

    def stores(self) -> tuple[RowStore, ...]:
        """The stores that hold features of the weights at hand, one a device; none without weights.

        Raises:
            ModelError: there is no such backbone, or its weights are damaged.
        """
        backbone = registry.backbone(self.backbone)
        weights = find(backbone, self.weights_folder)
        if weights is None:
            return ()
        recipe = plain_features(backbone, weights.sha256)
        return tuple(store(self.cache, backbone, recipe, device, "features", 0) for device in DEVICES)


def fullest(stores: Sequence[RowStore], photos: Sequence[Hashed]) -> tuple[RowStore, list[int]]:
    """The store that holds most of these photos, and the places of those it lacks. Rows of devices aren't mixed."""
    hashes = [photo.sha256 for photo in photos]
    lacking = [_lacking(candidate, hashes) for candidate in stores]
    best = min(range(len(stores)), key=lambda place: len(lacking[place]))
    return stores[best], lacking[best]


def rows_of(kept: RowStore, photos: Sequence[Hashed]) -> Rows:
    """Their features in this order, read from the disk as they are asked for."""
    return kept.rows([photo.sha256 for photo in photos])


def keep_missing(
    source: Source, photos: Sequence[Hashed], root: Path, should_stop: Callable[[], bool]
) -> Iterator[tuple[int, int]]:
    """Compute what isn't kept yet; yields how many of how many are there. Imports torch.

    Photos that can't be read are left out. It shares the work with a process that is doing the same.

    Raises:
        Stopped: the user asked to.
    """
    from core.training import kept
    from core.training.ahead import Ahead

    ahead = Ahead(source.cache, source.weights_folder)
    samples = [Sample(photo.path, 0, photo.sha256) for photo in photos]
    try:
        for told in ahead.features(source.backbone, samples, root, should_stop):
            yield told.done, told.total
    except kept.Stopped:
        raise Stopped from None


def _lacking(kept: RowStore, hashes: Sequence[str]) -> list[int]:
    """All places, also of equal hashes, whose row isn't there."""
    missing = {hashes[place] for place in kept.missing(hashes)}
    return [place for place, sha256 in enumerate(hashes) if sha256 in missing]
