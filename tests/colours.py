"""A model that needs no network: it says which of red, green and blue is strongest in a photo."""

import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from core.data.image import UnusablePhoto, open_rgb

CLASSES = ("red", "green", "blue")


@dataclass(frozen=True)
class Colour:
    """An answer as a predictor gives it."""

    top: tuple[tuple[str, float], ...]
    unknown: bool = False
    strangeness: float | None = None


class Colours:
    """Opens a few photos ahead, as a predictor does."""

    def __init__(self, ahead: int = 4) -> None:
        self.ahead = ahead
        self.opened: list[Path] = []  # photos that were asked for

    def predict(self, photos: Iterable[Path]) -> Iterator[Colour | UnusablePhoto]:
        waiting: list[Path] = []
        for photo in photos:
            self.opened.append(photo)
            waiting.append(photo)
            if len(waiting) > self.ahead:
                yield self._look(waiting.pop(0))
        yield from map(self._look, waiting)

    def _look(self, photo: Path) -> Colour | UnusablePhoto:
        try:
            pixel = open_rgb(photo).resize((1, 1)).getpixel((0, 0))
        except UnusablePhoto as error:
            return error
        shares = zip(CLASSES, (value / 255 for value in pixel), strict=True)
        return Colour(tuple(sorted(shares, key=lambda share: -share[1])))


def paint(path: Path, colour: str) -> Path:
    """A small photo of one colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (16, 16), colour).save(path)
    return path


def zipped(path: Path, photos: dict[str, str]) -> Path:
    """A zip of small photos, given as names and colours."""
    picture = path.with_suffix(".png")
    with zipfile.ZipFile(path, "w") as archive:
        for name, colour in photos.items():
            archive.write(paint(picture, colour), name)
    picture.unlink()
    return path
