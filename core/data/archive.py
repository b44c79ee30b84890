"""Zips from strangers: only photos and tables are unpacked, only below one folder, never more than was allowed.

Torch-free.
"""

import errno
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from core.data.members import Member, begins, open_zip, why_not_a_zip
from core.data.names import collision_key, numbered, safe_path
from core.data.report import LeftOut
from core.data.tables import is_table
from core.errors import DataError

GIGABYTE = 1_000_000_000
CHUNK_BYTES = 262_144
PROGRESS_EVERY = 32  # members
_DISK_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))  # a quota, where the system has them


@dataclass(frozen=True)
class Limits:
    """What one zip may cost."""

    total_bytes: int = 50 * GIGABYTE  # unpacked
    bytes_per_file: int = 640_000_000  # what the decoder takes at most
    files: int = 200_000
    ratio: int = 200  # unpacked / packed: photos hardly shrink, flat drawings to a tenth or a hundredth
    unsuspicious_bytes: int = 256_000_000  # below this the ratio doesn't matter
    free_bytes: int = GIGABYTE  # left free on the disk, so that a run can still write its checkpoints


DEFAULT = Limits()


def open_source(path: Path, scratch: Path) -> tuple[Path, tuple[LeftOut, ...]]:
    """The folder of photos that ``path`` means: itself, or a zip's contents, unpacked below ``scratch``.

    Raises:
        DataError: there is nothing there, or it is neither a folder nor a zip that can be opened.
    """
    if path.is_dir():
        return path, ()
    if not path.exists():
        raise DataError("data.scan.missing", path=path)
    if path.suffix.lower() != ".zip" and not begins(path).startswith(b"PK"):
        raise why_not_a_zip(path, otherwise="data.archive.neither")
    scratch.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="unpacked-", dir=scratch))
    return folder, unpack(path, folder)


def unpack(
    archive: Path,
    into: Path,
    *,
    on_progress: Callable[[int, int], None] | None = None,
    limits: Limits = DEFAULT,
) -> tuple[LeftOut, ...]:
    """Write the photos in a zip below ``into``; returns what was left out, under its name in the zip.

    Nothing that lies there is overwritten: of two members with one name the second is numbered, and so is one that
    some file system would take for another. When the zip as a whole is refused, what was written is removed.

    Raises:
        DataError: it isn't a zip, is damaged as a whole, breaks a limit, fills the disk, or holds no photo.
    """
    with ExitStack() as stack:
        opened, members = stack.enter_context(open_zip(archive, limits.files))
        listed = [(member, member.reason) for member in members if not member.is_ignored]
        photos = [member for member, reason in listed if not reason]
        if all(member.is_table for member in photos):
            listed, photos = [(member, reason or "table") for member, reason in listed], []
        left_out = [LeftOut(member.shown, reason, {}) for member, reason in listed if reason]
        if photos:
            into.mkdir(parents=True, exist_ok=True)
            _check_room(archive, into, photos, limits)
        writer = _Writer(archive, into, limits)
        stack.callback(writer.undo_unless_kept)
        for done, member in enumerate(photos, start=1):
            if (refusal := writer.write(opened, member)) is not None:
                left_out.append(refusal)
            if on_progress and (done % PROGRESS_EVERY == 0 or done == len(photos)):
                on_progress(done, len(photos))
        if all(is_table(path.name) for path in writer.written):
            raise _no_photos(archive, left_out)
        writer.kept = True
    return tuple(left_out)


