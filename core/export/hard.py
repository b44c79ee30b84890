"""Drawn pictures of the kinds that other programs read differently: turned, for print, see-through, deep, very wide.

Exporting shows them to every form of a model, beside the user's own photos. Nothing is random. Torch-free.
"""

import io

import numpy as np
from PIL import Image

ORIENTATION = 0x0112  # the EXIF tag


def hard_pictures() -> dict[str, bytes]:
    """File name → bytes."""
    scene = _scene(480, 360)
    alpha = Image.fromarray(np.uint8(np.hypot(*np.mgrid[-1:1:240j, -1:1:320j]) < 0.9) * 255)
    clear = _scene(320, 240)
    clear.putalpha(alpha)
    grey = _scene(320, 240).convert("LA")
    grey.putalpha(alpha)
    deep = np.asarray(_scene(320, 240).convert("L"), np.uint16) * 257
    turned = Image.Exif()
    turned[ORIENTATION] = 6
    return {
        "turned.jpg": _saved(scene, "JPEG", exif=turned, quality=92),
        "large.jpg": _saved(_scene(2400, 1800), "JPEG", quality=85),  # decoded at a fraction of its size
        "print.jpg": _saved(scene.convert("CMYK"), "JPEG", quality=92),
        "palette.png": _saved(clear.quantize(64), "PNG"),
        "deep.png": _saved(Image.fromarray(deep), "PNG"),
        "grey.png": _saved(grey, "PNG"),
        "wide.jpg": _saved(_scene(1920, 80), "JPEG", quality=92),
    }


def _scene(width: int, height: int) -> Image.Image:
    """Hills, a sky and a disc: edges and slow changes, different in every channel and corner."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    hill = 0.55 + 0.15 * np.sin(7 * x * width / height) + 0.05 * np.sin(31 * x)
    sky = np.stack([0.45 + 0.3 * y, 0.6 + 0.2 * x, 0.95 - 0.25 * y], axis=-1)
    ground = np.stack([0.35 + 0.3 * x, 0.5 - 0.2 * y, 0.15 + 0.1 * np.sin(40 * x * y)], axis=-1)
    picture = np.where((y < hill)[..., None], sky, ground)
    disc = np.hypot((x - 0.62) * width / height, y - 0.4) < 0.22
    picture[disc] = (0.9, 0.3, 0.2)
    return Image.fromarray(np.uint8(np.clip(picture, 0, 1) * 255))


def _saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()
