"""The fixed-feature loop of the PyTorch transfer-learning tutorial, written anew, on a backbone of Graft's.

Batch 4, 25 epochs, SGD 0.001 with momentum 0.9, a tenth of the rate every 7 epochs, random crops and mirroring in
training, the best epoch chosen by its accuracy on ``val``: as the tutorial has it. The body's weights don't move, and
run again for every photo in every epoch. Prints one JSON object.
"""

import argparse
import json
import time
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision import datasets
from torchvision.transforms import v2 as transforms

from core.models import registry
from core.models.build import build
from core.models.weights import find
from core.workspace import default_root


def loaders(folder: Path, preprocessing: registry.Preprocessing, workers: int) -> dict[str, DataLoader]:
    finish = [
        transforms.ToImage(),
        transforms.ToDtype(torch.float32, scale=True),
        transforms.Normalize(preprocessing.mean, preprocessing.std),
    ]
    changes = {
        "train": [transforms.RandomResizedCrop(preprocessing.crop), transforms.RandomHorizontalFlip()],
        "val": [transforms.Resize(preprocessing.resize), transforms.CenterCrop(preprocessing.crop)],
    }
    return {
        part: DataLoader(
            datasets.ImageFolder(folder / part, transforms.Compose([*change, *finish])),
            batch_size=4,
            shuffle=True,
            num_workers=workers,
        )
        for part, change in changes.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="holds train/ and val/, with a folder a class in each")
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--workers", type=int, default=4)
    options = parser.parse_args()
    began = time.monotonic()
    torch.manual_seed(0)
    backbone = registry.backbone(options.backbone)
    data = loaders(options.folder, backbone.preprocessing, options.workers)
    classes = len(data["train"].dataset.classes)
    network = build(options.backbone, classes, weights=find(backbone, default_root() / "weights"))
    for parameter in network.stages.parameters():
        parameter.requires_grad = False
    optimizer = torch.optim.SGD(network.head.parameters(), lr=0.001, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=7, gamma=0.1)
    loss_of = nn.CrossEntropyLoss()
    best = 0.0
    for epoch in range(options.epochs):
        for part in ("train", "val"):
            network.train(part == "train")
            right = count = 0
            for photos, targets in data[part]:
                optimizer.zero_grad()
                with torch.set_grad_enabled(part == "train"):
                    logits = network(photos)
                    loss = loss_of(logits, targets)
                    if part == "train":
                        loss.backward()
                        optimizer.step()
                right += int((logits.argmax(1) == targets).sum())
                count += len(targets)
        scheduler.step()
        best = max(best, right / count)
        print(f"epoch {epoch + 1}: {right}/{count} after {time.monotonic() - began:.0f} s", flush=True)
    print(json.dumps({"accuracy": best, "epochs": options.epochs, "seconds": time.monotonic() - began}))


if __name__ == "__main__":
    main()
