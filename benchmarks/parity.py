"""Whether an exported model answers as the app: the smallest member of every family, in every form.

    python -m benchmarks.parity --data FOLDER [--weights FOLDER] [--families NAME ...]

50 real photos, ten of them written again as programs often read them differently: turned by EXIF, CMYK, palette with
transparency, 16 bits, very wide. Each network gets a head for three classes whose answers spread over them, and a
detector; the export then checks its forms as it does for a user, with small copies of eight photos and seven drawn ones
besides. Weights are pretrained where the file is at hand; elsewhere they are drawn, with BatchNorm measured on the
photos, so that signals have their usual size to the end. A family that fails is told, and the others go on.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from benchmarks.results import machine, read, write
from core.config import TrainConfig
from core.data.image import open_rgb
from core.data.pixels import centre, squares
from core.data.report import Sample, Split
from core.data.scan import scan
from core.errors import CoreError
from core.export.bundle import export
from core.export.parity import LIMIT
from core.inference.predictor import ModelCard, write_model
from core.inference.unknown import Detector, Reference, unit
from core.models import registry
from core.models.build import Network, build
from core.models.weights import WeightsFile, import_file, search
from core.runs import store
from core.training.kept import normalised

PHOTOS = 50
CLASSES = ("one", "two", "three")
EXIF_ORIENTATION = 0x0112


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="photos, a folder a class")
    parser.add_argument("--weights", type=Path, metavar="FOLDER", help="weights files by their usual names")
    parser.add_argument("--families", nargs="+", default=[], metavar="NAME", help="only these; the others' rows stay")
    options = parser.parse_args()
    before: dict[str, Any] = read("parity") or {"rows": []}
    rows = {row["family"]: row for row in before["rows"]} if options.families else {}
    with tempfile.TemporaryDirectory(prefix="graft-parity-") as scratch:
        photos = fifty(options.data, Path(scratch, "photos"))
        for backbone in smallest():
            if options.families and backbone.family not in options.families:
                continue
            with tempfile.TemporaryDirectory(dir=scratch) as folder:
                row = measure(backbone, photos, weights_of(backbone, options.weights, Path(folder)), Path(folder))
            rows[backbone.family] = row
            print(json.dumps(row), file=sys.stderr, flush=True)
            write("parity", {
                "command": f"python -m benchmarks.parity --data FOLDER{' --weights FOLDER' if options.weights else ''}",
                "machine": machine(), "torch": torch.__version__, "photos": PHOTOS, "limit": LIMIT,
                "rows": [rows[family] for family in sorted(rows)],
            })  # fmt: skip


def smallest() -> list[registry.Backbone]:
    """One a family, those with the least to compute first."""
    families: dict[str, registry.Backbone] = {}
    for row in sorted(registry.backbones(), key=lambda row: row.parameters):
        families.setdefault(row.family, row)
    return sorted(families.values(), key=lambda row: row.gflops)


def fifty(source: Path, folder: Path) -> Split:
    """50 photos spread over the folder, every fifth written in another way."""
    found = scan(source)
    places = np.linspace(0, len(found.photos) - 1, PHOTOS).astype(int)
    folder.mkdir()
    samples: list[Sample] = []
    for number, place in enumerate(places):
        path = Path(found.root) / found.photos[place].path
        name = f"{number:02}{path.suffix}" if number % 5 else odd(number // 5, path, folder)
        if number % 5:
            (folder / name).write_bytes(path.read_bytes())
        samples.append(Sample(name, number % len(CLASSES), f"{number:064x}"))
    return Split(CLASSES, tuple(samples), tuple(samples), tuple(samples), str(folder))


def odd(kind: int, path: Path, folder: Path) -> str:
    """The photo written in one of five other ways; returns its name."""
    picture = open_rgb(path)
    stem = f"{5 * kind:02}"
    match kind % 5:
        case 0:
            exif = Image.Exif()
            exif[EXIF_ORIENTATION] = 3 + kind
            picture.save(folder / f"{stem}.jpg", exif=exif)
        case 1:
            picture.convert("CMYK").save(folder / f"{stem}.jpg")
        case 2:
            picture.putalpha(Image.linear_gradient("L").resize(picture.size))
            picture.quantize(128).save(folder / f"{stem}.png")
        case 3:
            deep = np.asarray(picture.convert("L"), np.uint16) * 257
            Image.fromarray(deep).save(folder / f"{stem}.png")
        case _:
            picture.resize((1920, 64)).save(folder / f"{stem}.jpg")
    return next(folder.glob(f"{stem}.*")).name


def weights_of(backbone: registry.Backbone, source: Path | None, folder: Path) -> WeightsFile | None:
    for file in sorted(source.glob(f"{backbone.name}-*.pth")) if source else []:
        return import_file(file, backbone, folder)
    return search(backbone, folder)[0]


def measure(backbone: registry.Backbone, photos: Split, weights: WeightsFile | None, folder: Path) -> dict[str, Any]:
    row: dict[str, Any] = {
        "family": backbone.family, "backbone": backbone.name, "pretrained": weights is not None,
    }  # fmt: skip
    run, row["spread"] = made(backbone, photos, weights, folder)
    began = time.monotonic()
    try:
        parity = export(run, folder / "bundle.zip").to_json()
    except CoreError as error:
        return {**row, "error": error.message}
    seconds = round(time.monotonic() - began, 1)
    return {**row, "seconds": seconds, "megabytes": parity["megabytes"], "opset": parity["opset"], **parity["forms"]}


def made(
    backbone: registry.Backbone, photos: Split, weights: WeightsFile | None, folder: Path
) -> tuple[store.RunDirectory, float]:
    """A run with a model, and how far apart its answers lie: the standard deviation of a class's probability."""
    network = build(backbone.name, len(CLASSES), weights=weights)
    how = backbone.preprocessing
    paths = [Path(photos.root) / sample.path for sample in photos.train]
    crops = np.stack([centre(square, how.crop) for square in squares(paths, how.resize, how.interpolation)])
    x = normalised(torch.from_numpy(crops).permute(0, 3, 1, 2), how)
    with torch.no_grad():
        if weights is None:
            measure_norms(network, x)
        features = torch.cat([network.eval().features(part) for part in x.split(10)])
        head: Any = network.head
        head.mean.copy_(features.mean(dim=0))
        head.scale.copy_((features - features.mean(dim=0)).norm(dim=1).mean())
        torch.manual_seed(0)
        nn.init.normal_(head.layers.output.weight, std=3.0)
        spread = float(head(features).softmax(dim=1).std(dim=0).mean())
    run = store.create(folder, TrainConfig(backbone=backbone.name), photos, title="parity", dataset={})
    write_model(run, network, ModelCard.of(run.info().config, photos, network, weights))
    samples = [Reference(sample.path, CLASSES[sample.target]) for sample in photos.train]
    Detector(unit(features), samples, limit=0.05, neighbours=2).save(run)
    return run, round(spread, 4)


def measure_norms(network: Network, x: torch.Tensor) -> None:
    """Let every BatchNorm see the photos once, layer for layer what they come to."""
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = None  # the plain mean of what comes
            module.train()
    for part in x.split(25):
        network.features(part)


if __name__ == "__main__":
    main()