class _Writer:
    """Writes members below one folder, counting what really comes out of them: headers lie."""

    def __init__(self, archive: Path, into: Path, limits: Limits) -> None:
        self.written: list[Path] = []
        self.kept = False
        self._name, self._into, self._limits = archive.name, into, limits
        self._allowed_bytes = _allowed_bytes(archive, limits)
        self._bytes = 0
        self._files: set[str] = set()  # collision keys of what is there
        self._folders: dict[str, tuple[Path, str]] = {"": (into, "")}  # by wanted name: on disk, and its collision key
        self._folder_keys: set[str] = set()

    def write(self, opened: zipfile.ZipFile, member: Member) -> LeftOut | None:
        """Unpack one member; why it was left out, if it was."""
        if member.info.file_size > self._limits.bytes_per_file:
            return LeftOut(member.shown, "file_too_large", {"megabytes": member.info.file_size // 1_000_000})
        wanted = safe_path(member.name)
        if wanted is None:
            return LeftOut(member.shown, "unsafe_name", {})
        with self._disk_errors():
            target, file = self._create(wanted)
        self.written.append(target)
        try:
            with file:
                self._copy(opened, member.info, file)
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, OSError):
            # RuntimeError: encrypted, or a method that isn't known, which the list of members hid
            self.written.pop().unlink()
            return LeftOut(member.shown, "broken_member", {})
        return None

    def undo_unless_kept(self) -> None:
        if self.kept:
            return
        for path in self.written:
            path.unlink(missing_ok=True)
        for folder, _ in sorted(self._folders.values(), key=lambda entry: -len(entry[0].parts)):
            if folder != self._into and folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()

    def _copy(self, opened: zipfile.ZipFile, info: zipfile.ZipInfo, file: IO[bytes]) -> None:
        with opened.open(info) as source:  # gives no more than the size that was announced
            while chunk := source.read(CHUNK_BYTES):
                self._bytes += len(chunk)
                if self._bytes > self._limits.total_bytes:
                    raise _too_much(self._name, self._limits)
                if self._bytes > self._allowed_bytes:
                    raise DataError("data.archive.bomb", name=self._name, ratio=self._limits.ratio)
                with self._disk_errors():
                    file.write(chunk)

    def _create(self, wanted: str) -> tuple[Path, IO[bytes]]:
        """A new file called ``wanted``, or that with a number."""
        above, _, last = wanted.rpartition("/")
        folder, folder_key = self._folder(above)
        number = 1
        while True:
            name = last if number == 1 else numbered(last, number)
            number += 1
            key = f"{folder_key}/{collision_key(name)}"
            if key in self._files or key in self._folder_keys:
                continue
            try:
                file = (folder / name).open("xb")
            except FileExistsError:
                continue
            self._files.add(key)
            return folder / name, file

    def _folder(self, wanted: str) -> tuple[Path, str]:
        """The folder ``wanted`` on disk, numbered where a file already has its name."""
        if wanted not in self._folders:
            above, _, last = wanted.rpartition("/")
            parent, parent_key = self._folder(above)
            name, number = last, 2
            while f"{parent_key}/{collision_key(name)}" in self._files or (parent / name).is_file():
                name, number = numbered(last, number), number + 1
            (parent / name).mkdir(exist_ok=True)
            key = f"{parent_key}/{collision_key(name)}"
            self._folders[wanted] = (parent / name, key)
            self._folder_keys.add(key)
        return self._folders[wanted]

    @contextmanager
    def _disk_errors(self) -> Generator[None, None, None]:
        try:
            yield
        except OSError as error:
            if error.errno in _DISK_FULL:
                raise DataError("data.archive.disk_full", name=self._name) from None
            raise


def _check_room(archive: Path, into: Path, photos: Sequence[Member], limits: Limits) -> None:
    """Refuse what the headers themselves announce to be too much, before anything is written."""
    sizes = (member.info.file_size for member in photos)
    announced = sum(size for size in sizes if size <= limits.bytes_per_file)
    if announced > limits.total_bytes:
        raise _too_much(archive.name, limits)
    if announced > _allowed_bytes(archive, limits):
        raise DataError("data.archive.bomb", name=archive.name, ratio=limits.ratio)
    if shutil.disk_usage(into).free - announced < limits.free_bytes:
        raise DataError("data.archive.disk_full", name=archive.name)


def _allowed_bytes(archive: Path, limits: Limits) -> int:
    return max(limits.unsuspicious_bytes, limits.ratio * archive.stat().st_size)


def _too_much(name: str, limits: Limits) -> DataError:
    return DataError("data.archive.too_much", name=name, gigabytes=f"{limits.total_bytes / GIGABYTE:,.4g}")


def _no_photos(archive: Path, left_out: Sequence[LeftOut]) -> DataError:
    if not left_out:
        return DataError("data.archive.empty", name=archive.name)
    first = left_out[0]
    return DataError("data.archive.no_photos", name=archive.name, n=len(left_out), first=first.path, why=first.text)
