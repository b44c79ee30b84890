"""One file, checked and turned into upright 8-bit RGB pixels: the only decoder in Graft. Torch-free.

Scan, thumbnails, training and prediction all see a photo through ``open_rgb``, so none of them can see it differently.
"""

import io
import math
import os
import stat
import threading
import warnings
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from core.data.exif import Exif, read_exif
from core.data.filetypes import PHOTO_SUFFIXES as PHOTO_SUFFIXES
from core.data.filetypes import picture_kind, reason_by_content
from core.errors import DataError

try:
    from PIL import AvifImagePlugin

    _avif: type[ImageFile.ImageFile] | None = AvifImagePlugin.AvifImageFile if AvifImagePlugin.SUPPORTED else None
except ImportError:  # a Pillow built without it
    _avif = None

# Calling the classes, rather than Image.open, leaves Pillow's global limits and its list of formats alone.
_OPENERS: dict[str, type[ImageFile.ImageFile] | None] = {
    "JPEG": JpegImagePlugin.JpegImageFile,  # and MPO, whose first picture is the photo
    "PNG": PngImagePlugin.PngImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "AVIF": _avif,
}

MIN_SIDE = 8  # pixels; the handwritten digits that every textbook uses are 8 × 8
MAX_ASPECT = 50  # longer side / shorter side; beyond that, scaling the shorter side up to 224 makes a giant
MAX_JPEG_PIXELS = 250_000_000  # the largest phone sensors have 200 million; decoding these takes about 2 s
MAX_SCAN_PIXELS = 1_000_000_000  # of a progressive JPEG: pixels × scans, about 10 s

# Memory. One large photo is decoded at a time, whatever the number of threads, so that two threads stay below 1 GB:
# 640 MB for the one being decoded, 320 MB for the one just handed out.
MEMORY_BYTES = 640_000_000
LARGE_BYTES = 96_000_000
# Peak bytes per pixel on the way to an upright RGB picture, as resident memory measured on 16-megapixel noise with
# Pillow 13: 8.0 (Pillow keeps RGB in 4 bytes, and turning it needs a second one), WebP 16.5–20.0, AVIF 10.4–11.8.
_PEAK_BYTES_PER_PIXEL = {"WEBP": 20, "AVIF": 16}
_USUAL_PEAK_BYTES_PER_PIXEL = 8

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # Source: Exif 2.32, 4.6.4, tag 0x0112 Orientation

_large = threading.Lock()
_hush: tuple[Any, ...] = ()


def _renew_lock() -> None:
    """A forked child must not wait for a thread that only its parent has."""
    global _large
    _large = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


class UnusablePhoto(DataError):
    """A file that can't be used as a photo. ``reason`` names an entry below ``data.leftout``."""

    def __init__(self, reason: str, /, **values: object) -> None:
        reason = reason.removeprefix("data.leftout.")  # as it comes back from JSON
        super().__init__(f"data.leftout.{reason}", **values)
        self.reason = reason


@dataclass(frozen=True)
class Opened:
    """A decoded photo, and what the file says about itself."""

    image: Image.Image  # RGB, upright; smaller than the file's own size where that saved time
    width: int  # of the file's picture, as shown
    height: int
    animated: bool  # more frames or pages follow, which aren't used
    kind: str  # of file: "JPEG", "PNG" …
    exif: Exif


def open_rgb(source: Path | bytes, shorter_side: int | None = None) -> Image.Image:
    """The photo as people see it: upright, RGB, 8 bit, first frame, transparency over white, 16 bit scaled to 8.

    With ``shorter_side`` a JPEG may come at 1/2, 1/4 or 1/8 of its size, which is up to 3 times faster, but never
    with a shorter side below that; without, only one too large for memory does. Colour profiles are not applied, as
    in every common training pipeline.

    Raises:
        UnusablePhoto: it isn't a picture, is damaged, or is too large or too small.
    """
    return open_photo(source, shorter_side).image


