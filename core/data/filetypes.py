"""What a file is, by its name and by its first bytes. The name says whether to look; the bytes say what it is."""

from collections.abc import Sequence

# Files with these endings are looked at; whatever picture they then hold is read as what it is.
PHOTO_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".gif", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".avif")
)

_OTHER_SUFFIXES: dict[str, tuple[str, ...]] = {
    "heic": (".heic", ".heif", ".hif", ".heics"),
    "raw": (".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".pef", ".srw"),
    "film": (".mov", ".mp4", ".m4v", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".3gp", ".wmv"),
    "archive_inside": (".zip", ".rar", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".xz"),
}
_REASON_OF_SUFFIX = {suffix: reason for reason, suffixes in _OTHER_SUFFIXES.items() for suffix in suffixes}

# What operating systems and programs leave behind: nobody means it to be a photo or a class.
LITTER = frozenset(
    (
        "__macosx", ".ds_store", ".localized", "icon\r", ".appledouble", ".spotlight-v100", ".fseventsd", ".trashes",
        ".temporaryitems", "thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "$recycle.bin",
        "system volume information", ".directory", ".thumbnails", ".picasa.ini", "picasa.ini", ".nomedia", "@eadir",
        ".ipynb_checkpoints", "__pycache__", ".git", ".svn", ".gitignore", ".gitattributes", ".gitkeep",
    )
)  # fmt: skip
LITTER_BEGINNINGS = ("._", ".trash-", ".fuse_hidden", ".nfs0")

_PICTURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (0, b"GIF87a", "GIF"),
    (0, b"GIF89a", "GIF"),
    (8, b"WEBPVP8", "WEBP"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"II+\0", "TIFF"),
    (0, b"MM\0+", "TIFF"),
)
_OTHER_KINDS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"\0\0\0\x0cJXL ", "JPEG XL"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"8BPS", "Photoshop"),
    (0, b"%PDF", "PDF"),
    (0, b"%!PS", "PostScript"),
    (0, b"\0\0\1\0", "ICO"),
    (0, b"PK\3\4", "zip"),
    (0, b"Rar!", "RAR"),
    (0, b"7z\xbc\xaf\x27\x1c", "7z"),
    (0, b"\x1f\x8b", "gzip"),
)
# The sizes that a BMP's second header can have; "BM" alone also begins a text about BMWs.
_BMP_HEADERS = frozenset((12, 16, 40, 52, 56, 64, 108, 124))
_HEIF_BRANDS = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"heif", b"mif1", b"msf1"))
_AVIF_BRANDS = frozenset((b"avif", b"avis"))
_FILM_BRANDS = frozenset((b"isom", b"iso2", b"mp41", b"mp42", b"avc1", b"qt  ", b"M4V "))


def reason_by_name(name: str) -> str | None:
    """Why a file of this name isn't looked at (an entry below ``data.leftout``); None if it may be a photo."""
    suffix = _suffix(name)
    return None if suffix in PHOTO_SUFFIXES else _REASON_OF_SUFFIX.get(suffix, "other_file")


def is_litter(parts: Sequence[str]) -> bool:
    """Whether a path, given as its parts, is or lies in something that a system left behind."""
    folded = [part.casefold() for part in parts]
    return any(part in LITTER or part.startswith(LITTER_BEGINNINGS) for part in folded)


def picture_kind(head: bytes) -> str | None:
    """The kind of picture that Graft reads which begins like this: ``"JPEG"``, ``"PNG"`` …; needs 64 bytes."""
    if kind := _match(head, _PICTURES):
        return kind
    if head.startswith(b"BM") and head[14:15] and head[14] in _BMP_HEADERS and head[15:18] == b"\0\0\0":
        return "BMP"
    return "AVIF" if _brands(head) & _AVIF_BRANDS else None


def reason_by_content(head: bytes) -> tuple[str, dict[str, object]]:
    """Why a file that begins like this, and isn't a picture that Graft reads, can't be used."""
    brands = _brands(head)
    if brands & _HEIF_BRANDS:
        return "heic", {}
    if brands & _FILM_BRANDS:
        return "film", {}
    if kind := _match(head, _OTHER_KINDS):
        return "other_kind", {"kind": kind}
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html", b"<head")):
        return "web_page", {}
    if b"<svg" in text:
        return "other_kind", {"kind": "SVG"}
    return "not_a_picture", {}


def _suffix(name: str) -> str:
    _, dot, suffix = name.rpartition(".")
    return (dot + suffix).strip().lower()


def _match(head: bytes, signatures: tuple[tuple[int, bytes, str], ...]) -> str | None:
    return next((kind for place, magic, kind in signatures if head[place : place + len(magic)] == magic), None)


def _brands(head: bytes) -> frozenset[bytes]:
    """The types that an ISO media file (HEIC, AVIF, films) says it is. Source: ISO/IEC 14496-12, 4.3 ``ftyp``."""
    if head[4:8] != b"ftyp":
        return frozenset()
    end = min(int.from_bytes(head[:4], "big"), 64)
    return frozenset(head[place : place + 4] for place in (8, *range(16, end - 3, 4)))
