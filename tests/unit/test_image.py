"""One file → upright 8-bit RGB pixels, or a reason; never anything else."""

import io
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from core.data import image as image_module
from core.data.image import UnusablePhoto, open_photo, open_rgb, read_file, size_as_shown
from core.errors import CoreError
from tests.hostile import (
    ODD,
    UNUSABLE,
    encoded,
    flat_png,
    frames,
    jpeg,
    picture,
    with_orientation,
)
from tests.opened import outcome, pixels, reason_for

# What must work


@pytest.mark.parametrize("name", ODD)
def test_every_odd_picture_opens_as_rgb_from_bytes_and_from_its_file(name, tmp_path):
    (tmp_path / name).write_bytes(ODD[name]())
    from_file, from_bytes = open_rgb(tmp_path / name), open_rgb(ODD[name]())
    assert from_file.mode == "RGB"
    assert from_file.info == {}
    assert np.array_equal(from_file, from_bytes)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP", "GIF"])
def test_lossless_kinds_give_the_very_pixels(kind):
    image = picture().quantize(64).convert("RGB")
    options = {"lossless": True} if kind == "WEBP" else {}
    assert np.array_equal(open_rgb(encoded(image, kind, **options)), image)


# The eight ways a camera can lie, in array terms (rows down, columns across) instead of Pillow's.
TURNED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", TURNED)
def test_photos_are_upright_whatever_way_the_camera_was_held(kind, orientation):
    stored = picture(96, 64)
    shown = TURNED[orientation](pixels(stored))
    opened = open_photo(with_orientation(stored, orientation, kind))
    assert (opened.height, opened.width) == shown.shape[:2]
    allowed = 1 if kind in ("PNG", "TIFF") else 40  # the noise of lossy kinds; a wrong turn is off by 100 and more
    assert np.abs(pixels(opened.image) - shown).mean() < min(allowed, 12)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", TURNED)
def test_the_size_as_shown_is_known_without_decoding(kind, orientation):
    with Image.open(io.BytesIO(with_orientation(picture(96, 64), orientation, kind))) as image:
        assert size_as_shown(image) == ((96, 64) if orientation <= 4 else (64, 96))


@pytest.mark.skipif(image_module._avif is None, reason="this Pillow has no AVIF")
def test_avif_opens_and_turns():
    opened = open_photo(with_orientation(picture(96, 64), 6, "AVIF"))
    assert (opened.width, opened.height) == (64, 96)
    assert np.abs(pixels(opened.image) - TURNED[6](pixels(picture(96, 64)))).mean() < 12


def test_avif_without_its_decoder_says_so(monkeypatch):
    monkeypatch.setitem(image_module._OPENERS, "AVIF", None)
    with pytest.raises(UnusablePhoto, match="AVIF"):
        open_rgb(b"\0\0\0\x18ftypavif\0\0\0\0mif1avif" + b"x" * 100)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_not_clipped_to_white(kind):
    stored = np.array([[0, 256, 32768, 65535]] * 8, np.uint16).repeat(2, axis=1)
    shown = pixels(open_rgb(encoded(Image.fromarray(stored), kind)))[0, ::2, 0]
    assert np.abs(shown - [0, 1, 128, 255]).max() <= 1


def test_sixteen_bit_colour_is_scaled_too():
    row = np.array([[0, 0, 0], [65535, 32768, 256]], ">u2").repeat(4, axis=0).tobytes()
    assert open_rgb(sixteen_bit_rgb(row, 8, 8)).getpixel((7, 0)) == (255, 128, 1)


def sixteen_bit_rgb(row: bytes, width: int, height: int) -> bytes:
    import zlib

    flat = flat_png(width, height, channels=3, bits=16)
    start = flat.index(b"IDAT") - 4
    data = zlib.compress((b"\0" + row) * height)
    block = len(data).to_bytes(4, "big") + b"IDAT" + data + zlib.crc32(b"IDAT" + data).to_bytes(4, "big")
    return flat[:start] + block + flat[-12:]


@pytest.mark.parametrize(
    ("values", "shown"),
    [([0.0, 0.5, 1.0], [0, 127, 255]), ([0.0, 100.0, 255.0], [0, 100, 255]), ([0.0, 1000.0, 2000.0], [0, 3, 7])],
)
def test_fractions_and_large_numbers_take_the_usual_range_that_holds_them(values, shown):
    stored = np.tile(np.repeat(np.array(values, np.float32), 4), (8, 1))
    assert np.abs(pixels(open_rgb(encoded(Image.fromarray(stored), "TIFF")))[0, ::4, 0] - shown).max() <= 1


def test_numbers_that_are_none_are_not_a_colour():
    assert reason_for(encoded(Image.fromarray(np.full((16, 16), np.nan, np.float32)), "TIFF")) == "colours"


def test_what_is_see_through_shows_white():
    image = Image.new("RGBA", (16, 16), (0, 0, 0, 0))
    image.paste((255, 0, 0, 255), (0, 0, 8, 16))
    image.paste((0, 0, 0, 128), (8, 8, 16, 16))
    shown = open_rgb(encoded(image, "PNG"))
    assert shown.getpixel((0, 0)) == (255, 0, 0)
    assert shown.getpixel((15, 0)) == (255, 255, 255)
    assert shown.getpixel((15, 15)) == pytest.approx((127, 127, 127), abs=1)


