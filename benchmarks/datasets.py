"""Folders to measure on: from photos in a folder a class to ``train`` and ``val``, each class divided by a seed.

    python -m benchmarks.datasets SOURCE INTO [--share 0.5] [--seed 0]
    python -m benchmarks.datasets digits INTO

``digits`` are scikit-learn's handwritten ones, 50 of each, 8 × 8 pixels drawn at 96 × 96: as far from ImageNet's photos
as pictures get, and at hand wherever scikit-learn is. A SOURCE that has ``train`` and ``val`` already is taken as it
is. Files are linked where the disk allows it, and copied elsewhere.
"""

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
from pathlib import Path

PHOTOS = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff"}
PARTS = ("train", "val")
DIGITS_OF_A_CLASS = 50
DIGIT_SIDE = 96


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="a folder with a folder a class, or the word digits")
    parser.add_argument("into", type=Path)
    parser.add_argument("--share", type=float, default=0.5, help="of each class, for train")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.into.exists() and any(options.into.iterdir()):
        sys.exit(f"{options.into} is not empty.")
    with tempfile.TemporaryDirectory() as scratch:
        source = draw_digits(Path(scratch)) if options.source == "digits" else Path(options.source)
        if all((source / part).is_dir() for part in PARTS):
            for part in PARTS:
                for path in photos_in(source / part):
                    place(path, options.into / part / path.relative_to(source / part))
        else:
            divide(source, options.into, options.share, options.seed)
    print(json.dumps({part: counts(options.into / part) for part in PARTS}))


def divide(source: Path, into: Path, share: float, seed: int) -> None:
    """The same files and seed give the same halves, whatever order the disk lists them in."""
    for folder in sorted(path for path in source.iterdir() if path.is_dir()):
        paths = photos_in(folder)
        random.Random(f"{seed} {folder.name}").shuffle(paths)
        border = round(len(paths) * share)
        for part, chosen in zip(PARTS, (paths[:border], paths[border:]), strict=True):
            for path in chosen:
                place(path, into / part / folder.name / path.name)


def photos_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in PHOTOS and path.is_file())


def place(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(path, target)
    except OSError:  # another disk, or one without links
        shutil.copyfile(path, target)


def counts(folder: Path) -> dict[str, int]:
    return {path.name: len(photos_in(path)) for path in sorted(folder.iterdir()) if path.is_dir()}


def draw_digits(folder: Path) -> Path:
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_digits

    found = load_digits()
    for label in range(10):
        (folder / str(label)).mkdir()
        for number in np.flatnonzero(found.target == label)[:DIGITS_OF_A_CLASS]:
            grey = (found.images[number] * (255 / 16)).round().astype(np.uint8)  # 17 levels in the data
            drawn = Image.fromarray(grey).resize((DIGIT_SIDE, DIGIT_SIDE), Image.Resampling.BICUBIC)
            drawn.save(folder / str(label) / f"{number:04}.png")
    return folder


if __name__ == "__main__":
    main()
