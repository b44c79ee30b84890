"""No photo, however large, odd or random, takes more memory or time than it may, or raises anything else."""

import io
import subprocess
import sys
import threading
import warnings

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile, JpegImagePlugin

from core.data import image as image_module
from core.data.image import UnusablePhoto, open_photo, open_rgb
from tests.hostile import (
    ODD,
    UNUSABLE,
    encoded,
    flat_jpeg,
    jpeg,
    many_scans_jpeg,
    picture,
    resized_jpeg,
    with_bytes,
)
from tests.opened import outcome, reason_for

pytestmark = pytest.mark.slow

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
