"""The frozen part runs once per photo and view; what it gave is kept, and only the rest runs each epoch.

Two things are kept. *Features* (n, width) are what the whole pretrained body makes of a photo; the head learns on
them. *Activations* are what leaves the last frozen stage; fine-tuning starts from them. With nothing frozen the
"activations" are the decoded squares themselves, (side, side, 3) uint8, so that a photo is decoded once.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from core.data.image import UnusablePhoto
from core.data.pixels import squares
from core.data.report import Sample
from core.errors import DataError
from core.events import Progress
from core.models.build import Network
from core.models.fast import FastStages, fast_frozen
from core.models.registry import Preprocessing
from core.training.augment import kept_view
from core.training.device import memory_megabytes
from core.training.rows import Rows, RowStore
from core.workspace import write_atomically

BATCH = 32
REPORT_SECONDS = 0.3  # between two progress events
What = Literal["features", "activations"]


@dataclass(frozen=True)
class Recipe:
    """What is kept, and how: everything that changes a row's value is in ``key``."""

    weights_sha256: str
    frozen_stages: int  # the boundary; 0 keeps the decoded squares
    augment: str
    views: int
    features: bool  # what the head learns on; useless where the body starts from noise
    activations: bool  # what fine-tuning starts from


@dataclass(frozen=True)
class Kept:
    """Rows of the samples that were asked for, in their order; one entry a view."""

    features: tuple[Rows, ...]
    activations: tuple[Rows, ...]  # empty where only the head trains


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
    maker: "Maker | None" = None,
) -> Iterator[Progress]:
    """Compute what isn't kept yet. Yields progress; returns ``Kept``.

    ``maker`` is one of an earlier call with the same network and recipe: nothing is prepared a second time.

    Raises:
        Stopped: the user asked to.
        DataError: a photo can't be read any more.
    """
    maker = maker or Maker(network, recipe, device, cache)
    views = recipe.views
    hashes = [sample.sha256 for sample in samples]
    rows: dict[What, list[Rows]] = {"features": [], "activations": []}
    meter = _Meter(len(samples) * views, device)
    for view in range(views):
        with ExitStack() as stack:
            stores: dict[What, RowStore] = {
                what: stack.enter_context(maker.store(cache, what, view)) for what in maker.wanted(view)
            }
            todo = sorted({place for store in stores.values() for place in store.missing(hashes)})
            meter.skip(len(samples) - len(todo))
            yield meter.progress()
            for batch, pixels in _decoded(samples, todo, root, network.backbone.preprocessing):
                if should_stop():
                    raise Stopped
                made = maker.make(pixels, [hashes[i] for i in batch], view)
                for what, store in stores.items():
                    _append_missing(store, [hashes[i] for i in batch], made[what])
                meter.add(len(batch))
                if meter.due():
                    yield meter.progress()
            for what, store in stores.items():
                rows[what].append(store.rows(hashes))
    yield meter.progress()
    return Kept(tuple(rows["features"]), tuple(rows["activations"]))


def _append_missing(store: RowStore, hashes: list[str], rows: np.ndarray) -> None:
    new = store.missing(hashes)
    if new:
        store.append([hashes[i] for i in new], rows[new])


def _decoded(
    samples: Sequence[Sample], todo: list[int], root: Path, preprocessing: Preprocessing
) -> Iterator[tuple[list[int], np.ndarray]]:
    """Batches of places and their decoded squares (n, side, side, 3) uint8."""
    paths = (root / samples[i].path for i in todo)
    batch: list[int] = []
    pixels: list[np.ndarray] = []
    for place, square in zip(todo, squares(paths, preprocessing.resize, preprocessing.interpolation), strict=True):
        if isinstance(square, UnusablePhoto):
            raise DataError("training.photo_lost", path=samples[place].path, reason=square.message)
        batch.append(place)
        pixels.append(square)
        if len(batch) == BATCH:
            yield batch, np.stack(pixels)
            batch, pixels = [], []
    if batch:
        yield batch, np.stack(pixels)


