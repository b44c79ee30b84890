"""The photos that travel with a bundle, so that ``verify.py`` has something to compare. Torch-free."""

from collections.abc import Iterator
from pathlib import Path

from core.data.image import UnusablePhoto, open_rgb
from core.data.report import Sample, Split
from core.export.hard import hard_pictures
from core.runs.store import RunDirectory

FOLDER = "samples"
MOST_SAMPLES = 8
LONGER_SIDE = 512  # pixels: enough for every backbone's square, small for a download


def own_photos(run: RunDirectory, most: int) -> list[tuple[Sample, Path]]:
    """Up to ``most`` of the run's test photos that are still there, evenly spread; of the validation photos otherwise.

    A run that was imported has none.
    """
    split: Split = run.split()
    for part in ("test", "val"):
        samples, root = split.part(part), Path(split.root_of(part))
        there = [(sample, root / sample.path) for sample in samples if (root / sample.path).is_file()]
        if there:
            return spread(there, most)
    return []


def spread(photos: list[tuple[Sample, Path]], most: int) -> list[tuple[Sample, Path]]:
    """Up to ``most`` of them from the first to the last, so that all classes are among them."""
    every = max(1.0, len(photos) / most)
    return [photos[int(place * every)] for place in range(min(most, len(photos)))]


def write_samples(folder: Path, photos: list[tuple[Sample, Path]]) -> Iterator[str]:
    """Small copies of the user's photos, without what cameras note in them (place, time), and the drawn ones."""
    (folder / FOLDER).mkdir()
    for number, (_, path) in enumerate(photos, start=1):
        try:
            copy = open_rgb(path, shorter_side=LONGER_SIDE)
        except UnusablePhoto:
            continue
        copy.thumbnail((LONGER_SIDE, LONGER_SIDE))
        name = f"{FOLDER}/photo-{number}.jpg"
        copy.save(folder / name, "JPEG", quality=90)  # ``open_rgb`` has dropped all of the file's own metadata
        yield name
    for name, data in hard_pictures().items():
        (folder / FOLDER / name).write_bytes(data)
        yield f"{FOLDER}/{name}"
