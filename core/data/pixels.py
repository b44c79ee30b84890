"""From a file to the square a network looks at. Training, scoring and prediction all go through here. Torch-free.

Two steps, so that training can cut its own random square out of the larger one: ``square`` gives
``resize × resize`` pixels, ``centre`` the ``crop × crop`` in its middle. Together they are the usual
"resize the shorter side, then centre crop" of the backbone's own preprocessing.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from os import cpu_count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.data.image import UnusablePhoto, open_rgb

Pixels = NDArray[np.uint8]  # (side, side, 3) in 0..255
FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
# Two threads keep two cores busy (Pillow frees the lock while it decodes); more only helps where there are more.
DECODE_THREADS = max(2, cpu_count() or 2)


def square(source: Path | bytes, resize: int, interpolation: str) -> Pixels:
    """The middle ``resize × resize`` of a photo whose shorter side was scaled to ``resize``.

    Raises:
        UnusablePhoto: it can't be opened, or isn't a picture.
    """
    image = open_rgb(source, shorter_side=resize)
    width, height = image.size
    # The box is cut before scaling: of a panorama only the middle is ever scaled.
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    scaled = image.resize((resize, resize), FILTERS[interpolation], box=(left, top, left + side, top + side))
    return np.asarray(scaled)


def centre(pixels: Pixels, crop: int) -> Pixels:
    """The middle ``crop × crop`` of a square."""
    offset = (pixels.shape[0] - crop) // 2
    return pixels[offset : offset + crop, offset : offset + crop]


def squares(
    sources: Iterable[Path | bytes], resize: int, interpolation: str, *, threads: int = DECODE_THREADS
) -> Iterator[Pixels | UnusablePhoto]:
    """``square`` of each source in order, decoded ahead by threads; a bounded number waits in memory."""
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[Pixels | UnusablePhoto]] = deque()
        for source in sources:
            waiting.append(pool.submit(_square_or_error, source, resize, interpolation))
            if len(waiting) >= threads * 16:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _square_or_error(source: Path | bytes, resize: int, interpolation: str) -> Pixels | UnusablePhoto:
    try:
        return square(source, resize, interpolation)
    except UnusablePhoto as error:
        return error
