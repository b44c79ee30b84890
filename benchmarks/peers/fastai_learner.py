"""fastai's ``vision_learner(dls, resnet18).fine_tune(3)`` with its documented defaults, scored on ``val``.

As its documentation's quick start has it: ``item_tfms=Resize(224)``, a fifth of the training folder for validation,
batches of 64, everything else left alone. With few photos 64 a batch is one step an epoch, since an incomplete batch is
dropped; ``--batch 16`` is what somebody who notices would choose. Prints one JSON object.
Run it with a Python that has fastai: ``python -m benchmarks.peers.fastai_learner FOLDER --weights FILE``.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

# What torchvision's resnet18(weights=DEFAULT) looks for before it downloads anything.
FILE_NAME = "resnet18-f37072fd.pth"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="holds train/ and val/, with a folder a class in each")
    parser.add_argument("--weights", type=Path, required=True, metavar="FILE", help="ImageNet weights of ResNet-18")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as home:
        os.environ |= {"TORCH_HOME": home, "MPLBACKEND": "Agg"}
        cache = Path(home, "hub", "checkpoints")
        cache.mkdir(parents=True)
        (cache / FILE_NAME).symlink_to(options.weights.absolute())
        answer = learn(options)
    print(json.dumps({**answer, "seconds": time.monotonic() - began}))


def learn(options: argparse.Namespace) -> dict[str, object]:
    import fastai
    import torch
    from fastai.vision.all import (
        ImageDataLoaders,
        Resize,
        accuracy,
        get_image_files,
        resnet18,
        set_seed,
        vision_learner,
    )

    set_seed(options.seed)
    loaders = ImageDataLoaders.from_folder(
        options.folder / "train", valid_pct=0.2, seed=options.seed, item_tfms=Resize(224), bs=options.batch
    )
    learner = vision_learner(loaders, resnet18, metrics=accuracy)
    given = torch.load(options.weights, map_location="cpu", weights_only=True)["conv1.weight"]
    assert torch.equal(learner.model[0][0].weight.cpu(), given), "fastai did not take the given weights"
    test = loaders.test_dl(get_image_files(options.folder / "val"), with_labels=True)
    with learner.no_bar(), learner.no_logging():
        learner.fine_tune(options.epochs)
        right = float(learner.validate(dl=test)[1])
    return {
        "accuracy": right,
        "photos": len(test.dataset),
        "epochs": options.epochs,
        "batch": options.batch,
        "version": f"fastai {fastai.__version__}, torch {torch.__version__}",
    }


if __name__ == "__main__":
    main()
