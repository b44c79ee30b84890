"""What a zip says it holds: its members under the names their makers meant, and why some aren't unpacked."""

import io
import re
import stat
import unicodedata
import zipfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from core.data.filetypes import is_litter, reason_by_name
from core.data.tables import is_table
from core.errors import DataError

# The list of members is read whole. 32 MB hold 200,000 of them with names of 100 letters.
DIRECTORY_BYTES = 32_000_000
SHOWN_LETTERS = 200  # of a name in a report

# Python's readers for the other methods (bzip2, LZMA) inflate a few kilobytes to gigabytes in one go.
_OPENED_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# Source: APPNOTE.TXT (PKWARE), 4.4.4 general purpose bit flag and 4.6.9 Info-ZIP Unicode Path Extra Field.
_ENCRYPTED_FLAGS = 0x1 | 0x40
_UTF8_FLAG = 0x800
_UNICODE_PATH_FIELD = 0x7075
_DRIVE = re.compile(r"[A-Za-z]:")
_OTHER_KINDS = {
    b"Rar!": "RAR",
    b"7z\xbc\xaf": "7z",
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
}


@dataclass(frozen=True)
class Member:
    """One entry of a zip."""

    info: zipfile.ZipInfo
    name: str  # with "/", whatever the maker's system

    @property
    def shown(self) -> str:
        """The name for a report: without control characters, not endless."""
        text = "".join("�" if unicodedata.category(letter) in ("Cc", "Cs") else letter for letter in self.name)
        return text if len(text) <= SHOWN_LETTERS else text[: SHOWN_LETTERS - 1] + "…"

    @property
    def is_ignored(self) -> bool:
        """Folders, and what systems leave behind."""
        return self.name.endswith("/") or stat.S_ISDIR(self._mode) or is_litter(self.name.split("/"))

    @property
    def reason(self) -> str | None:
        """Why it isn't unpacked (an entry below ``data.leftout``); None if it may be a photo."""
        parts = [part.strip() for part in self.name.split("/")]
        if "\0" in self.name or self.name.startswith("/") or _DRIVE.match(self.name) or ".." in parts:
            return "unsafe_name"
        if stat.S_IFMT(self._mode) not in (0, stat.S_IFREG):
            return "link" if stat.S_ISLNK(self._mode) else "not_a_file"
        if not self.is_table and (reason := reason_by_name(parts[-1])):
            return reason
        if self.info.flag_bits & _ENCRYPTED_FLAGS:
            return "encrypted"
        return None if self.info.compress_type in _OPENED_METHODS else "compression"

    @property
    def is_table(self) -> bool:
        """Whether it may say what the photos show."""
        return is_table(self.name)

    @property
    def _mode(self) -> int:
        return self.info.external_attr >> 16


@contextmanager
def open_zip(archive: Path, most_files: int) -> Generator[tuple[zipfile.ZipFile, list[Member]], None, None]:
    """A zip and its members. Raises DataError if it can't be opened, or lists more than ``most_files``."""
    try:
        raw = io.FileIO(archive)
    except OSError:
        raise DataError("data.archive.not_allowed", name=archive.name) from None
    with _Guarded(raw, DataError("data.archive.too_many_files", name=archive.name, limit=most_files)) as file:
        try:
            opened = zipfile.ZipFile(file)
        except DataError:
            raise
        except Exception:
            # zipfile raises BadZipFile, but also what its parser stumbles over: struct.error, UnicodeDecodeError …
            raise why_not_a_zip(archive) from None
        with opened:
            members = _members(opened)
            if len(members) > most_files:
                raise file.refusal
            yield opened, members


def begins(path: Path) -> bytes:
    """The first bytes of a file; none if it can't be read."""
    try:
        with path.open("rb") as file:
            return file.read(8)
    except OSError:
        return b""


def why_not_a_zip(path: Path, *, otherwise: str = "data.archive.not_a_zip") -> DataError:
    """What to say of a file that ``zipfile`` doesn't open."""
    head = begins(path)
    for magic, kind in _OTHER_KINDS.items():
        if head.startswith(magic):
            return DataError("data.archive.other_kind", name=path.name, kind=kind)
    if not head.startswith(b"PK"):
        return DataError(otherwise, name=path.name)
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 66_000))  # the end record, with the longest comment it can have
        whole = b"PK\5\6" in file.read()
    return DataError("data.archive.broken" if whole else "data.archive.cut_off", name=path.name)


class _Guarded(io.BufferedReader):
    """A file whose list of members can't be so long that reading it fills the memory."""

    def __init__(self, raw: io.FileIO, refusal: DataError) -> None:
        super().__init__(raw)
        self.refusal = refusal

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > DIRECTORY_BYTES:
            raise self.refusal
        return super().read(size)


def _members(opened: zipfile.ZipFile) -> list[Member]:
    infos = opened.infolist()
    encoding = _encoding(infos)
    return [Member(info, _name(info, encoding).replace("\\", "/")) for info in infos]


def _name(info: zipfile.ZipInfo, encoding: str) -> str:
    if info.flag_bits & _UTF8_FLAG:
        return info.orig_filename
    return _unicode_path(info) or _raw(info).decode(encoding)


def _encoding(infos: list[zipfile.ZipInfo]) -> str:
    """How the names were written that don't say so: UTF-8 (macOS), GB 2312 (Chinese Windows), or cp437 (the standard).

    One for all, so that the photos of a folder stay together. Accented letters of cp437 lie outside GB 2312.
    """
    raws = [_raw(info) for info in infos if not info.flag_bits & _UTF8_FLAG and not info.orig_filename.isascii()]
    for encoding in ("utf-8", "gb2312"):
        try:
            for raw in raws:
                raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        return encoding
    return "cp437"


def _raw(info: zipfile.ZipInfo) -> bytes:
    return info.orig_filename.encode("cp437", "replace")  # zipfile read it as that, which loses nothing


def _unicode_path(info: zipfile.ZipInfo) -> str | None:
    """The name in UTF-8 that some packers keep beside the old one."""
    extra = info.extra
    while len(extra) >= 4:
        field, size = int.from_bytes(extra[:2], "little"), int.from_bytes(extra[2:4], "little")
        if field == _UNICODE_PATH_FIELD and size > 5:
            try:
                return extra[9 : 4 + size].decode()
            except UnicodeDecodeError:
                return None
        extra = extra[4 + size :]
    return None
