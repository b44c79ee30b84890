"""A bundle's zip as a stranger's file: names, sizes and hashes are checked before anything is used. Torch-free."""

import hashlib
import json
import re
import zipfile
import zlib
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from core.data.members import DIRECTORY_BYTES, Member, open_zip
from core.errors import CoreError
from core.export import manifest

MOST_FILES = 2000
MOST_BYTES = 12_000_000_000  # unpacked: three forms of the largest backbone have 8
MOST_RATIO = 20  # unpacked / packed: weights don't shrink
UNSUSPICIOUS_BYTES = 64_000_000  # below this the ratio doesn't matter
MOST_JSON_BYTES = 64_000_000
LONGEST_NAME = 200
CHUNK_BYTES = 1 << 20

# Files that torch, scikit-learn and the like read by running them.
PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".bin", ".ckpt", ".joblib", ".dill", ".npy", ".npz")
# Source: Python's pickletools: PROTO and its version; before that, GLOBAL with a module's and an object's name.
_PICKLE = re.compile(rb"\x80[\x02-\x05]|\(?c[A-Za-z_][\w.]*\n\w+\n")
ENCRYPTED_FLAGS = 0x1 | 0x40  # Source: APPNOTE.TXT (PKWARE), 4.4.4
_HASH = re.compile("[0-9a-f]{64}")


class BundleError(CoreError):
    """A bundle that isn't taken in. ``file`` is the one in it that is wrong."""

    def __init__(self, reason: str, /, **values: object) -> None:
        super().__init__(f"export.refused.{reason}", **values)


