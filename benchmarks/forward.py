"""Photos a second through a whole frozen body: Graft's prepared stages against plain eager float32.

    python -m benchmarks.forward [--backbones NAME …] [--weights FOLDER] [--photos 32] [--repetitions 3]

Random photos of the backbone's own size; pretrained weights where they are at hand (in --weights, or where Graft finds
them) and otherwise noise, which takes as long. *plain* is the same network in eager float32, laid out as torch lays it
out; *graft* is ``fast_frozen`` as a run uses it, and *float32* the same where 16 bits are not allowed. Repetitions take
turns in one process, after one that isn't counted.
"""

import argparse
import statistics
import sys
import time
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.results import machine, write
from core.models import registry
from core.models.build import build
from core.models.fast import fast_frozen
from core.models.files import WeightsFile, hashed
from core.models.weights import find
from core.workspace import default_root

BACKBONES = ("efficientnet_lite0", "resnet18", "mobilenet_v2", "vgg16", "vit_b_16")
HEAVY_GFLOPS = 5.0  # backbones above get a quarter of the photos


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbones", nargs="+", default=list(BACKBONES), metavar="NAME")
    parser.add_argument("--weights", type=Path, metavar="FOLDER", help="holds files named after the backbones")
    parser.add_argument("--photos", type=int, default=32, help="a batch; a quarter of it for heavy backbones")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--into", default="forward", metavar="NAME", help="of the file below measured/")
    options = parser.parse_args()
    rows = []
    for name in options.backbones:
        rows.append(measure(name, options.weights, options.photos, options.repetitions))
        middle = {side: statistics.median(values) for side, values in rows[-1]["photos_per_second"].items()}
        print(name, {side: round(value, 1) for side, value in middle.items()}, file=sys.stderr, flush=True)
    write(options.into, {
        "command": "python -m benchmarks.forward", "machine": machine(), "torch": torch.__version__,
        "threads": torch.get_num_threads(), "instructions": instructions(), "rows": rows,
    })  # fmt: skip


def measure(name: str, folder: Path | None, photos: int, repetitions: int) -> dict[str, object]:
    backbone = registry.backbone(name)
    batch = max(1, photos // 4) if backbone.gflops > HEAVY_GFLOPS else photos
    crop = backbone.preprocessing.crop
    device = torch.device("cpu")
    torch.manual_seed(0)
    x = torch.randn(batch, 3, crop, crop)
    weights = weights_of(backbone, folder)
    network = build(name, 2, weights=weights).eval()
    sides = {
        "plain": partial(plain, network, x),
        "graft": partial(fast_frozen(network.stages, device), x.contiguous(memory_format=torch.channels_last)),
        "float32": partial(
            fast_frozen(network.stages, device, precision="float32"), x.contiguous(memory_format=torch.channels_last)
        ),
    }
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    for turn in range(repetitions + 1):
        for side, run in sides.items():
            began = time.monotonic()
            run()
            if turn:
                seconds[side].append(time.monotonic() - began)
    decided = getattr(sides["graft"].func, "decided", None)
    return {
        "backbone": name,
        "batch": batch,
        "pretrained": weights is not None,
        "exact_stages": decided,
        "stages": len(network.stages),
        "photos_per_second": {side: [round(batch / value, 2) for value in values] for side, values in seconds.items()},
    }


def weights_of(backbone: registry.Backbone, folder: Path | None) -> WeightsFile | None:
    for file in sorted(folder.glob(f"{backbone.name}*.pth")) if folder else []:
        return WeightsFile(file, "imported", hashed(file))
    return find(backbone, default_root() / "weights")


def plain(network: nn.Module, x: Tensor) -> Tensor:
    with torch.inference_mode():
        return network.features(x)


def instructions() -> list[str]:
    """Which of the wide instructions this processor has, of those that matter here. Empty where /proc doesn't say."""
    try:
        known = set(Path("/proc/cpuinfo").read_text("utf-8").split())
    except OSError:
        return []
    return [name for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if name in known]


if __name__ == "__main__":
    main()
