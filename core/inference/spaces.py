"""What a run's network made of photos before it was trained, and what it makes of them now.

Where the body has learnt, both are features: of the body as it began, and of the body as it ended. Where only the head
has learnt the body is the same; then "after" is the space in which the head tells classes apart: its last hidden
layer, or the logits of a head without one.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from core.data.image import UnusablePhoto
from core.data.pixels import centre, squares
from core.data.report import Part, Sample
from core.errors import CoreError, DataError, RunError
from core.events import Progress
from core.inference.feature_map import Kind
from core.inference.map_folder import MapFolder
from core.inference.predictor import ModelCard
from core.models import registry
from core.models.build import Network, build, restore
from core.models.fast import fast_frozen
from core.models.freeze import resolve_scope
from core.models.head import Head, HeadSpec
from core.models.weights import WeightsFile, find
from core.runs.state import fold
from core.runs.store import RunDirectory, read_events
from core.training.device import pick
from core.training.frozen import normalised
from core.training.kept import Stopped as Stopped
from core.training.kept import keep
from core.training.keys import plain_features, store
from core.training.obtain import earlier_model
from core.training.rows import RowStore

BATCH = 32
Drawn = Sequence[tuple[Part, Sample]]
Rows = NDArray[np.float32]
Tell = Callable[[str, int, int], object]  # hears the step, and how many of how many photos


@dataclass(frozen=True)
class Spaces:
    """Rows of the photos that could be read; ``places`` says which of those asked for they are."""

    places: tuple[int, ...]
    before: Rows | None  # (n, feature width); None where the weights it began with are gone
    after: Rows  # (n, feature width, hidden units or classes)
    kind: Kind
    probabilities: Rows  # (n, classes), of the final network


def spaces(folder: MapFolder, drawn: Drawn, tell: Tell, should_stop: Callable[[], bool]) -> Spaces:
    """Both spaces of these photos; what was computed earlier is found on the disk.

    Raises:
        Stopped: the user asked to.
        DataError: none of the photos can be read, or the disk is full.
        RunError: the run has no model.
    """
    run = folder.run
    if not run.has_model:
        raise RunError("runs.no_model", run=run.id)
    card = ModelCard.from_json(json.loads(run.model_card.read_text("utf-8")))
    final = restore(card.backbone, len(card.classes), load_file(run.model), head=card.head)
    final.backbone = replace(final.backbone, preprocessing=card.preprocessing)
    work = _Work(folder, drawn, tell, should_stop)
    if _only_head_learnt(run):
        kind: Kind = "head"
        before = after = work.body("before", final, card.weights["sha256"] if card.weights else None)
    else:
        kind = "body"
        before, after = work.beginning(card), work.body("after", final, None)
    places = work.in_both(after if before is None else before, after)
    if not places:
        raise DataError("map.no_photos")
    ends = work.rows(after, places)
    seen, probabilities = _through(final.head, ends)
    begins = None if before is None else work.rows(before, places)
    return Spaces(tuple(places), begins, seen if kind == "head" else ends, kind, probabilities)


def _only_head_learnt(run: RunDirectory) -> bool:
    """Whether the body of the model is the one that the run began with."""
    best = fold(read_events(run)[0]).best
    return best is not None and best.phase == "head"


def _through(head: Head, rows: Rows) -> tuple[Rows, Rows]:
    """What the head makes of features (its space, and probabilities); logits without what all classes share.

    Adding the same number to all logits changes no probability, so it must not move a photo on the map.
    """
    head = head.cpu().eval()
    with torch.inference_mode():
        x = torch.from_numpy(rows)
        logits = head(x)
        if head.spec.kind == "hidden":
            seen = head.layers[:-1]((x - head.mean) / head.scale)
        else:
            seen = logits - logits.mean(dim=1, keepdim=True)
        return seen.numpy(), logits.softmax(dim=1).numpy()


class _Work:
    """The photos that were asked for, and where rows of them are kept."""

    def __init__(self, folder: MapFolder, drawn: Drawn, tell: Tell, should_stop: Callable[[], bool]) -> None:
        self.folder, self.tell, self.should_stop = folder, tell, should_stop
        self.split = folder.run.split()
        self.drawn = drawn
        self.hashes = [sample.sha256 for _, sample in drawn]
        self.device = pick("auto")

    def beginning(self, card: ModelCard) -> RowStore | None:
        """Features of the body as it was before training; None where its weights are gone."""
        config = self.folder.run.info().config
        weights: WeightsFile | None = None
        if card.weights is not None:
            try:
                backbone = registry.backbone(card.backbone)
                run = self.folder.run
                weights = earlier_model(config, run) if config.start_from else find(backbone, self.folder.weights)
            except CoreError:
                return None
            if weights is None or weights.sha256 != card.weights["sha256"]:
                return None
        stages = len(registry.backbone(card.backbone).stages)
        _, copied = resolve_scope(config.freeze_depth, config.copied_stages if weights else 0, stages)
        network = build(
            card.backbone, len(card.classes), weights=weights, seed=config.seed, head=HeadSpec.of(config),
            copied_stages=copied, normalization=config.normalization,
        )  # fmt: skip
        return self.body("before", network, weights.sha256 if weights and copied == stages else None)

    def body(self, step: str, network: Network, weights_sha256: str | None) -> RowStore:
        """The features of a network's body: shared with training where ``weights_sha256`` names all of its weights."""
        network.to(self.device)
        if weights_sha256 is None:
            return self._computed(step, network)
        return self._kept(step, network, weights_sha256)

    def _kept(self, step: str, network: Network, weights_sha256: str) -> RowStore:
        recipe = plain_features(network.backbone, weights_sha256)
        before = 0
        for root, samples in self._by_root():
            readable = samples
            while readable:
                try:
                    for told in keep(network, recipe, readable, root, self.folder.kept, self.device, self.should_stop):
                        if isinstance(told, Progress):
                            self.tell(step, before + told.done, len(self.drawn))
                    break
                except DataError as error:
                    left = [sample for sample in readable if sample.path != error.values.get("path")]
                    if len(left) == len(readable):
                        raise
                    readable = left
            before += len(samples)
        return store(self.folder.kept, network.backbone, recipe, self.device.type, "features", 0)

    def _computed(self, step: str, network: Network) -> RowStore:
        """In 32 bits, as the predictor computes; kept beside the map until it is drawn."""
        name = hashlib.sha256(f"{self.folder.stamp()} {step} {self.device.type}".encode()).hexdigest()[:16]
        rows = RowStore(self.folder.rows / name, (network.backbone.feature_width,), "float32")
        look = network.backbone.preprocessing
        body = fast_frozen(network.stages, self.device, precision="float32")
        missing = [self.drawn[place] for place in rows.missing(self.hashes)]
        done = len(self.drawn) - len(missing)
        self.tell(step, done, len(self.drawn))
        paths = (Path(self.split.root_of(part)) / sample.path for part, sample in missing)
        pairs = zip(missing, squares(paths, look.resize, look.interpolation), strict=True)
        while batch := list(islice(pairs, BATCH)):
            if self.should_stop():
                raise Stopped
            found = [(sample.sha256, s) for (_, sample), s in batch if not isinstance(s, UnusablePhoto)]
            if found:
                with torch.inference_mode():
                    crops = np.stack([centre(square, look.crop) for _, square in found])
                    pixels = torch.from_numpy(crops).to(self.device).permute(0, 3, 1, 2)
                    made = body(normalised(pixels, look)).cpu().numpy()
                rows.append([sha256 for sha256, _ in found], made)
            done += len(batch)
            self.tell(step, done, len(self.drawn))
        return rows

    def _by_root(self) -> Iterator[tuple[Path, list[Sample]]]:
        roots: dict[str, list[Sample]] = {}
        for part, sample in self.drawn:
            roots.setdefault(self.split.root_of(part), []).append(sample)
        for root, samples in roots.items():
            yield Path(root), samples

    def in_both(self, first: RowStore, second: RowStore) -> list[int]:
        """The places of the photos of which both stores have a row."""
        lacking = {self.hashes[place] for kept in (first, second) for place in kept.missing(self.hashes)}
        return [place for place, sha256 in enumerate(self.hashes) if sha256 not in lacking]

    def rows(self, kept: RowStore, places: Sequence[int]) -> Rows:
        return np.asarray(kept.rows([self.hashes[place] for place in places])[:], np.float32)
