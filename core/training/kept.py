"""The frozen part runs once per photo and view; what it gave is kept, and only the rest runs each epoch.

Two things are kept. *Features* (n, width) are what the whole pretrained body makes of a photo; the head learns on
them. *Activations* are what leaves the last frozen stage; fine-tuning starts from them. With nothing frozen the
"activations" are the decoded squares themselves, (side, side, 3) uint8, so that a photo is decoded once.

Several processes may keep rows of the same photos at once. The first to come goes forward through them and the others
backward, each looking before every batch what is still missing: so two share the work until they meet.
"""

import time
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock, Timeout

from core.data.report import Sample
from core.events import Notice, Progress
from core.models.build import Network
from core.training.budget import make_room, room
from core.training.device import memory_megabytes
from core.training.fresh import Fresh, decoded
from core.training.frozen import FrozenPart as FrozenPart
from core.training.frozen import normalised as normalised
from core.training.keys import Recipe as Recipe
from core.training.keys import What
from core.training.rows import Readable, Rows, RowStore

BATCH = 32
REPORT_SECONDS = 0.3  # between two progress events


@dataclass(frozen=True)
class Kept:
    """Rows of the samples that were asked for, in their order; one entry a view."""

    features: tuple[Rows, ...]
    activations: tuple[Readable, ...]  # empty where only the head trains


class Stopped(Exception):
    """The user asked to stop while photos were being read."""


def keep(
    network: Network,
    recipe: Recipe,
    samples: Sequence[Sample],
    root: Path,
    cache: Path,
    device: torch.device,
    should_stop: Callable[[], bool],
    *,
    budget_bytes: int | None = None,
    in_use: Collection[Path] = (),
    part: FrozenPart | None = None,
) -> Iterator[Progress | Notice]:
    """Compute what isn't kept yet. Yields progress; returns ``Kept``.

    ``budget_bytes`` is what ``cache`` may grow to; older rows are pruned to make way, except stores ``in_use``. Where
    activations have no room even so, fewer views of them are kept, or none: then they are computed whenever asked for.
    ``part`` is that of an earlier call with the same network: its stages are not prepared a second time.

    Raises:
        Stopped: the user asked to.
        DataError: a photo can't be read any more, or the disk is full.
    """
    part = part.following(recipe) if part else FrozenPart(network, recipe, device, cache)
    work = _Work(part, samples, root)
    kept_views, notice = _plan(work, cache, budget_bytes, in_use)
    if notice is not None:
        work.drop_activations(from_view=kept_views)
        yield notice
    yield from work.run(should_stop)
    activations: tuple[Readable, ...] = work.rows("activations")
    if recipe.activations and not activations:
        views = recipe.views if recipe.frozen_stages else 1
        activations = tuple(Fresh(part, samples, root, view) for view in range(views))
    return Kept(work.rows("features"), activations)


def _plan(work: "_Work", cache: Path, budget_bytes: int | None, in_use: Collection[Path]) -> tuple[int, Notice | None]:
    """How many views of the activations to keep, and what to tell where that isn't all of them."""
    stores = [store for per_view in work.stores for store in per_view.values()]
    for store in stores:
        store.touch()
    own = {store.folder for store in stores}
    features, by_view = sum(work.missing_bytes("features")), work.missing_bytes("activations")
    # Features are small and kept in any case: 5 KB a photo.
    views = make_room(cache, budget_bytes, by_view, own, always_bytes=features, in_use=in_use)
    if views >= len(by_view):
        return len(by_view), None
    values = {
        "kept": views,
        "views": len(by_view),
        "photos": len(work.samples),
        "gigabytes": f"{(features + sum(by_view)) / 1e9:.1f}",
        "room": f"{room(cache, budget_bytes, own) / 1e9:.1f}",
    }
    return views, Notice(key="training.notice.fewer_views" if views else "training.notice.not_kept", values=values)


