"""Names that strangers gave their files, turned into paths that are safe below a folder of ours. Torch-free.

One rule on every system, so that a workspace can be copied to another one: what Windows can't hold is changed on
Linux too. Folders are kept, for the last of them is the photo's class.
"""

import hashlib
import re
import unicodedata

COMPONENT_BYTES = 180  # of UTF-8; file systems stop at 255, and " (2)" or a temporary ending must still fit
DEPTH = 16  # folders deep; beyond that the middle is folded into one name
PATH_BYTES = 900  # of UTF-8, for the whole path
SUFFIX_BYTES = 12  # longer "suffixes" are part of a sentence, not a file type

# Source: "Naming Files, Paths, and Namespaces", Windows documentation: reserved characters and device names.
_FORBIDDEN = re.compile('[<>:"|?*\x00-\x1f\x7f\ud800-\udfff\ufffe\uffff]')
_DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(\.|$)", re.IGNORECASE)
_DRIVE = re.compile(r"^[A-Za-z]:")


def safe_path(name: str) -> str | None:
    """``name`` as a relative path with "/", which stays below the folder it is joined to; None if nothing is left.

    ``..``, a leading "/", drives and NULs lose their power, not the file: ``C:\\..\\cat\\a.jpg`` becomes ``cat/a.jpg``.
    """
    text = unicodedata.normalize("NFC", name.replace("\\", "/"))
    parts = [_safe_component(part) for part in _DRIVE.sub("", text).split("/") if part.strip(" .")]
    if not parts:
        return None
    if len(parts) > DEPTH or len("/".join(parts).encode()) > PATH_BYTES:
        # The first folders and the last keep their names: they are the root, the part and the class.
        parts = [*parts[:2], _digest("/".join(parts)), *parts[-2:]] if len(parts) > 4 else parts
    return "/".join(parts)


def collision_key(path: str) -> str:
    """Equal for two paths that some file system takes for one: differing in case or Unicode form only."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def numbered(path: str, number: int) -> str:
    """``cat/a.jpg`` as ``cat/a (2).jpg``: for a second file of that name."""
    folder, slash, last = path.rpartition("/")
    stem, suffix = _split(last)
    return f"{folder}{slash}{stem} ({number}){suffix}"


def _safe_component(part: str) -> str:
    part = _FORBIDDEN.sub("_", part).rstrip(" .").lstrip(" ")
    if _DEVICE.match(part):
        part = f"_{part}"
    if len(part.encode()) <= COMPONENT_BYTES:
        return part
    stem, suffix = _split(part)
    room = COMPONENT_BYTES - len(suffix.encode()) - 9
    return f"{stem.encode()[:room].decode(errors='ignore').rstrip(' .')}~{_digest(part)}{suffix}"


def _split(name: str) -> tuple[str, str]:
    """Stem and suffix with its dot; a leading dot, or a suffix too long to be one, belongs to the stem."""
    stem, dot, suffix = name.rpartition(".")
    if not stem.strip(".") or len(suffix.encode()) > SUFFIX_BYTES:
        return name, ""
    return stem, dot + suffix


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
