"""Photos a second when many are answered at once, beside the bare forward pass and decoding alone; and the memory.

    python -m benchmarks.batch --photos FOLDER [--backbone NAME] [--count 2000] [--repetitions 3]

The photos of the folder are used again and again until there are ``--count``. *forward* computes batches that are
decoded already, *decode* only decodes, *together* is what ``predict`` and Try it do. *limit* is forward and
decoding one after the other, each with the whole processor: what to expect where either keeps every core busy. Each is
measured in turns in one process, after a round that isn't counted. The memory is what the process holds after each
quarter of the photos.
"""

import argparse
import itertools
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from benchmarks.results import machine, write
from core.data.image import UnusablePhoto
from core.data.pixels import centre, squares
from core.inference import batch
from core.inference.predictor import BATCH, ModelCard, Predictor
from core.models import registry
from core.models.build import build
from core.models.head import HeadSpec
from core.models.weights import find
from core.workspace import default_root

WARM = 64  # photos that aren't counted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--backbone", default="efficientnet_lite0", metavar="NAME")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--into", default="batch", metavar="NAME", help="of the file below measured/")
    options = parser.parse_args()
    predictor = fresh(options.backbone)
    ways: dict[str, Callable[[Path, int], float]] = {
        "forward": lambda folder, count: forward(predictor, folder, count),
        "decode": lambda folder, count: decode(predictor, folder, count),
        "together": lambda folder, count: together(predictor, folder, count),
    }
    for way in ways.values():
        way(options.photos, WARM)
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(options.repetitions):
        for name, way in ways.items():
            rates[name].append(options.count / way(options.photos, options.count))
            print(name, round(rates[name][-1], 1), file=sys.stderr, flush=True)
    middle = {name: statistics.median(values) for name, values in rates.items()}
    # Both use every core: photos that need 1/f + 1/d seconds each can't come faster than one after the other.
    limit = 1 / (1 / middle["forward"] + 1 / middle["decode"])
    write(options.into, {
        "command": "python -m benchmarks.batch", "machine": machine(), "torch": torch.__version__,
        "backbone": options.backbone, "count": options.count, "photos_per_second": rates,
        "share_of_forward": middle["together"] / middle["forward"], "share_of_limit": middle["together"] / limit,
        "megabytes_after_each_quarter": memory(predictor, options.photos, options.count),
    })  # fmt: skip
    print({name: round(value, 1) for name, value in middle.items()}, "limit", round(limit, 1), file=sys.stderr)


def fresh(name: str) -> Predictor:
    """The backbone with a head for ten classes; numbers don't change the time."""
    network = build(name, 10, weights=find(registry.backbone(name), default_root() / "weights"))
    classes = tuple(str(place) for place in range(10))
    card = ModelCard(name, classes, network.backbone.preprocessing, None, HeadSpec())
    return Predictor(network, card, torch.device("cpu"))


def some(folder: Path, count: int) -> Iterator[batch.Source]:
    return itertools.islice(itertools.cycle(batch.folder_photos(folder)), count)


def files(folder: Path, count: int) -> Iterator[Path]:
    return (source.file for source in some(folder, count) if source.file is not None)


def forward(predictor: Predictor, folder: Path, count: int) -> float:
    """Seconds for ``count`` photos that lie decoded in memory."""
    preprocessing = predictor.card.preprocessing
    decoded = squares(files(folder, BATCH), preprocessing.resize, preprocessing.interpolation)
    crops = [centre(one, preprocessing.crop) for one in decoded if not isinstance(one, UnusablePhoto)]
    crops = list(itertools.islice(itertools.cycle(crops), BATCH))
    began = time.perf_counter()
    for done in range(0, count, BATCH):
        predictor._compute(crops[: count - done])
    return time.perf_counter() - began


def decode(predictor: Predictor, folder: Path, count: int) -> float:
    """Seconds for reading and decoding alone."""
    preprocessing = predictor.card.preprocessing
    began = time.perf_counter()
    for _ in squares(files(folder, count), preprocessing.resize, preprocessing.interpolation):
        pass
    return time.perf_counter() - began


def together(predictor: Predictor, folder: Path, count: int) -> float:
    """Seconds for the answers, as a terminal or Try it gets them."""
    began = time.perf_counter()
    told = sum(answer.error is None for answer in batch.answers(predictor, some(folder, count)))
    if told != count:
        raise SystemExit(f"{count - told} of the photos can't be read")
    return time.perf_counter() - began


def memory(predictor: Predictor, folder: Path, count: int) -> list[float]:
    held = []
    quarters = {count * quarter // 4 for quarter in (1, 2, 3, 4)}
    for done, _ in enumerate(batch.answers(predictor, some(folder, count)), start=1):
        if done in quarters:
            held.append(resident_megabytes())
    return held


def resident_megabytes() -> float:
    """What the process holds in memory now; Linux alone says so."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return round(pages * 4096 / 1e6, 1)


if __name__ == "__main__":
    main()
