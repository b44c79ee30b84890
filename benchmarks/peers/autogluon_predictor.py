"""AutoGluon's ``MultiModalPredictor(label=…).fit(train)`` on ResNet-18 with given weights, scored on ``val``.

Its defaults, but for the network: all layers learn, AdamW at 1e-4 with a decay by layers, up to 20 epochs with
patience, and a soup of the three best. Prints one JSON object. Run it with a Python that has autogluon.multimodal:
``python -m benchmarks.peers.autogluon_predictor FOLDER --weights FILE``.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

# How AutoGluon wants a network of timm's that lies on disk. Source: autogluon.multimodal, models/timm_image.py.
DESCRIPTION = {
    "architecture": "resnet18",
    "num_features": 512,
    "pretrained_cfg": {
        "input_size": [3, 224, 224],
        "interpolation": "bilinear",
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
        "crop_pct": 0.875,
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="holds train/ and val/, with a folder a class in each")
    parser.add_argument("--weights", type=Path, required=True, metavar="FILE", help="ImageNet weights of ResNet-18")
    parser.add_argument("--epochs", type=int, help="at most so many; AutoGluon's own limit is 20")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    began = time.monotonic()
    os.environ["HF_HUB_OFFLINE"] = "1"
    with tempfile.TemporaryDirectory() as scratch:
        answer = learn(options, Path(scratch))
    print(json.dumps({**answer, "seconds": time.monotonic() - began}))


def learn(options: argparse.Namespace, scratch: Path) -> dict[str, object]:
    import autogluon.multimodal
    import torch

    network = scratch / "resnet18"
    network.mkdir()
    (network / "config.json").write_text(json.dumps(DESCRIPTION), "utf-8")
    state = torch.load(options.weights, map_location="cpu", weights_only=True)
    body = {name: tensor for name, tensor in state.items() if not name.startswith("fc.")}  # it puts on its own head
    torch.save(body, network / "pytorch_model.bin")
    settings: dict[str, object] = {"model.names": ["timm_image"], "model.timm_image.checkpoint_name": str(network)}
    if options.epochs:
        settings["optim.max_epochs"] = options.epochs
    predictor = autogluon.multimodal.MultiModalPredictor(label="label", path=str(scratch / "predictor"), verbosity=1)
    predictor.fit(train_data=table(options.folder / "train"), hyperparameters=settings, seed=options.seed)
    test = table(options.folder / "val")
    return {
        "accuracy": float(predictor.evaluate(test, metrics=["accuracy"])["accuracy"]),
        "photos": len(test),
        "epochs": options.epochs or 20,
        "version": f"AutoGluon MultiModal {autogluon.multimodal.__version__}, torch {torch.__version__}",
    }


def table(folder: Path):
    import pandas

    photos = sorted(path for path in folder.rglob("*") if path.is_file())
    return pandas.DataFrame({"image": [str(path) for path in photos], "label": [path.parent.name for path in photos]})


if __name__ == "__main__":
    main()
