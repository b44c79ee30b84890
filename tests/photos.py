"""Small real photo sets for tests: textured pictures whose classes a pretrained network can tell apart."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

CLASSES = ("circle", "square", "stripes")


def draw(label: str, seed: int, side: int = 96) -> Image.Image:
    """One picture of ``label``, different for every seed."""
    random = np.random.default_rng(seed)
    noise = random.integers(60, 200, size=3) + random.integers(-30, 30, size=(side, side, 3))
    image = Image.fromarray(np.clip(noise, 0, 255).astype(np.uint8))
    pen = ImageDraw.Draw(image)
    colour = tuple(int(value) for value in random.integers(0, 255, size=3))
    left, top = random.integers(5, side // 3, size=2)
    right, bottom = left + side // 2, top + side // 2
    if label == "circle":
        pen.ellipse((left, top, right, bottom), fill=colour)
    elif label == "square":
        pen.rectangle((left, top, right, bottom), fill=colour)
    else:
        for offset in range(int(left) % 12, side, 12):
            pen.line((offset, 0, offset, side), fill=colour, width=4)
    return image


def make_folder(root: Path, *, per_class: int = 12, classes: tuple[str, ...] = CLASSES, seed: int = 0) -> Path:
    """``root/<class>/<number>.jpg``."""
    for place, label in enumerate(classes):
        (root / label).mkdir(parents=True, exist_ok=True)
        for number in range(per_class):
            shape = label if label in CLASSES else CLASSES[place % len(CLASSES)]
            draw(shape, seed * 10_000 + place * 1000 + number).save(root / label / f"{number:03}.jpg", quality=90)
    return root
