"""The files of ONNX Runtime Web, which runs a network inside a browser: where they lie, how they come. Torch-free.

No Python package carries them. npm fetches them, from whatever registry this computer is set up for, or a person
brings the package file; both ways only files with the hashes below are taken.
"""

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
import zlib
from pathlib import Path

from core.errors import CoreError
from core.workspace import default_root, write_atomically

VERSION = "1.30.0"
PROGRAM = "ort.wasm.bundle.min.mjs"
WASM = "ort-wasm-simd-threaded.wasm"
SHA256 = {
    PROGRAM: "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",
    WASM: "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}
MAX_FILE_BYTES = 64_000_000  # the larger of the two has 14 million
NPM_SECONDS = 300


class RuntimeFilesError(CoreError):
    """The files that the demo page needs can't be had."""

    def __init__(self, key: str, **values: object) -> None:
        super().__init__(f"demopage.runtime.{key}", version=VERSION, **values)


def folder() -> Path:
    """Where the files are looked for: ``$GRAFT_ONNXRUNTIME_WEB``, or a folder of the workspace."""
    given = os.environ.get("GRAFT_ONNXRUNTIME_WEB")
    return Path(given) if given else default_root() / "runtime" / f"onnxruntime-web-{VERSION}"


def find() -> Path | None:
    """The folder with the files, if all are there and are the ones known here."""
    place = folder()
    return place if all(_sha256(place / name) == known for name, known in SHA256.items()) else None


def fetch(source: Path | None = None) -> Path:
    """Put the files into their folder, from the package file ``source`` or by npm, and name that folder.

    Raises:
        RuntimeFilesError: there is no npm or no network, or these aren't the files.
    """
    if (found := find()) and source is None:
        return found
    with tempfile.TemporaryDirectory(prefix="graft-") as scratch:
        package = source or _packed_by_npm(Path(scratch))
        contents = {name: _member(package, name) for name in SHA256}
    place = folder()
    place.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        write_atomically(place / name, content)
    return place


def _packed_by_npm(scratch: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise RuntimeFilesError("no_npm")
    command = [npm, "pack", f"onnxruntime-web@{VERSION}", "--ignore-scripts", "--silent"]
    try:
        done = subprocess.run(
            command, cwd=scratch, capture_output=True, text=True, errors="replace", timeout=NPM_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RuntimeFilesError("npm_failed", problem=type(error).__name__) from error
    packages = list(scratch.glob("*.tgz"))
    if done.returncode or len(packages) != 1:
        said = done.stderr.strip().splitlines()[-1:] or [str(done.returncode)]
        raise RuntimeFilesError("npm_failed", problem=said[0][:300])
    return packages[0]


def _member(package: Path, name: str) -> bytes:
    """One file out of the package, read in memory: nothing is unpacked by the names inside."""
    try:
        with tarfile.open(package, "r:gz") as archive:
            member = archive.getmember(f"package/dist/{name}")
            file = archive.extractfile(member) if member.isreg() and member.size <= MAX_FILE_BYTES else None
            content = file.read(MAX_FILE_BYTES) if file else b""
    except KeyError:
        content = b""
    except (OSError, tarfile.TarError, EOFError, zlib.error) as error:
        raise RuntimeFilesError("not_an_archive", file=str(package)) from error
    if hashlib.sha256(content).hexdigest() != SHA256[name]:
        raise RuntimeFilesError("lacks", file=name)
    return content


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