class Arrived:
    """An opened bundle whose names, sizes and hashes are as they should be; ``said`` is its graft.json."""

    def __init__(self, name: str, opened: zipfile.ZipFile, members: list[Member]) -> None:
        self.name, self._opened = name, opened
        self._files = self._by_name(members)
        self.said = self.json(manifest.NAME)
        if int_of(self.said.get("format")) > manifest.FORMAT:
            raise BundleError("newer", name=name, value=str(self.said.get("format"))[:20])
        self._check_hashes(self.said.get("files"))

    def __contains__(self, file: str) -> bool:
        return file in self._files

    def json(self, file: str) -> dict[str, Any]:
        """One of its JSON objects; BundleError where it is none."""
        if file not in self._files:
            raise BundleError("missing", name=self.name, file=file)
        if self._files[file].info.file_size > MOST_JSON_BYTES:
            raise BundleError("large_json", name=self.name, file=file, megabytes=MOST_JSON_BYTES // 1_000_000)
        with self._reading(file) as source:
            data = source.read()
        try:
            found: object = json.loads(data.decode("utf-8"), parse_constant=_no_number)
        except (ValueError, RecursionError):
            raise BundleError("not_json", name=self.name, file=file) from None
        if not isinstance(found, dict):
            raise BundleError("not_json", name=self.name, file=file)
        return cast("dict[str, Any]", found)

    def write(self, file: str, path: Path) -> None:
        """Unpack one file to a path of ours."""
        with self._reading(file) as source, path.open("xb") as target:
            while chunk := source.read(CHUNK_BYTES):
                target.write(chunk)

    def _by_name(self, members: list[Member]) -> dict[str, Member]:
        """Its files by their path below the folder of graft.json."""
        kept = [member for member in members if not member.is_ignored]
        for member in kept:
            _check_name(self.name, member)
        self._check_sizes(kept)
        homes = [PurePosixPath(m.name).parent for m in kept if PurePosixPath(m.name).name == manifest.NAME]
        if len(homes) != 1 or len(homes[0].parts) > 1:
            raise BundleError("no_manifest", name=self.name)
        files: dict[str, Member] = {}
        for member in kept:
            path = PurePosixPath(member.name)
            if not path.is_relative_to(homes[0]):
                raise BundleError("unlisted", name=self.name, file=member.shown)
            inside = path.relative_to(homes[0]).as_posix()
            if inside in files:
                raise BundleError("twice", name=self.name, file=member.shown)
            files[inside] = member
        return files

    def _check_sizes(self, members: list[Member]) -> None:
        total = sum(member.info.file_size for member in members)
        packed = sum(member.info.compress_size for member in members)
        if total > MOST_BYTES or total > max(UNSUSPICIOUS_BYTES, MOST_RATIO * packed):
            raise BundleError("bomb", name=self.name, megabytes=f"{total // 1_000_000:,}")

    def _check_hashes(self, listed: object) -> None:
        if not isinstance(listed, Mapping):
            raise BundleError("no_hashes", name=self.name)
        hashes = cast("Mapping[object, object]", listed)
        for file, member in self._files.items():
            if file == manifest.NAME:
                continue
            found, digest = self._hash(file), hashes.get(file)  # first, for it refuses pickles, listed or not
            if not isinstance(digest, str) or not _HASH.fullmatch(digest):
                raise BundleError("unlisted", name=self.name, file=member.shown)
            if found != digest:
                raise BundleError("changed", name=self.name, file=member.shown)
        missing = next((str(file) for file in hashes if file not in self._files), None)
        if missing is not None:
            raise BundleError("missing", name=self.name, file=missing[:LONGEST_NAME])

    def _hash(self, file: str) -> str:
        digest = hashlib.sha256()
        with self._reading(file) as source:
            first = source.read(CHUNK_BYTES)
            self._refuse_pickle(file, first)
            digest.update(first)
            while chunk := source.read(CHUNK_BYTES):
                digest.update(chunk)
        return digest.hexdigest()

    def _refuse_pickle(self, file: str, first: bytes) -> None:
        """Nothing here would open one, but whoever unpacks the bundle might."""
        suffix = PurePosixPath(file).suffix.lower()
        # A safetensors file begins with a number, and a program of torch's is a zip of its own.
        hidden = suffix not in (".safetensors", ".pt2") and (_PICKLE.match(first) or first.startswith(b"PK"))
        inside = suffix == ".pt2" and self._program_holds_pickle(file)
        if suffix in PICKLES or hidden or inside:
            raise BundleError("pickle", name=self.name, file=self._files[file].shown)

    def _program_holds_pickle(self, file: str) -> bool:
        """Torch saves example photos with a program as a pickle; Graft's have none."""
        try:
            with (
                self._opened.open(self._files[file].info) as source,
                zipfile.ZipFile(cast("IO[bytes]", _Guarded(source))) as inner,
            ):
                return any(m.file_size and PurePosixPath(m.filename).suffix in PICKLES for m in inner.infolist())
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, OSError):
            raise BundleError("damaged", name=self.name, file=self._files[file].shown) from None

    @contextmanager
    def _reading(self, file: str) -> Generator[IO[bytes]]:
        try:
            with self._opened.open(self._files[file].info) as source:  # gives no more than the size it announced
                yield source
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError):
            raise BundleError("damaged", name=self.name, file=self._files[file].shown) from None


class _Guarded:
    """A zip inside the zip, whose list of members can't be so long that reading it fills the memory."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        if size > DIRECTORY_BYTES:
            raise zipfile.BadZipFile
        return self._file.read(size)


@contextmanager
def arrived(bundle: Path) -> Generator[Arrived]:
    """A bundle to read from.

    Raises:
        DataError: it isn't a zip.
        BundleError: something in it isn't as it should be.
    """
    with open_zip(bundle, MOST_FILES) as (opened, members):
        yield Arrived(bundle.name, opened, members)


def int_of(value: object) -> int:
    """A whole number of a stranger's; 0 where it is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _check_name(bundle: str, member: Member) -> None:
    raw = member.info.orig_filename
    if "\\" in raw or len(raw) > LONGEST_NAME or not raw.isprintable():
        raise BundleError("unsafe_name", name=bundle, file=member.shown)
    reason = member.reason
    if reason == "unsafe_name" or ":" in raw:
        raise BundleError("unsafe_name", name=bundle, file=member.shown)
    plain = member.info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    if reason in ("link", "not_a_file") or member.info.flag_bits & ENCRYPTED_FLAGS or not plain:
        raise BundleError("odd_member", name=bundle, file=member.shown)


def _no_number(constant: str) -> float:
    raise ValueError(constant)