def test_a_palette_with_transparency_shows_white_too():
    image = Image.new("P", (16, 16), 0)
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.paste(1, (8, 0, 16, 16))
    shown = open_rgb(encoded(image, "PNG", transparency=0))
    assert shown.getpixel((0, 0)) == (255, 255, 255)
    assert shown.getpixel((15, 0)) == (200, 100, 50)


def test_printers_colours_become_screen_colours():
    red = Image.new("CMYK", (32, 32), (0, 255, 255, 0))
    assert np.abs(pixels(open_rgb(encoded(red, "JPEG", quality=95))) - (255, 0, 0)).max() < 6
    assert open_rgb(encoded(red, "TIFF")).getpixel((0, 0)) == (255, 0, 0)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_several_frames_the_first_counts(kind):
    opened = open_photo(frames(kind))
    assert opened.animated
    assert np.abs(pixels(opened.image) - pixels(picture(seed=0))).mean() < 12
    assert not open_photo(encoded(picture(), kind)).animated


@settings(derandomize=True, deadline=None, max_examples=60)
@given(width=st.integers(8, 400), height=st.integers(8, 400), shorter_side=st.integers(1, 300))
def test_a_quick_look_is_never_smaller_than_asked(width, height, shorter_side):
    if max(width, height) > 50 * min(width, height):
        return
    opened = open_photo(encoded(Image.new("RGB", (width, height)), "JPEG"), shorter_side)
    assert min(opened.image.size) >= min(shorter_side, width, height)
    assert (opened.width, opened.height) == (width, height)
    if min(width, height) >= 8 * shorter_side:
        assert min(opened.image.size) <= min(width, height) // 8 + 1


def test_a_quick_look_is_turned_as_well():
    opened = open_photo(with_orientation(picture(640, 480), 6, "JPEG"), shorter_side=60)
    assert opened.image.size == (60, 80)
    assert (opened.width, opened.height) == (480, 640)


# What must be refused, with a reason


@pytest.mark.parametrize("name", UNUSABLE)
def test_every_unusable_file_gets_its_reason(name):
    reason, make = UNUSABLE[name]
    assert reason_for(make()) == reason


@pytest.mark.parametrize("name", [name for name in ODD if name not in ("trailing.jpg", "digit.png")])
def test_a_file_cut_anywhere_is_refused_or_whole(name):
    """Some formats end with what isn't pixels: a file without that is as good as whole."""
    data = ODD[name]()
    whole = pixels(open_rgb(data))
    refused = 0
    for sixteenth in range(16):
        result = outcome(data[: len(data) * sixteenth // 16])
        if isinstance(result, UnusablePhoto):
            assert result.reason in ("empty", "cut_off", "damaged", "not_a_picture")
            refused += 1
        else:
            assert np.array_equal(result, whole)
    # Of an animation the first frame may be whole.
    assert refused >= (4 if open_photo(data).animated or name == "two_in_one.jpg" else 15)


def test_a_long_reason_is_kept_as_key_and_values():
    error = CoreError.from_json(
        json.loads(json.dumps(UnusablePhoto("too_small", width=1, height=2, least=8).to_json()))
    )
    assert "1 × 2" in error.message
    assert isinstance(UnusablePhoto.from_json(error.to_json()), UnusablePhoto)
    assert UnusablePhoto.from_json(error.to_json()).message == error.message


@pytest.mark.parametrize(
    ("name", "reason"),
    [("missing.jpg", "gone"), ("folder.jpg", "not_a_file"), ("pipe.jpg", "not_a_file"), ("nul\0.jpg", "unreadable")],
)
def test_what_is_no_file_is_refused_without_waiting_for_it(tmp_path, name, reason):
    import os

    (tmp_path / "folder.jpg").mkdir()
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.jpg")
    elif name == "pipe.jpg":
        pytest.skip("no pipes in folders here")
    with pytest.raises(UnusablePhoto) as caught:
        read_file(tmp_path / name)
    assert caught.value.reason == reason


def test_a_file_that_may_not_be_read_is_refused(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "no")

    (tmp_path / "a.jpg").write_bytes(jpeg())
    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(UnusablePhoto) as caught:
        open_rgb(tmp_path / "a.jpg")
    assert caught.value.reason == "not_allowed"


def test_a_file_far_larger_than_a_photo_is_not_even_read(tmp_path):
    with (tmp_path / "a.bmp").open("wb") as file:
        file.truncate(700_000_000)  # of holes: takes no room
    with pytest.raises(UnusablePhoto) as caught:
        open_rgb(tmp_path / "a.bmp")
    assert caught.value.reason == "file_too_large"


def test_want_of_memory_is_a_reason_like_others(monkeypatch):
    def fail(self):
        raise MemoryError

    monkeypatch.setattr(ImageFile.ImageFile, "load", fail)
    assert reason_for(encoded(picture(), "BMP")) == "no_memory"
