"""What a photo's EXIF block says about how it was taken. Its content is anybody's: nothing here raises. Torch-free."""

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from PIL import Image

# Source: Exif 2.32, 4.6.4 and 4.6.5
_MAKER, _MODEL, _ORIENTATION, _DETAILS, _TAKEN = 0x010F, 0x0110, 0x0112, 0x8769, 0x9003
CAMERA_LETTERS = 60
_TIME = re.compile(r"(\d{4})[:\-/](\d\d)[:\-/](\d\d)[ T](\d\d):(\d\d):(\d\d)")


@dataclass(frozen=True)
class Exif:
    """``orientation`` is 1 (upright) to 8. A camera or time that isn't there, or makes no sense, is None."""

    orientation: int = 1
    camera: str | None = None
    taken: str | None = None  # "2026-11-21T13:25:00": local time where it was taken, as cameras note it


def read_exif(image: Image.Image) -> Exif:
    """Of an opened picture; what is damaged counts as not said."""
    try:
        block: Any = image.getexif()
        orientation: Any = block.get(_ORIENTATION, 1) if block else 1
    except Exception:  # Pillow raises whatever its parser stumbles over
        return Exif()
    if not isinstance(orientation, int) or not 1 <= orientation <= 8:
        orientation = 1
    return Exif(int(orientation), _camera(block), _taken(block)) if block else Exif()


def clean(value: object) -> str:
    """One short line without control or direction characters; empty for what isn't text."""
    if not isinstance(value, str):
        return ""
    shown = "".join(letter if unicodedata.category(letter)[0] != "C" else " " for letter in value[:1000])
    return " ".join(shown.split())[:CAMERA_LETTERS]


def _camera(block: Any) -> str | None:
    try:
        maker, model = clean(block.get(_MAKER)), clean(block.get(_MODEL))
    except Exception:
        return None
    named = model if model.casefold().startswith(maker.casefold()) else f"{maker} {model}"
    return named[:CAMERA_LETTERS].strip() or None


def _taken(block: Any) -> str | None:
    try:
        text = clean(block.get_ifd(_DETAILS).get(_TAKEN))
        found = _TIME.fullmatch(text)
        return datetime.fromisoformat("{}-{}-{}T{}:{}:{}".format(*found.groups())).isoformat() if found else None
    except Exception:
        return None
