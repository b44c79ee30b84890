"""Broken, odd and hostile files, made on the spot: for tests of everything that takes files from strangers.

``ODD`` are pictures that must work, ``UNUSABLE`` files that must be set aside with a reason, both by file name.
The zip makers return bytes. Nothing here is random but by seed.
"""

import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

Maker = Callable[[], bytes]


# Pictures


def picture(width: int = 96, height: int = 72, seed: int = 0) -> Image.Image:
    """A gradient with noise: no two seeds alike, no two corners alike."""
    random = np.random.default_rng(seed)
    across, down = np.meshgrid(np.linspace(0, 200, width), np.linspace(0, 200, height))
    base = np.stack([across, down, np.full_like(across, random.integers(0, 200))], axis=-1)
    return Image.fromarray((base + random.integers(0, 40, base.shape)).astype(np.uint8))


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    """``image`` as a file of ``kind`` ("JPEG", "PNG" …)."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def jpeg(seed: int = 0, width: int = 96, height: int = 72, **options: object) -> bytes:
    return encoded(picture(width, height, seed), "JPEG", **options)


def write_photos(root: Path, counts: Mapping[str, int], start: int = 0) -> Path:
    """``counts`` different photos in each folder below ``root``; gives ``root`` back."""
    seed = start
    for folder, count in counts.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            (root / folder / f"{number:03}.jpg").write_bytes(jpeg(seed))
            seed += 1
    return root


def with_orientation(image: Image.Image, orientation: int, kind: str) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(image, kind, exif=exif, **({"quality": 95, "subsampling": 0} if kind == "JPEG" else {}))


def frames(kind: str, count: int = 3) -> bytes:
    """An animation, or pages, whose first frame is ``picture(seed=0)``."""
    first, *rest = (picture(seed=seed) for seed in range(count))
    return encoded(first, kind, save_all=True, append_images=rest)


def flat_png(width: int, height: int, channels: int = 1, bits: int = 1, **chunks: bytes) -> bytes:
    """A real PNG of one colour, however large, in little memory: 20,000 × 20,000 pixels are 50 KB."""
    kind = {1: 0, 3: 2, 4: 6}[channels]
    row = bytes(1 + (width * channels * bits + 7) // 8)
    packer = zlib.compressobj(1)
    data = b"".join([*(packer.compress(row) for _ in range(height)), packer.flush()])
    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    parts = [
        (b"IHDR", header),
        *((name.encode(), body) for name, body in chunks.items()),
        (b"IDAT", data),
        (b"IEND", b""),
    ]
    framed = (
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)


def flat_jpeg(width: int, height: int) -> bytes:
    """A real grey JPEG of any size up to 65,500, put together by hand: its 6-bit blocks repeat every 3 bytes."""
    small = encoded(Image.new("L", (8, 8), 128), "JPEG")
    scan = small.index(b"\xff\xda")
    head = resized_jpeg(small[: scan + 10], width, height)
    blocks = ((width + 7) // 8) * ((height + 7) // 8)
    # Each block is "no change, nothing else": 00 1010 in the standard tables that Pillow writes.
    pattern = int("001010" * 4, 2).to_bytes(3, "big")
    return head + pattern * (blocks // 4) + b"\x28\xa2\x8a"[: 3 if blocks % 4 else 0] + b"\xff\xd9"


def resized_jpeg(data: bytes, width: int, height: int) -> bytes:
    """The same file claiming another size."""
    place = next(data.index(marker) for marker in (b"\xff\xc0", b"\xff\xc2") if marker in data)
    return data[: place + 5] + struct.pack(">HH", height, width) + data[place + 9 :]


def many_scans_jpeg(width: int, height: int, scans: int) -> bytes:
    """A progressive JPEG whose last scan comes again and again: each costs the decoder a pass over all pixels."""
    data = encoded(picture(), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return resized_jpeg(data[:-2] + data[last:-2] * scans, width, height) + b"\xff\xd9"


def _deep_grey(kind: str) -> bytes:
    values = np.linspace(0, 65535, 96 * 72).reshape(72, 96).astype(np.uint16)
    return encoded(Image.fromarray(values), kind)


def _see_through_palette() -> bytes:
    image = picture().quantize(16)
    return encoded(image, "PNG", transparency=bytes(range(0, 256, 16)))


def _mpo() -> bytes:
    return encoded(picture(), "MPO", save_all=True, append_images=[picture(seed=1)])


def _odd_exif() -> bytes:
    """EXIF whose tags point beyond its end."""
    tags = struct.pack("<2sHIHHHIIHHIII", b"II", 42, 8, 2, 0x010F, 2, 500, 9000, 0x0112, 3, 1, 99, 0)
    return jpeg(exif=b"Exif\0\0" + tags)


ODD: dict[str, Maker] = {
    "plain.jpg": jpeg,
    "progressive.jpg": lambda: jpeg(progressive=True),
    "grey.jpg": lambda: encoded(picture().convert("L"), "JPEG"),
    "cmyk.jpg": lambda: encoded(picture().convert("CMYK"), "JPEG"),
    "trailing.jpg": lambda: jpeg() + b"\0" * 5000,
    "odd_exif.jpg": _odd_exif,
    "two_in_one.jpg": _mpo,
    "plain.JFIF": jpeg,
    "really_png.jpg": lambda: encoded(picture(), "PNG"),
    "really_jpeg.png": jpeg,
    "sixteen_bit.png": lambda: _deep_grey("PNG"),
    "see_through_palette.png": _see_through_palette,
    "see_through.png": lambda: encoded(picture().convert("RGBA"), "PNG"),
    "see_through_grey.png": lambda: encoded(picture().convert("LA"), "PNG"),
    "see_through_colour.png": lambda: encoded(picture(), "PNG", transparency=(0, 0, 0)),
    "one_bit.png": lambda: encoded(picture().convert("1"), "PNG"),
    "palette.bmp": lambda: encoded(picture().quantize(8), "BMP"),
    "plain.gif": lambda: encoded(picture(), "GIF"),
    "moving.gif": lambda: frames("GIF"),
    "moving.webp": lambda: frames("WEBP"),
    "moving.png": lambda: frames("PNG"),
    "lossless.webp": lambda: encoded(picture().convert("RGBA"), "WEBP", lossless=True),
    "pages.tif": lambda: frames("TIFF"),
    "sixteen_bit.tif": lambda: _deep_grey("TIFF"),
    "fractions.tiff": lambda: encoded(picture().convert("F"), "TIFF"),
    "large_numbers.tiff": lambda: encoded(Image.fromarray(np.arange(96 * 72, dtype=np.int32).reshape(72, 96)), "TIFF"),
    "cmyk.tif": lambda: encoded(picture().convert("CMYK"), "TIFF", compression="tiff_lzw"),
    "panorama.jpg": lambda: jpeg(width=960, height=40),
    "digit.png": lambda: encoded(picture(8, 8), "PNG"),
}

UNUSABLE: dict[str, tuple[str, Maker]] = {
    "zero.jpg": ("empty", lambda: b""),
    "text.jpg": ("not_a_picture", lambda: b"These are my notes about cats.\n" * 20),
    "bmw.bmp": ("not_a_picture", lambda: b"BMW makes cars, and this is a text about them."),
    "page.jpg": ("web_page", lambda: b"\n<!DOCTYPE html><html><body>404</body></html>"),
    "drawing.png": ("other_kind", lambda: b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>"),
    "letter.jpg": ("other_kind", lambda: b"%PDF-1.7\n" + b"x" * 100),
    "packed.jpg": ("other_kind", lambda: zip_of({"a.jpg": jpeg()})),
    "iphone.jpg": ("heic", lambda: b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"x" * 100),
    "film.jpg": ("film", lambda: b"\0\0\0\x18ftypisom\0\0\0\0mp42avc1" + b"x" * 100),
    "cut_off.jpg": ("cut_off", lambda: jpeg()[:-400]),
    "cut_off.png": ("cut_off", lambda: encoded(picture(), "PNG")[:-900]),
    "head_only.jpg": ("cut_off", lambda: jpeg()[:40]),
    "scrambled.png": ("damaged", lambda: encoded(picture(), "PNG")[:33] + bytes(range(256)) * 20),
    "scrambled.webp": ("damaged", lambda: encoded(picture(), "WEBP")[:40] + bytes(range(256)) * 4),
    "one_pixel.png": ("too_small", lambda: encoded(picture(1, 1), "PNG")),
    "one_pixel.jpg": ("too_small", lambda: jpeg(width=1, height=1)),
    "thread.png": ("too_narrow", lambda: encoded(picture(900, 10), "PNG")),
    "giant.png": ("too_large", lambda: flat_png(20_000, 20_000)),
    "giant.jpg": ("too_large", lambda: flat_jpeg(20_000, 20_000)),
    "giant_claim.gif": ("too_large", lambda: b"GIF89a\xff\xff\xff\xff" + encoded(picture(), "GIF")[10:]),
    "many_scans.jpg": ("too_many_scans", lambda: many_scans_jpeg(8_000, 8_000, 200)),
}


# Zips


def zip_of(members: Mapping[str, bytes] | Iterable[tuple[str | zipfile.ZipInfo, bytes]], stored: bool = False) -> bytes:
    """A zip of ``members``, by name or by a ZipInfo of one's own; names may come twice."""
    file = io.BytesIO()
    pairs = members.items() if isinstance(members, Mapping) else members
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED) as packed:
        for name, data in pairs:
            packed.writestr(name, data)
    return file.getvalue()


