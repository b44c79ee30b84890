"""One file → upright 8-bit RGB pixels, or a reason; never anything else."""

import io
import json
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile, JpegImagePlugin

from core.data import image as image_module
from core.data.image import UnusablePhoto, open_photo, open_rgb, read_file, size_as_shown
from core.errors import CoreError
from tests.hostile import (
    ODD,
    UNUSABLE,
    encoded,
    flat_jpeg,
    flat_png,
    frames,
    jpeg,
    many_scans_jpeg,
    picture,
    resized_jpeg,
    with_bytes,
    with_orientation,
)


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


# Limits


def test_a_jpeg_too_large_for_memory_comes_smaller_and_a_quick_look_at_it_is_quick():
    data = flat_jpeg(15_000, 15_000)
    opened = open_photo(data, shorter_side=256)
    assert opened.image.size == (1875, 1875)
    assert (opened.width, opened.height) == (15_000, 15_000)


def test_memory_for_progressive_jpegs_includes_all_coefficients():
    def held(data: bytes) -> int:
        with JpegImagePlugin.JpegImageFile(io.BytesIO(data)) as image:
            return image_module._held_bytes(image, data)

    # 96 × 72 pixels, 2 bytes a coefficient; with 4:2:0 the two colours have a quarter each.
    assert held(jpeg(progressive=True)) == 96 * 72 * 2 * 1.5
    assert held(jpeg(progressive=True, subsampling=0)) == 96 * 72 * 2 * 3
    assert held(jpeg()) == 0
    one_component_a_scan = with_bytes(jpeg(), b"\xff\xda\0\x0c\3", b"\xff\xda\0\x0c\1")
    assert held(one_component_a_scan) == 96 * 72 * 2 * 1.5


def test_a_progressive_jpeg_too_large_for_memory_is_refused_at_any_scale():
    data = resized_jpeg(jpeg(progressive=True, subsampling=0), 9_000, 9_000)
    assert isinstance(outcome(data, 100), Image.Image)
    assert reason_for(resized_jpeg(data, 11_000, 11_000)) in ("too_large", "too_many_scans")


def test_scans_of_a_small_picture_are_not_held_against_it():
    assert open_rgb(many_scans_jpeg(96, 72, 200)).size == (96, 72)


def test_pillows_own_limit_and_formats_are_left_alone():
    before = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, dict(Image.OPEN))
    open_rgb(flat_jpeg(12_000, 12_000), shorter_side=100)
    assert (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, dict(Image.OPEN)) == before


def test_odd_metadata_is_no_warning_and_other_warnings_still_are():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for make in ODD.values():
            open_rgb(make())
        assert caught == []
        warnings.warn("ours", UserWarning, stacklevel=1)
        assert len(caught) == 1


def test_large_photos_are_decoded_one_at_a_time(monkeypatch):
    """Whatever the number of threads, memory holds one large picture being made."""
    monkeypatch.setattr(image_module, "LARGE_BYTES", 1000)
    inside, most = 0, 0
    load, guard = ImageFile.ImageFile.load, threading.Lock()

    def counted(self):
        nonlocal inside, most
        with guard:
            inside += 1
            most = max(most, inside)
        threading.Event().wait(0.02)
        with guard:
            inside -= 1
        return load(self)

    monkeypatch.setattr(ImageFile.ImageFile, "load", counted)
    threads = [threading.Thread(target=open_rgb, args=(encoded(picture(), "BMP"),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


HEAVIEST = """
import pathlib, re, sys, threading
from core.data.image import open_rgb
from tests.hostile import flat_png, flat_jpeg, many_scans_jpeg
kinds = {
    "see_through": lambda: flat_png(8_800, 8_800, channels=3, bits=8, tRNS=bytes(6)),
    "jpeg": lambda: flat_jpeg(15_800, 15_800),
    "progressive": lambda: many_scans_jpeg(8_900, 8_900, 1),
}
data = kinds[sys.argv[1]]()
threads = [threading.Thread(target=open_rgb, args=(data,)) for _ in range(2)]
for thread in threads: thread.start()
for thread in threads: thread.join()
status = pathlib.Path("/proc/self/status").read_text()  # getrusage would count the process that started this one
print(int(re.search(r"VmHWM:\\s+(\\d+)", status)[1]) * 1024)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="resident memory is counted differently here")
@pytest.mark.parametrize("kind", ["see_through", "jpeg", "progressive"])
def test_two_threads_on_the_heaviest_photos_stay_below_a_gigabyte(kind):
    done = subprocess.run([sys.executable, "-c", HEAVIEST, kind], capture_output=True, text=True, check=True)
    assert int(done.stdout.split()[-1]) < 1_000_000_000


# Whatever the bytes

SEEDS = [make() for make in ODD.values()] + [make() for name, (_, make) in UNUSABLE.items() if "giant" not in name]


@settings(derandomize=True, deadline=None, max_examples=400)
@given(data=st.data())
def test_files_with_any_bytes_changed_open_or_are_refused(data):
    changed = bytearray(data.draw(st.sampled_from(SEEDS)))
    for _ in range(data.draw(st.integers(1, 8))):
        if changed:
            # Headers are where parsers stumble: half of the changes are there.
            last = data.draw(st.sampled_from((min(len(changed), 120), len(changed)))) - 1
            changed[data.draw(st.integers(0, last))] = data.draw(st.integers(0, 255))
    opened_or_refused(
        bytes(changed[: data.draw(st.integers(0, len(changed)))] if data.draw(st.booleans()) else changed)
    )


MAGICS = [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\0\1\0\0WEBPVP8 ", b"BM", b"II*\0", b"MM\0*"]
MAGICS += [b"\0\0\0\x1cftypavif\0\0\0\0mif1avifmiaf"]


@settings(derandomize=True, deadline=None, max_examples=300)
@given(magic=st.sampled_from(MAGICS), rest=st.binary(max_size=600), shorter_side=st.sampled_from((None, 1, 224)))
@example(magic=b"BM", rest=bytes(12) + b"\x28" + bytes(100), shorter_side=None)
def test_random_bytes_open_or_are_refused(magic, rest, shorter_side):
    opened_or_refused(magic + rest, shorter_side)


def opened_or_refused(data: bytes, shorter_side: int | None = None) -> None:
    result = outcome(data, shorter_side)
    if isinstance(result, UnusablePhoto):
        assert result.message
        assert result.hint
    else:
        assert result.mode == "RGB"
        assert min(result.size) >= 1