class _Work:
    """What is missing of a number of photos, and computing it."""

    def __init__(self, part: FrozenPart, samples: Sequence[Sample], root: Path) -> None:
        self.part, self.samples, self.root = part, samples, root
        self.hashes = [sample.sha256 for sample in samples]
        self.stores: list[dict[What, RowStore]] = [
            {what: part.store(what, view) for what in part.wanted(view)} for view in range(part.recipe.views)
        ]
        self._open: list[set[int]] = []  # the places that each view lacks

    def missing_bytes(self, what: What) -> list[int]:
        """What the missing rows of each view will take."""
        stores = [per_view[what] for per_view in self.stores if what in per_view]
        return [len(store.missing(self.hashes)) * store.row_bytes for store in stores]

    def drop_activations(self, *, from_view: int) -> None:
        """Don't keep those of this view and the views after it."""
        for per_view in self.stores[from_view:]:
            per_view.pop("activations", None)

    def rows(self, what: What) -> tuple[Rows, ...]:
        return tuple(per_view[what].rows(self.hashes) for per_view in self.stores if what in per_view)

    def run(self, should_stop: Callable[[], bool]) -> Iterator[Progress]:
        """Compute and keep what is missing, each photo decoded once for all its views."""
        total = len(self.samples) * len(self.stores)
        missing = [self._missing(view, range(len(self.samples))) for view in range(len(self.stores))]
        meter = _Meter(total, sum(len(places) for places in missing), self.part.device)
        yield meter.progress()
        todo = sorted(set[int]().union(*missing))
        if not todo:
            return
        self._open = [set(places) for places in missing]
        with _forward(next(iter(self.stores[0].values())).folder) as forward:
            for batch, pixels in self._batches(todo if forward else todo[::-1]):
                for view, places in enumerate(self._open):
                    if should_stop():
                        raise Stopped
                    meter.computed += self._keep(view, batch, pixels)
                    places.difference_update(batch)
                meter.missing = sum(len(places) for places in self._open)
                if meter.due():
                    yield meter.progress()
        meter.missing = 0
        yield meter.progress()

    def _missing(self, view: int, places: Sequence[int]) -> list[int]:
        """Those of ``places`` that lack a row of this view, as things are now."""
        hashes = [self.hashes[i] for i in places]
        found = {i for store in self.stores[view].values() for i in store.missing(hashes)}
        return [places[i] for i in sorted(found)]

    def _keep(self, view: int, batch: list[int], pixels: np.ndarray) -> int:
        """Compute what this view still lacks of a batch; returns of how many photos."""
        places = self._missing(view, batch)
        if not places:
            return 0
        hashes = [self.hashes[i] for i in places]
        stores = self.stores[view]
        wanted: list[What] = [what for what, store in stores.items() if store.missing(hashes)]
        chosen = pixels if len(places) == len(batch) else pixels[[batch.index(i) for i in places]]
        made = self.part.make(chosen, hashes, view, wanted)
        for what in wanted:
            stores[what].append(hashes, made[what])
        return len(places)

    def _batches(self, todo: list[int]) -> Iterator[tuple[list[int], np.ndarray]]:
        """Batches of places and their squares (n, side, side, 3) uint8. While one is computed, threads decode on."""
        coming: deque[int] = deque()

        def still_missing() -> Iterator[Sample]:
            for start in range(0, len(todo), BATCH):
                chunk = todo[start : start + BATCH]
                lacking = set[int]().union(*(self._missing(view, chunk) for view in range(len(self.stores))))
                for places in self._open:
                    places.difference_update(set(chunk) - lacking)  # another process was quicker
                for place in chunk:
                    if place in lacking:
                        coming.append(place)
                        yield self.samples[place]

        pixels = decoded(still_missing(), self.root, self.part.preprocessing)
        while squares := list(islice(pixels, BATCH)):
            yield [coming.popleft() for _ in squares], np.stack(squares)


@contextmanager
def _forward(folder: Path) -> Generator[bool]:
    """True for the first process that is at work on a store, until it ends; False for others meanwhile."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "first", thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


class _Meter:
    """Counts photos and their speed; rows that were kept already don't count towards the speed."""

    def __init__(self, total: int, missing: int, device: torch.device) -> None:
        self.total, self.missing, self.device = total, missing, device
        self.computed = 0
        self.began = self.reported = time.monotonic()

    def due(self) -> bool:
        return time.monotonic() - self.reported >= REPORT_SECONDS

    def progress(self) -> Progress:
        self.reported = time.monotonic()
        seconds = self.reported - self.began
        return Progress(
            phase="photos",
            done=self.total - self.missing,
            total=self.total,
            per_second=self.computed / seconds if self.computed and seconds > 0 else 0.0,
            memory_megabytes=memory_megabytes(self.device),
        )
