"""How well copies are found: ``python -m benchmarks.copies FOLDER [FOLDER …]`` (each with a folder a class).

Into each set, 5 % of its photos are planted once more, manipulated in one way, and the whole is scanned as usual. Every
pair of paths in one group counts: it is right if one was made from the other, or if a person found it in the set (there
is none in the sets measured). Beside it the hashes of imagehash, mirrored too, with the usual distances. The last line
on stdout is one JSON object.
"""

import argparse
import io
import json
import random
import shutil
import tempfile
import time
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from benchmarks.results import machine, write
from core.data.exif import Exif
from core.data.facts import SIDE, measure
from core.data.image import Opened, UnusablePhoto, open_photo, open_rgb
from core.data.scan import scan

SHARE = 0.05
Manipulation = Callable[[Image.Image, random.Random], bytes]
Pairs = set[tuple[str, str]]


def jpeg(image: Image.Image, quality: int = 90) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


def resized(image: Image.Image, factor: float) -> Image.Image:
    size = (max(8, round(image.width * factor)), max(8, round(image.height * factor)))
    return image.resize(size, Image.Resampling.LANCZOS)


MANIPULATIONS: dict[str, Manipulation] = {
    "compressed again, quality 30 to 95": lambda image, chance: jpeg(image, chance.randint(30, 95)),
    "resized to 70 %": lambda image, chance: jpeg(resized(image, 0.7)),
    "resized to 50 %": lambda image, chance: jpeg(resized(image, 0.5)),
    "mirrored": lambda image, chance: jpeg(ImageOps.mirror(image)),
    "brightened by 10 %": lambda image, chance: jpeg(ImageEnhance.Brightness(image).enhance(1.1)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    sets = []
    for folder in options.folders:
        rows = {name: planted(folder, name, options.seed) for name in ("untouched", "exact", *MANIPULATIONS)}
        sets.append({"name": folder.name, "photos": rows["untouched"]["photos"], "rows": rows})
        print(folder.name, {name: [row["right"], row["told"], row["planted"]] for name, row in rows.items()})
    hashes = compare_hashes(options.folders, options.seed)
    command = f"python -m benchmarks.copies {' '.join('FOLDER' for _ in options.folders[:1])} …"
    result = {"machine": machine(), "command": command, "seed": options.seed, "sets": sets, "hashes": hashes}
    write("copies", result)
    print(json.dumps(result))


def planted(folder: Path, manipulation: str, seed: int) -> dict[str, object]:
    """Pairs planted, told and right in one set. ``told`` of the untouched set are all wrong."""
    with tempfile.TemporaryDirectory(prefix="graft-copies-") as scratch:
        root = Path(scratch) / "set"
        shutil.copytree(folder, root)
        truth = plant(root, manipulation, seed) if manipulation != "untouched" else set()
        report = scan(root)
    told = {pair for group in report.together for pair in combinations(group, 2)}
    row = {"photos": len(report.photos), "planted": len(truth), "told": len(told), "right": len(told & truth)}
    return {**row, "wrong": sorted(told - truth)[:10]}


def plant(root: Path, manipulation: str, seed: int) -> Pairs:
    chance = random.Random(f"{seed} {manipulation}")
    photos = [root / photo.path for photo in scan(root).photos]
    truth: Pairs = set()
    for path in chance.sample(photos, max(1, round(SHARE * len(photos)))):
        copy = path.with_name(
            f"{path.stem}-planted.jpg" if manipulation != "exact" else f"{path.stem}-planted{path.suffix}"
        )
        copy.write_bytes(
            path.read_bytes() if manipulation == "exact" else MANIPULATIONS[manipulation](open_rgb(path), chance)
        )
        first, second = sorted(file.relative_to(root).as_posix() for file in (path, copy))
        truth.add((first, second))
    return truth


# Beside imagehash


def compare_hashes(folders: list[Path], seed: int) -> list[dict[str, object]]:
    """The same for hashes alone, on all manipulations together; nothing where imagehash isn't installed."""
    try:
        import imagehash
    except ImportError:
        return []
    chance = random.Random(seed)
    pictures, made = [], []
    for folder in folders:
        own = [open_photo(path, SIDE).image for path in sorted(folder.rglob("*")) if is_photo(path)]
        start, chosen = len(pictures), chance.sample(range(len(own)), max(1, round(SHARE * len(own))))
        originals = [path for path in sorted(folder.rglob("*")) if is_photo(path)]
        pictures += own
        made += [
            (start + place, open_photo(manipulate(open_rgb(originals[place]), chance), SIDE).image)
            for place in chosen
            for manipulate in MANIPULATIONS.values()
        ]
    rows = []
    for name, function in (("phash", imagehash.phash), ("dhash", imagehash.dhash), ("whash", imagehash.whash)):
        begun = time.process_time()
        base = np.array([function(picture).hash.ravel() for picture in pictures])
        milliseconds = (time.process_time() - begun) / len(pictures) * 1000
        mirrored = np.array([function(ImageOps.mirror(picture)).hash.ravel() for picture in pictures])
        distance = np.minimum(_apart(base, base), _apart(base, mirrored))
        copies = np.array([function(picture).hash.ravel() for _, picture in made])
        places = np.array([place for place, _ in made])
        found = np.minimum((copies != base[places]).sum(1), (copies != mirrored[places]).sum(1))
        upper = distance[np.triu_indices(len(base), 1)]
        for bits in (0, 2, 4, 6, 8, 10):
            row = {"hash": name, "bits": bits, "milliseconds": milliseconds, "copies": len(made)}
            rows.append({**row, "found": int((found <= bits).sum()), "wrong_pairs": int((upper <= bits).sum())})
    begun = time.process_time()
    for place in range(len(pictures)):
        measure(_opened(pictures[place]))
    rows.append({"hash": "graft, all facts", "milliseconds": (time.process_time() - begun) / len(pictures) * 1000})
    return rows


def _opened(picture: Image.Image) -> Opened:
    return Opened(picture, *picture.size, False, "JPEG", Exif())


def _apart(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    a, b = one.astype(np.float32), other.astype(np.float32)
    return (a @ (1 - b).T + (1 - a) @ b.T).round().astype(int)


def is_photo(path: Path) -> bool:
    try:
        open_photo(path, 1)
    except UnusablePhoto:
        return False
    return True


if __name__ == "__main__":
    main()
