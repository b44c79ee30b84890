"""Small pictures of photos: what they show, where they are kept, and what they refuse."""

import hashlib
import io
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.data.image import UnusablePhoto
from core.data.thumbnails import thumbnail


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    return tmp_path / "photos"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def put(root: Path, path: str, image: Image.Image, **options) -> str:
    image.save(root / path, **options)
    return hashlib.sha256((root / path).read_bytes()).hexdigest()


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    assert image.format == "JPEG"
    return image


def thirds(turned: bool = False) -> Image.Image:
    """600 × 200: red, green and blue squares side by side (or, turned, below each other)."""
    pixels = np.zeros((200, 600, 3), np.uint8)
    for place in range(3):
        pixels[:, place * 200 : place * 200 + 200, place] = 255
    image = Image.fromarray(pixels)
    return image.transpose(Image.Transpose.ROTATE_90) if turned else image


@pytest.mark.parametrize("turned", [False, True])
def test_it_is_the_middle_square_of_the_photo(root, cache, turned):
    sha256 = put(root, "cat/wide.png", thirds(turned))
    image = opened(thumbnail(root, "cat/wide.png", sha256, cache, side=100))
    assert image.size == (100, 100)
    assert np.abs(np.asarray(image, int) - (0, 255, 0)).max() < 12


def test_a_photo_that_lies_on_its_side_is_shown_upright(root, cache):
    image = Image.new("RGB", (60, 60), "blue")
    image.paste("red", (0, 0, 60, 30))  # red above, in the file
    exif = Image.Exif()
    exif[0x0112] = 3  # turned by 180°: red below, as shown
    sha256 = put(root, "cat/turned.jpg", image, exif=exif)
    shown = opened(thumbnail(root, "cat/turned.jpg", sha256, cache, side=60)).convert("RGB")
    red, _, blue = shown.getpixel((30, 50))
    assert red > 200 > 50 > blue


def test_a_photo_is_like_one_scaled_by_another_program(root, cache):
    random = np.random.default_rng(0)
    coarse = Image.fromarray(random.integers(0, 256, (12, 16, 3), np.uint8))
    photo = coarse.resize((1600, 1200), Image.Resampling.BICUBIC)
    sha256 = put(root, "cat/a.jpg", photo, quality=95)
    shown = np.asarray(opened(thumbnail(root, "cat/a.jpg", sha256, cache)), float)
    expected = np.asarray(photo.crop((200, 0, 1400, 1200)).resize((160, 160), Image.Resampling.BOX), float)
    assert np.abs(shown - expected).mean() < 4


def test_a_tiny_picture_is_shown_as_the_squares_it_is_made_of(root, cache):
    digit = Image.fromarray(np.random.default_rng(0).integers(0, 2, (8, 8), np.uint8) * 255)
    sha256 = put(root, "cat/digit.png", digit)
    shown = opened(thumbnail(root, "cat/digit.png", sha256, cache, side=160)).convert("L")
    middles = np.asarray(shown)[10::20, 10::20]
    assert np.array_equal(middles > 127, np.asarray(digit) > 127)


def test_it_is_drawn_once_and_then_read(root, cache):
    sha256 = put(root, "cat/a.jpg", thirds())
    first = thumbnail(root, "cat/a.jpg", sha256, cache)
    (root / "cat/a.jpg").unlink()
    assert thumbnail(root, "cat/a.jpg", sha256, cache) == first
    with pytest.raises(UnusablePhoto):
        thumbnail(root, "cat/a.jpg", sha256, cache, side=80)  # another size is another picture


def test_copies_share_one_file(root, cache):
    sha256 = put(root, "cat/a.jpg", thirds())
    (root / "cat/b.jpg").write_bytes((root / "cat/a.jpg").read_bytes())
    thumbnail(root, "cat/a.jpg", sha256, cache)
    thumbnail(root, "cat/b.jpg", sha256, cache)
    assert len([path for path in cache.rglob("*") if path.is_file()]) == 1


def test_asked_by_many_at_once_it_answers_all(root, cache):
    sha256 = put(root, "cat/a.jpg", thirds().resize((3000, 1000)))
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: thumbnail(root, "cat/a.jpg", sha256, cache), range(32)))
    assert len(set(answers)) == 1
    assert [path.suffix for path in cache.rglob("*") if path.is_file()] == [".jpg"]


@pytest.mark.parametrize("path", ["../secret.png", "cat/../../secret.png", "cat/link.png", "linked/secret.png"])
def test_what_lies_outside_is_not_shown(root, cache, tmp_path, path):
    sha256 = put(tmp_path, "secret.png", thirds())
    (root / "cat" / "link.png").symlink_to(tmp_path / "secret.png")
    (root / "linked").symlink_to(tmp_path)
    for wanted in (path, str(tmp_path / "secret.png")):
        with pytest.raises(UnusablePhoto):
            thumbnail(root, wanted, sha256, cache)
    assert not cache.exists()


@pytest.mark.parametrize("path", ["cat/gone.jpg", "cat", "cat/a\0b.jpg", "cat/loop.jpg", "cat/text.jpg", ""])
def test_what_is_no_photo_is_refused(root, cache, path):
    (root / "cat/loop.jpg").symlink_to(root / "cat/loop.jpg")
    (root / "cat/text.jpg").write_text("not a photo")
    with pytest.raises(UnusablePhoto):
        thumbnail(root, path, "0" * 64, cache)


@pytest.mark.parametrize(
    ("sha256", "side"), [("../../evil", 160), ("0" * 63, 160), ("A" * 64, 160), ("0" * 64, 0), ("0" * 64, 100_000)]
)
def test_a_hash_or_side_that_is_none_is_a_programmers_mistake(root, cache, sha256, side):
    put(root, "cat/a.jpg", thirds())
    with pytest.raises(ValueError, match="not a thumbnail"):
        thumbnail(root, "cat/a.jpg", sha256, cache, side=side)


def test_a_cache_that_cannot_be_written_is_done_without(root, tmp_path):
    sha256 = put(root, "cat/a.jpg", thirds())
    (tmp_path / "file").touch()
    assert opened(thumbnail(root, "cat/a.jpg", sha256, tmp_path / "file" / "cache")).size == (160, 160)


@pytest.mark.skipif(not os.environ.get("GRAFT_PHOTOS"), reason="GRAFT_PHOTOS names no folder of photos")
def test_real_photos_all_have_one(cache):
    root = Path(os.environ["GRAFT_PHOTOS"], "hymenoptera_data")
    for path in sorted(root.rglob("*.jpg"))[:100]:
        data = path.read_bytes()
        if not data.startswith(b"GIF"):  # one of them says "image not found"
            shown = thumbnail(root, path.relative_to(root).as_posix(), hashlib.sha256(data).hexdigest(), cache)
            assert 1000 < len(shown) < 20_000
