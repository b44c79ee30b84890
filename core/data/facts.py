"""What one look at a photo measured: light, sharpness, background, camera, and a hash of how it looks. Torch-free.

Facts belong to a file's content, so they are kept by its SHA-256 and shared by copies and by every version.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Facts:
    """Light and colour are 0 (black) to 1 (white)."""

    kind: str  # of file: "JPEG", "PNG" …
    brightness: float  # mean luma
    contrast: float  # standard deviation of luma
    sharpness: float
    border: tuple[float, float, float]  # mean red, green and blue of the outermost tenth: mostly background
    look: str  # perceptual hash of the picture, 16 hexadecimal digits
    mirrored: str  # that of its mirror image
    camera: str | None  # maker and model, as EXIF has them
    taken: str | None  # EXIF DateTimeOriginal, "2026-11-21T13:25:00"
    turned: bool  # EXIF asks for it to be shown turned or mirrored
    animated: bool


def read_facts(path: Path) -> Mapping[str, Facts]:
    """What was measured, by hash; empty where nothing was."""
    return {}
