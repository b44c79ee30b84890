"""Small pictures of photos for lists and grids, kept on disk. Torch-free."""

import contextlib
import io
import re
from pathlib import Path

from PIL import Image

from core.data.image import UnusablePhoto, open_rgb
from core.workspace import write_atomically

SIDES = range(16, 1025)  # pixels
HASH_PATTERN = re.compile(r"[0-9a-f]{64}")
JPEG_QUALITY = 82  # 160 × 160 pixels of a photo take about 6 kB; below 80, edges of text begin to ring
PIXEL_ART = 4  # enlarged this often or more, a picture is shown as the squares it is made of


def thumbnail(root: Path, photo_path: str, sha256: str, cache: Path, side: int = 160) -> bytes:
    """The middle square of a photo as a JPEG of ``side`` pixels: about what a network sees of it.

    Kept below ``cache`` under the photo's hash, so that copies and moved data sets share it.

    Raises:
        UnusablePhoto: it can't be opened any more, or ``photo_path`` leads out of ``root``.
    """
    if side not in SIDES or not HASH_PATTERN.fullmatch(sha256):
        raise ValueError(f"not a thumbnail's side and hash: {side}, {sha256[:80]!r}")
    kept = cache / sha256[:2] / f"{sha256}-{side}.jpg"
    with contextlib.suppress(OSError):
        return kept.read_bytes()
    data = _draw(_inside(root, photo_path), side)
    with contextlib.suppress(OSError):  # a full or read-only disk makes it slow, not wrong
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(kept, data)
    return data


def whole(root: Path, photo_path: str, side: int) -> bytes:
    """All of a photo as a JPEG whose longer side has at most ``side`` pixels, to look at it closely. Not kept.

    Raises:
        UnusablePhoto: it can't be opened any more, or ``photo_path`` leads out of ``root``.
    """
    image = open_rgb(_inside(root, photo_path), shorter_side=side)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


def _inside(root: Path, photo_path: str) -> Path:
    """The photo's path, if it still lies below ``root`` once links are followed."""
    try:
        path = (root / photo_path).resolve()
        inside = path.is_relative_to(root.resolve())
    except (OSError, ValueError, RuntimeError):  # a NUL in the name, links in a circle
        raise UnusablePhoto("unreadable") from None
    if not inside:
        raise UnusablePhoto("link")
    return path


def _draw(path: Path, side: int) -> bytes:
    image = open_rgb(path, shorter_side=side)
    short = min(image.size)
    left, top = (image.width - short) / 2, (image.height - short) / 2
    enlarge = Image.Resampling.NEAREST if short * PIXEL_ART <= side else Image.Resampling.BICUBIC
    method = Image.Resampling.LANCZOS if short > side else enlarge
    square = image.resize((side, side), method, box=(left, top, left + short, top + short))
    buffer = io.BytesIO()
    square.save(buffer, "JPEG", quality=JPEG_QUALITY, optimize=True)
    return buffer.getvalue()
