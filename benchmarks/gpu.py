"""What a GPU is used to: fine-tuning through Graft's own loop against the bare step, and the head's epochs a second.

    python -m benchmarks.gpu [--photos 5000] [--batch 64]

ResNet-50 at 224 × 224 with every stage trained, from noise, on drawn JPEGs: ``fit``'s last epoch in photos a second,
against the same step (bfloat16 autocast, channels last, AdamW) on photos that already lie on the device. Then the head
alone on kept features. Where there is no GPU it says so and ends with status 0.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from torchvision.models import resnet50

from benchmarks.results import machine, write
from core.config import TrainConfig
from core.data.report import Split
from core.data.scan import scan
from core.data.split import split
from core.events import EpochEnded
from core.models import registry
from core.models.build import build
from core.models.weights import import_file
from core.runs import store
from core.training.fit import fit
from core.training.run import Folders

BACKBONE = "resnet50"
DEVICE = "cuda"
CLASSES = 10
STEPS = 50  # of the bare loop, after as many to warm up as below
WARM_UP_STEPS = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=5000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=3)
    options = parser.parse_args()
    if not torch.cuda.is_available():
        print("There is no GPU at hand: nothing was measured.")
        return
    with tempfile.TemporaryDirectory(prefix="graft-gpu-") as scratch:
        draw(Path(scratch, "photos"), options.photos)
        photos = split(scan(Path(scratch, "photos")), val_share=0, test_share=0)
        folders = Folders(weights=Path(scratch, "weights"), cache=Path(scratch, "cache"))
        import_noise(folders.weights)
        loop = finetune(photos, folders, options.batch, options.epochs)
        head = head_epochs(photos, folders)
    bare = bare_steps(options.batch)
    result = {
        "command": "python -m benchmarks.gpu", "machine": machine(), "gpu": torch.cuda.get_device_name(),
        "torch": torch.__version__, "photos": options.photos, "batch": options.batch,
        "loop_photos_per_second": loop[-1].photos_per_second, "bare_photos_per_second": bare,
        "share": loop[-1].photos_per_second / bare, "head_epochs_per_second": head,
        "peak_gpu_megabytes": loop[-1].memory_megabytes,
    }  # fmt: skip
    write("gpu", result)
    for name, value in result.items():
        print(f"{name}: {value}")


def finetune(photos: Split, folders: Folders, batch: int, epochs: int) -> list[EpochEnded]:
    config = TrainConfig(
        backbone=BACKBONE, freeze_depth="none", weights="scratch", preset="custom", epochs=epochs, batch_size=batch,
        augment="flip", patience=epochs, head_patience=epochs, device=DEVICE,
    )  # fmt: skip
    return [event for event in told(config, photos, folders) if event.phase == "finetune"]


def head_epochs(photos: Split, folders: Folders) -> float:
    """Epochs a second of the head, by the median epoch."""
    config = TrainConfig(backbone=BACKBONE, augment="none", head_epochs=100, patience=100, device=DEVICE)
    return 1 / statistics.median(event.seconds for event in told(config, photos, folders))


def told(config: TrainConfig, photos: Split, folders: Folders) -> Iterator[EpochEnded]:
    with tempfile.TemporaryDirectory(prefix="graft-gpu-") as scratch:
        dataset = {"name": "benchmark", "fingerprint": "", "photos": len(photos.train), "skipped": 0}
        run = store.fill(Path(scratch), config, photos, title="benchmark", dataset=dataset)
        for event in fit(config, photos, run, folders):
            if isinstance(event, EpochEnded):
                yield event


def bare_steps(batch: int) -> float:
    """Photos a second of the same step with nothing to wait for."""
    device = torch.device(DEVICE)
    network = build(BACKBONE, CLASSES, weights=None, device=device).train().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-4, weight_decay=1e-2)
    crop = registry.backbone(BACKBONE).preprocessing.crop
    x = torch.randn(batch, 3, crop, crop, device=device).contiguous(memory_format=torch.channels_last)
    targets = torch.randint(CLASSES, (batch,), device=device)
    began = 0.0
    for step in range(WARM_UP_STEPS + STEPS):
        if step == WARM_UP_STEPS:
            torch.cuda.synchronize()
            began = time.monotonic()
        with torch.autocast("cuda", torch.bfloat16):
            loss = nn.functional.cross_entropy(network(x).float(), targets)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
    torch.cuda.synchronize()
    return STEPS * batch / (time.monotonic() - began)


def import_noise(folder: Path) -> None:
    """A weights file as good as any where only time is measured."""
    with tempfile.TemporaryDirectory() as scratch:
        noise = Path(scratch, "noise.pth")
        torch.save(resnet50(weights=None).state_dict(), noise)
        import_file(noise, registry.backbone(BACKBONE), folder)


def draw(folder: Path, count: int) -> None:
    for label in range(CLASSES):
        (folder / f"class {label}").mkdir(parents=True)
    with ProcessPoolExecutor() as pool:
        for done in pool.map(draw_one, [str(folder)] * count, range(count), chunksize=64):
            if done % 1000 == 999:
                print(f"{done + 1} photos drawn", file=sys.stderr)


def draw_one(folder: str, seed: int) -> int:
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (12, 12, 3), dtype=np.uint8))
    coarse.resize((300, 300), Image.Resampling.BICUBIC).save(Path(folder, f"class {seed % CLASSES}", f"{seed:06}.jpg"))
    return seed


if __name__ == "__main__":
    main()
