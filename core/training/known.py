"""What the training photos look like to the finished network, and from where on a photo is unlike all of them.

The limit lets at most 5 % of known photos be refused. It is a conformal quantile, the ⌈0.95 (n + 1)⌉-th smallest of n
distances of photos that the network has not learnt from: the validation photos' to their nearest training photos. As
long as the body kept its weights, it has learnt from no photo at all, and each training photo's distance to the others
says as much as a validation photo's; with a few dozen validation photos their own quantile may be far off.
"""

import math
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, nullcontext, suppress

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.data.report import Sample
from core.errors import CoreError
from core.inference.conformal import fewest, rank
from core.inference.intervals import wilson
from core.inference.unknown import Detector, Reference, distances, unit
from core.models.build import Network
from core.models.fast import fast_frozen
from core.training.finetune import KeptActivations
from core.training.kept import Kept
from core.training.phases import put_best
from core.training.rows import Places, Readable
from core.training.run import Run

COVERAGE = 0.95  # of known photos, at least, shall be answered
NEIGHBOURS = 5  # of 1 to 10, alike to within 0.006 of AUROC over 20 pairs of photo sets; 5 were best
MOST_ROWS = 5000  # of training photos; of 1,280 features they take 13 MB. Of validation photos no more are asked either
AT_ONCE = 32  # photos whose maps are in memory
COMPARED_AT_ONCE = 1000  # features with all others: 20 MB of likenesses

Floats = NDArray[np.floating]


def keep_known(run: Run, network: Network, train: Kept, val: Kept) -> None:
    """Write ``run.known`` for the network as it is; where that can't be done, the run has none and is whole even so."""
    with suppress(CoreError, OSError):  # a photo that can't be read any more, a full disk
        detector = make_detector(run, network, train, val)
        if detector is not None:
            detector.save(run.directory)


def make_detector(run: Run, network: Network, train: Kept, val: Kept) -> Detector | None:
    """None where there are too few training photos to compare one with the others."""
    chosen = evenly(run.split.train, MOST_ROWS)
    learnt = run.best.phase == "finetune"
    ours, theirs = (train.activations, val.activations) if learnt else (train.features, val.features)
    if len(chosen) < 2 or not ours:
        return None
    neighbours = min(NEIGHBOURS, len(chosen) - 1)
    with _before_they_taught(run, network) if learnt else nullcontext():
        features = _tuned(run, network) if learnt else _as_kept
        references = _stored(features(ours[0], chosen))
        unseen = features(theirs[0], evenly(run.split.val, MOST_ROWS)).split(COMPARED_AT_ONCE)
        judged_as = torch.cat([distances(some, references, neighbours) for some in unseen]).numpy()
        limit = find_limit(judged_as, among(references, neighbours), learnt=learnt)
    if learnt and run.best.chosen is not None:
        references = _stored(_tuned(run, network)(ours[0], chosen))
    samples = [run.split.train[place] for place in chosen]
    named = [Reference(sample.path, run.split.classes[sample.target]) for sample in samples]
    return Detector(references, named, limit=limit, neighbours=neighbours)


@contextmanager
def _before_they_taught(run: Run, network: Network) -> Generator[None]:
    """The network that the validation photos chose: one that has learnt from them since knows them too well."""
    if run.best.chosen is None:
        yield
        return
    network.load_state_dict(run.best.chosen, strict=False)
    try:
        yield
    finally:
        put_best(run, network)


def _stored(features: Tensor) -> Tensor:
    """References as they are once they were stored."""
    return unit(features).half().float()


def _as_kept(rows: Readable, places: Places) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(rows[places], np.float32))


def _tuned(run: Run, network: Network) -> Callable[[Readable, Places], Tensor]:
    """What makes features of kept activations: the stages behind them in 32 bits, as the predictor computes."""
    stages = fast_frozen(list(network.stages)[run.frozen :], run.device, precision="float32")

    def features(rows: Readable, places: Places) -> Tensor:
        chosen = Chosen(rows, places)
        targets = torch.zeros(len(places), dtype=torch.int64)
        photos = KeptActivations(run.config, network, run.frozen, (chosen,), targets, chosen, targets, run.device)
        with torch.inference_mode():
            made = [stages(x).cpu() for x, _ in photos.val(AT_ONCE)]
        return torch.cat(made) if made else torch.empty(0, network.backbone.feature_width)

    return features


class Chosen:
    """Some of the rows, as if they were all."""

    def __init__(self, rows: Readable, places: Places) -> None:
        self._rows, self._places = rows, places

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, which: Places | slice) -> NDArray[np.generic]:
        return self._rows[self._places[which]]


def among(references: Tensor, neighbours: int) -> Floats:
    """The distance of each (rows, width) reference to the others."""
    made: list[Tensor] = []
    for start in range(0, len(references), COMPARED_AT_ONCE):
        likeness = references[start : start + COMPARED_AT_ONCE] @ references.T
        likeness.diagonal(start).fill_(-math.inf)
        made.append(1 - likeness.topk(neighbours, dim=1).values.mean(dim=1))
    return torch.cat(made).numpy()


def find_limit(unseen: Floats, among: Floats, *, learnt: bool) -> float:
    """The distance above which a photo is unknown.

    ``unseen`` are distances of the validation photos, ``among`` those of the training photos to each other: of photos
    that the body has ``learnt`` from they come out too small, and count only where there is nothing better. So they do
    where they refuse more validation photos than can be chance (the lower end of Wilson's interval lies above 5 %), as
    when training photos come in series.
    """
    everybody = np.concatenate([unseen, among])
    limit = _quantile(everybody)
    refused = int((unseen > limit).sum())
    if not learnt and not (len(unseen) and wilson(refused, len(unseen))[0] > 1 - COVERAGE):
        return limit
    if len(unseen) >= fewest(COVERAGE):
        return _quantile(unseen)
    return float(max(limit, *unseen)) if len(unseen) else limit


def _quantile(values: Floats) -> float:
    return float(np.sort(values)[min(rank(len(values), COVERAGE), len(values)) - 1])


def evenly(samples: Sequence[Sample], most: int) -> Places:
    """The places of at most so many samples: as many of each class as can be, spread over the class's own order."""
    classes: dict[int, list[int]] = {}
    for place, sample in enumerate(samples):
        classes.setdefault(sample.target, []).append(place)
    left, chosen = most, list[int]()
    by_size = sorted(classes.values(), key=len)
    for turn, places in enumerate(by_size):
        count = min(len(places), left // (len(by_size) - turn))
        chosen += [places[i * len(places) // count] for i in range(count)]
        left -= count
    return np.array(sorted(chosen), np.int64)
