"""Seconds an epoch at every freeze depth of ResNet-18: Graft's kept activations against a plain loop.

    python -m benchmarks.depths --data FOLDER [--weights FOLDER] [--photos 240] [--repetitions 3]

Graft's side is the public ``fit``: the ``seconds`` of its second epoch (the first one warms up). The plain loop is this
script's own: torchvision's network in eager torch, the frozen part computed again in every epoch without gradients.
Both take the same photos, decoded once and held in memory, mirror half of them, in the same batches, in float32, train
the same part with AdamW, on the same threads; neither looks at validation photos. Repetitions take turns in one
process. Without --weights the network starts from noise, which takes as long: only times are compared.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models import resnet18

from benchmarks.results import machine, write
from core.config import TrainConfig
from core.data.pixels import squares
from core.data.report import Split
from core.data.scan import scan
from core.data.split import split
from core.events import EpochEnded
from core.models import registry
from core.models.weights import import_file
from core.runs import store
from core.training.fit import fit
from core.training.run import Folders

BACKBONE = "resnet18"
BATCH = 32
# ResNet-18's stages as Graft cuts them, by torchvision's names.
STAGES = (("conv1", "bn1", "relu", "maxpool", "layer1"), ("layer2",), ("layer3",), ("layer4", "avgpool"))
SIDES = ("graft", "plain", "plain_channels_last")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="photos, a folder a class")
    parser.add_argument("--weights", type=Path, metavar="FOLDER", help="holds resnet18….pth")
    parser.add_argument("--photos", type=int, default=240)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--depths", type=int, nargs="+", default=[4, 3, 2, 1, 0], help="stages that are frozen")
    parser.add_argument("--into", default="depths", metavar="NAME", help="of the file below measured/")
    options = parser.parse_args()
    photos = first(split(scan(options.data), val_share=0, test_share=0), options.photos)
    print(f"{len(photos.train)} photos", file=sys.stderr)
    pixels = decoded(photos)
    targets = torch.tensor([sample.target for sample in photos.train])
    rows = []
    with tempfile.TemporaryDirectory(prefix="graft-depths-") as scratch:
        folders = Folders(weights=Path(scratch, "weights"), cache=Path(scratch, "cache"))
        pretrained = prepare_weights(options.weights, folders.weights)
        for depth in options.depths:
            sides: dict[str, Callable[[], float]] = {
                "graft": lambda depth=depth: graft_epoch(depth, photos, folders),
                "plain": lambda depth=depth: plain_epoch(depth, pixels, targets, torch.contiguous_format),
                "plain_channels_last": lambda depth=depth: plain_epoch(depth, pixels, targets, torch.channels_last),
            }
            seconds: dict[str, list[float]] = {side: [] for side in SIDES}
            for _ in range(options.repetitions):
                for side in SIDES:
                    seconds[side].append(round(sides[side](), 4))
            rows.append({"frozen_stages": depth, "seconds": seconds})
            middle = {side: statistics.median(values) for side, values in seconds.items()}
            print(
                f"{depth} frozen: {middle}, {middle['plain'] / middle['graft']:.1f} times", file=sys.stderr, flush=True
            )
    write(options.into, {
        "command": f"python -m benchmarks.depths --data FOLDER{' --weights FOLDER' if pretrained else ''}",
        "machine": machine(), "torch": torch.__version__, "threads": torch.get_num_threads(),
        "photos": len(photos.train), "batch": BATCH, "pretrained": pretrained, "rows": rows,
    })  # fmt: skip
    print(json.dumps(rows))


def first(photos: Split, count: int) -> Split:
    """Every so many-th, so that all classes are among them."""
    places = np.linspace(0, len(photos.train) - 1, min(count, len(photos.train))).astype(int)
    return replace(photos, train=tuple(photos.train[place] for place in places))


def decoded(photos: Split) -> Tensor:
    """(n, 3, 224, 224) uint8, the middle squares, as Graft's flip augmentation takes them."""
    preprocessing = registry.backbone(BACKBONE).preprocessing
    paths = (Path(photos.root) / sample.path for sample in photos.train)
    rows = np.stack(list(squares(paths, preprocessing.resize, preprocessing.interpolation)))
    edge = (preprocessing.resize - preprocessing.crop) // 2
    middle = rows[:, edge : edge + preprocessing.crop, edge : edge + preprocessing.crop]
    return torch.from_numpy(middle).permute(0, 3, 1, 2).contiguous()


def prepare_weights(source: Path | None, folder: Path) -> bool:
    """Import ResNet-18's file, or one with random weights; whether it is pretrained."""
    files = sorted(source.glob("resnet18*.pth")) if source else []
    with tempfile.TemporaryDirectory() as scratch:
        noise = Path(scratch, "noise.pth")
        if not files:
            torch.save(resnet18(weights=None).state_dict(), noise)
        import_file(files[0] if files else noise, registry.backbone(BACKBONE), folder)
    return bool(files)


def graft_epoch(depth: int, photos: Split, folders: Folders) -> float:
    """Seconds of the second epoch of the phase that matters: the head's where all stages are frozen.

    In an epoch of the head both kept views of each photo pass, in one of fine-tuning and of the plain loop one of them.
    """
    head_only = depth == len(STAGES)
    config = TrainConfig(
        backbone=BACKBONE, freeze_depth=depth, preset="custom", head_epochs=2 if head_only else 1,
        head_batch_size=BATCH, epochs=0 if head_only else 2, batch_size=BATCH, augment="flip", views=2,
        precision="float32", device="cpu",
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="graft-depths-") as scratch:
        dataset = {"name": "benchmark", "fingerprint": "", "photos": len(photos.train), "skipped": 0}
        run = store.fill(Path(scratch), config, photos, title="benchmark", dataset=dataset)
        for event in fit(config, photos, run, folders):
            phase = "head" if head_only else "finetune"
            if isinstance(event, EpochEnded) and event.phase == phase and event.epoch == 2:
                return event.seconds
    raise RuntimeError("fit ended before its second epoch")


def plain_epoch(depth: int, pixels: Tensor, targets: Tensor, layout: torch.memory_format) -> float:
    """An epoch as everyone writes it, after one batch to warm up."""
    torch.manual_seed(0)
    network = resnet18(weights=None)
    network.fc = nn.Linear(network.fc.in_features, int(targets.max()) + 1)
    network = network.to(memory_format=layout).train()
    frozen = [getattr(network, name) for stage in STAGES[:depth] for name in stage]
    for module in frozen:
        module.requires_grad_(False).eval()
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learning, 1e-4, weight_decay=1e-2)
    preprocessing = registry.backbone(BACKBONE).preprocessing
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (preprocessing.mean, preprocessing.std))
    chosen = torch.randperm(len(pixels)).split(BATCH)
    began = 0.0
    for step, places in enumerate((chosen[0], *chosen)):
        if step == 1:
            began = time.monotonic()
        batch = pixels[places]
        mirrored = torch.rand(len(batch)) < 0.5
        batch[mirrored] = batch[mirrored].flip(-1)
        x = ((batch.float() / 255 - mean) / std).contiguous(memory_format=layout)
        loss = nn.functional.cross_entropy(network(x), targets[places])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    return time.monotonic() - began


if __name__ == "__main__":
    main()
