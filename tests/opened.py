"""What tests ask of the decoder, in a few words."""

import numpy as np
import pytest
from PIL import Image

from core.data.image import UnusablePhoto, open_rgb


def reason_for(data: bytes) -> str:
    with pytest.raises(UnusablePhoto) as caught:
        open_rgb(data)
    assert caught.value.message
    assert caught.value.hint
    return caught.value.reason


def outcome(data: bytes, shorter_side: int | None = None) -> Image.Image | UnusablePhoto:
    try:
        return open_rgb(data, shorter_side)
    except UnusablePhoto as error:
        return error


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(int)