class Maker:
    """Turns decoded squares into activations and features with the pretrained body."""

    def __init__(self, network: Network, recipe: Recipe, device: torch.device, cache: Path) -> None:
        self.network = network
        self.recipe = recipe
        self.device = device
        self.cache = cache
        self.backbone = network.backbone

    # Made when the first photo needs them: preparing the stages takes a second, which a run whose rows are all kept
    # already does not spend.
    @cached_property
    def frozen(self) -> FastStages | None:
        return self._prepared(0, self.recipe.frozen_stages)

    @cached_property
    def rest(self) -> FastStages | None:
        return self._prepared(self.recipe.frozen_stages, len(self.network.stages)) if self.recipe.features else None

    def _prepared(self, first: int, last: int) -> FastStages | None:
        stages = list(self.network.stages)[first:last]
        if not stages:
            return None
        return fast_frozen(stages, self.device, exact_stages=read_mix(self._mix(first, last)))

    def _mix(self, first: int, last: int) -> Path:
        """Where it stands which of these stages compute in 16 bits: decided once, or the rows would not match."""
        return self.cache / f"{self._key(f'mix-{first}-{last}', 0)}.json"

    def remember_mix(self) -> None:
        boundary, stages = self.recipe.frozen_stages, len(self.network.stages)
        for made, path in ((self.frozen, self._mix(0, boundary)), (self.rest, self._mix(boundary, stages))):
            if made is not None and made.decided is not None and not path.exists():
                write_atomically(path, json.dumps({"exact_stages": made.decided}).encode())

    def wanted(self, view: int) -> list[What]:
        """What is kept of this view."""
        wanted: list[What] = ["features"] if self.recipe.features else []
        # With nothing frozen all views are cut from the same squares while training: they are kept once.
        if self.recipe.activations and (self.recipe.frozen_stages > 0 or view == 0):
            wanted.append("activations")
        return wanted

    def store(self, cache: Path, what: What, view: int) -> RowStore:
        boundary, preprocessing = self.recipe.frozen_stages, self.backbone.preprocessing
        if what == "features":
            return RowStore(cache / self._key(what, view), (self.backbone.feature_width,), "float32")
        if boundary == 0:
            shape: tuple[int, ...] = (preprocessing.resize, preprocessing.resize, 3)
            return RowStore(cache / self._key("squares", 0), shape, "uint8")
        shape = tuple(self.backbone.stages[boundary - 1].output_shape)
        # Half precision halves the disk: 11 bits of mantissa, more than the 8 that bf16 features have anyway.
        return RowStore(cache / self._key(what, view), shape, "float16")

    def make(self, pixels: np.ndarray, hashes: list[str], view: int) -> dict[What, np.ndarray]:
        """What this view of ``pixels`` (n, side, side, 3) uint8 gives: features (n, width) and activations."""
        preprocessing = self.backbone.preprocessing
        made: dict[What, np.ndarray] = {"activations": pixels}
        with torch.inference_mode():
            batch = torch.from_numpy(pixels).to(self.device).permute(0, 3, 1, 2)
            x = normalised(kept_view(batch, preprocessing.crop, self.recipe.augment, hashes, view), preprocessing)
            if self.frozen is not None:
                x = self.frozen(x)
                made["activations"] = x.float().cpu().numpy()
            if self.recipe.features:
                made["features"] = (self.rest(x) if self.rest else x).float().cpu().numpy()
        self.remember_mix()
        return made

    def _key(self, what: str, view: int) -> str:
        """A folder name that says what is inside, and a hash of all that its values depend on."""
        recipe = self.recipe
        boundary = recipe.frozen_stages if what == "activations" else "-"
        augment = "-" if view == 0 else recipe.augment
        depends = (
            f"1 {self.backbone.name} {recipe.weights_sha256} {what} {boundary} {augment} {view} {self.device.type}"
        )
        return f"{self.backbone.name}-{what}-{hashlib.sha256(depends.encode()).hexdigest()[:12]}"


def read_mix(path: Path) -> int | None:
    try:
        return int(json.loads(path.read_text("utf-8"))["exact_stages"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def normalised(pixels: Tensor, preprocessing: Preprocessing) -> Tensor:
    """(n, 3, h, w) uint8 → float32 as the backbone was trained: (x / 255 - mean) / std, channels last in memory."""
    mean = torch.tensor(preprocessing.mean, device=pixels.device).view(1, 3, 1, 1)
    std = torch.tensor(preprocessing.std, device=pixels.device).view(1, 3, 1, 1)
    x = (pixels.float() / 255 - mean) / std
    return x.contiguous(memory_format=torch.channels_last)


def channels_last(network: nn.Module) -> nn.Module:
    """Lay the kernels out as ``normalised`` lays out the photos: on processors half again as fast."""
    for parameter in network.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return network


class _Meter:
    """Counts photos and their speed; rows that were kept already don't count towards the speed."""

    def __init__(self, total: int, device: torch.device) -> None:
        self.total, self.device = total, device
        self.done = self.computed = 0
        self.began = self.reported = time.monotonic()

    def skip(self, count: int) -> None:
        self.done += count

    def add(self, count: int) -> None:
        self.done += count
        self.computed += count

    def due(self) -> bool:
        return time.monotonic() - self.reported >= REPORT_SECONDS

    def progress(self) -> Progress:
        self.reported = time.monotonic()
        seconds = self.reported - self.began
        return Progress(
            phase="photos",
            done=self.done,
            total=self.total,
            per_second=self.computed / seconds if self.computed and seconds > 0 else 0.0,
            memory_megabytes=memory_megabytes(self.device),
        )