def open_photo(source: Path | bytes, shorter_side: int | None = None) -> Opened:
    """Like ``open_rgb``, with the file's own size and whether it is animated."""
    data = source if isinstance(source, bytes) else read_file(source)
    if not data:
        raise UnusablePhoto("empty")
    kind = picture_kind(data[:64])
    if kind is None:
        reason, values = reason_by_content(data[:512])
        raise UnusablePhoto(reason, **values)
    opener = _OPENERS[kind]
    if opener is None:
        raise UnusablePhoto("other_kind", kind=kind)
    _hush_pillow()
    try:
        return _decode(opener, kind, data, shorter_side)
    except UnusablePhoto:
        raise
    except (MemoryError, Image.DecompressionBombError):
        reason = "no_memory"
    except Exception as error:
        # On damaged files Pillow raises whatever its parsers stumble over (OSError, SyntaxError, struct.error,
        # IndexError, ZeroDivisionError …): documented are only the first two.
        reason = "cut_off" if "truncat" in str(error).lower() else "damaged"
    raise UnusablePhoto(reason)  # out here, so that it doesn't keep the pixels alive through the first error


def read_file(path: Path | str) -> bytes:
    """The bytes of a file that may be a photo; never waits on a pipe or reads more than a photo can have."""
    try:
        facts = os.stat(path)
        if not stat.S_ISREG(facts.st_mode):
            raise UnusablePhoto("not_a_file")
        if facts.st_size > MEMORY_BYTES:
            raise UnusablePhoto("file_too_large", megabytes=facts.st_size // 1_000_000)
        with open(path, "rb", buffering=0) as file:
            return file.read()
    except FileNotFoundError:
        raise UnusablePhoto("gone") from None
    except PermissionError:
        raise UnusablePhoto("not_allowed") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise UnusablePhoto("unreadable") from error


def size_as_shown(image: Image.Image) -> tuple[int, int]:
    """Width and height of a picture opened with Pillow, after the turn that its EXIF orientation asks for."""
    width, height = image.size
    turned = not isinstance(image, TiffImagePlugin.TiffImageFile) and read_exif(image).orientation >= 5
    return (height, width) if turned else (width, height)  # Pillow's TIFF size is already as shown


def _decode(opener: type[ImageFile.ImageFile], kind: str, data: bytes, shorter_side: int | None) -> Opened:
    image: Image.Image = opener(io.BytesIO(data), "")
    width, height = image.size
    _check_shape(width, height)
    if kind == "JPEG":
        scale, cost = _jpeg_scale(image, data, shorter_side)
    else:
        scale, cost = 1, _cost(kind, width * height, data)
    if cost > MEMORY_BYTES:
        raise UnusablePhoto("too_large", width=width, height=height, megapixels=width * height // 1_000_000)
    if scale > 1:
        image.draft(None, (width // scale, height // scale))
    animated = _is_animated(image, kind, data)
    with _large if cost > LARGE_BYTES else nullcontext():
        image.load()
        exif = read_exif(image)
        # Each step lets go of the picture before it: never more than two are in memory.
        for step in (_from_deep, _with_alpha, _over_white, _to_rgb):
            image = step(image)
        if exif.orientation in _TURNS:
            image = image.transpose(_TURNS[exif.orientation])
    if scale == 1:
        width, height = image.size
    elif exif.orientation >= 5:
        width, height = height, width
    return Opened(image, width, height, animated, kind, exif)


def _check_shape(width: int, height: int) -> None:
    if min(width, height) < MIN_SIDE:
        raise UnusablePhoto("too_small", width=width, height=height, least=MIN_SIDE)
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise UnusablePhoto("too_narrow", width=width, height=height, most=MAX_ASPECT)


def _cost(kind: str, pixels: int, data: bytes) -> int:
    return len(data) + pixels * _PEAK_BYTES_PER_PIXEL.get(kind, _USUAL_PEAK_BYTES_PER_PIXEL)


def _jpeg_scale(image: Image.Image, data: bytes, shorter_side: int | None) -> tuple[int, int]:
    """By how much a JPEG is scaled down while decoding (1, 2, 4 or 8), and the bytes of memory that takes."""
    width, height = image.size
    pixels = width * height
    held = _held_bytes(cast(JpegImagePlugin.JpegImageFile, image), data)
    if pixels > MAX_JPEG_PIXELS:
        raise UnusablePhoto("too_large", width=width, height=height, megapixels=pixels // 1_000_000)
    if held and pixels * data.count(b"\xff\xda") > MAX_SCAN_PIXELS:
        raise UnusablePhoto("too_many_scans")
    costs = {scale: held + _cost("JPEG", pixels // scale**2, data) for scale in (1, 2, 4, 8)}
    if shorter_side:
        scale = max(scale for scale in costs if scale == 1 or shorter_side * scale <= min(width, height))
    else:
        scale = next((scale for scale, cost in costs.items() if cost <= MEMORY_BYTES), 8)
    return scale, costs[scale]


def _held_bytes(image: JpegImagePlugin.JpegImageFile, data: bytes) -> int:
    """What libjpeg keeps in memory besides the picture: all coefficients, if a scan doesn't hold all components."""
    count = len(image.layer)
    header = 6 + 2 * count  # Source: ITU-T T.81, B.2.3: length, components in this scan, …
    start = cast(io.BytesIO, image.fp).tell() - header
    if "progressive" not in image.info and data[start : start + 3] == bytes((0, header, count)):
        return 0
    samples = [(layer[1], layer[2]) for layer in image.layer]
    largest = max(h for h, _ in samples) * max(v for _, v in samples)
    return 2 * image.width * image.height * sum(h * v for h, v in samples) // largest


def _is_animated(image: Image.Image, kind: str, data: bytes) -> bool:
    if kind == "JPEG":
        return False
    # Asking a GIF moves it to its second frame.
    asked = GifImagePlugin.GifImageFile(io.BytesIO(data)) if kind == "GIF" else image
    try:
        return bool(getattr(asked, "is_animated", False))
    except Exception:  # the first frame, which is the one used, may be whole all the same
        return True


def _from_deep(image: Image.Image) -> Image.Image:
    """Grey of 16 or 32 bits, or with fractions, as 8 bits; Pillow's own conversion clips it to white."""
    if image.mode.startswith("I;16"):
        image = image.convert("I")
        white = 65535.0
    elif image.mode in ("I", "F"):
        # Nothing in the file says which number is white: the usual ranges first, the largest number otherwise.
        largest = float(cast(tuple[float, float], image.getextrema())[1])
        if not math.isfinite(largest):
            raise UnusablePhoto("colours", mode=image.mode)
        white = next((top for top in (1.0, 255.0, 65535.0) if largest <= top), largest)
    else:
        return image
    factor = 255.0 / white
    return image.point(lambda value: value * factor + 0).convert("L")


def _with_alpha(image: Image.Image) -> Image.Image:
    see_through = image.mode in ("LA", "PA", "La", "RGBa") or "transparency" in image.info
    return image.convert("RGBA") if see_through and image.mode != "RGBA" else image


def _over_white(image: Image.Image) -> Image.Image:
    if image.mode != "RGBA":
        return image
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image)
    return white


def _to_rgb(image: Image.Image) -> Image.Image:
    """A plain RGB picture without the file's metadata."""
    try:
        image = image.convert("RGB")
    except ValueError:
        raise UnusablePhoto("colours", mode=image.mode) from None
    image.info = {}
    return image


def _hush_pillow() -> None:
    """Silence what Pillow has to say about odd metadata of photos that it reads all the same.

    ``warnings.catch_warnings`` isn't safe in threads. One filter is, put in front again where others were added.
    """
    global _hush
    if not _hush or not warnings.filters or warnings.filters[0] != _hush:
        warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
        _hush = warnings.filters[0]
