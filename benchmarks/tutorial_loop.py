"""The two loops of the PyTorch transfer-learning tutorial, written anew, on a backbone of Graft's.

Batch 4, 25 epochs, SGD 0.001 with momentum 0.9, a tenth of the rate every 7 epochs, random crops and mirroring in
training, the best epoch chosen by its accuracy on ``val``: as the tutorial has it. With fixed features, the body's
weights don't move, and run again for every photo in every epoch; with ``--finetune`` all weights learn.
Weights are found where Graft finds them, or read from ``--weights FILE``. Prints one JSON object.
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
from core.models.build import Network, build
from core.models.files import WeightsFile, hashed
from core.models.weights import find
from core.workspace import default_root


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="holds train/ and val/, with a folder a class in each")
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--weights", type=Path, metavar="FILE")
    parser.add_argument("--finetune", action="store_true", help="all weights learn, not the head alone")
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    began = time.monotonic()
    torch.manual_seed(options.seed)
    backbone = registry.backbone(options.backbone)
    data = loaders(options.folder, backbone.preprocessing, options.workers)
    network = build(
        options.backbone,
        len(data["train"].dataset.classes),
        weights=weights_of(backbone, options.weights),
        seed=options.seed,
    )
    for parameter in network.stages.parameters():
        parameter.requires_grad = options.finetune
    best = 0.0
    for epoch, accuracy in enumerate(learn(network, data, options.epochs), 1):
        best = max(best, accuracy)
        print(f"epoch {epoch}: {accuracy:.4f} after {time.monotonic() - began:.0f} s", flush=True)
    answer = {"accuracy": best, "last_accuracy": accuracy, "photos": len(data["val"].dataset)}
    print(json.dumps({**answer, "epochs": options.epochs, "seconds": time.monotonic() - began}))


def learn(network: Network, data: dict[str, DataLoader], epochs: int):
    """Yields the accuracy on ``val`` after each epoch."""
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(learning, lr=0.001, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=7, gamma=0.1)
    loss_of = nn.CrossEntropyLoss()
    for _ in range(epochs):
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
        yield right / count


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


def weights_of(backbone: registry.Backbone, file: Path | None) -> WeightsFile:
    found = WeightsFile(file, "imported", hashed(file)) if file else find(backbone, default_root() / "weights")
    if found is None:
        raise SystemExit(f"No weights of {backbone.name} are at hand; name a file with --weights.")
    return found


if __name__ == "__main__":
    main()