def link_member(name: str) -> zipfile.ZipInfo:
    """A symbolic link, as Info-ZIP writes it; its target is its content."""
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


def with_flags(data: bytes, flags: int) -> bytes:
    """The zip with these general purpose flags set on every member: 0x1 says encrypted."""
    changed = bytearray(data)
    for magic, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        place = data.find(magic)
        while place >= 0:
            changed[place + offset] |= flags & 0xFF
            changed[place + offset + 1] |= flags >> 8
            place = data.find(magic, place + 4)
    return bytes(changed)


def with_bytes(data: bytes, old: bytes, new: bytes) -> bytes:
    """Every ``old`` replaced by a ``new`` of the same length, so that all offsets still hold."""
    assert len(old) == len(new)
    assert old in data
    return data.replace(old, new)


def with_raw_names(members: Mapping[bytes, bytes]) -> bytes:
    """A zip whose names are these bytes, without the flag that says how they were written."""
    stand_ins = {f"@{number}".ljust(len(name), "_"): name for number, name in enumerate(members)}
    data = zip_of(dict(zip(stand_ins, members.values(), strict=True)), stored=True)
    for stand_in, name in stand_ins.items():
        data = with_bytes(data, stand_in.encode(), name)
    return data


def bomb(megabytes: int = 300) -> bytes:
    """A zip of one file of zeros, a thousandth of its size."""
    return zip_of({"cat/bomb.bmp": bytes(megabytes * 1_000_000)})
