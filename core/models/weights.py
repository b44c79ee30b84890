"""Where a backbone's pretrained weights are: imported, fetched, in torch's cache, or in an installed package.

Torch-free, except for ``import_file``, which looks into the file. A file of known origin counts only with its hash.
"""

import importlib.util
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from core.errors import ModelError
from core.models.fetch import FetchStopped, fetch
from core.models.files import Source, WeightsFile, hashed, sha256_of
from core.models.registry import Backbone

__all__ = ["FetchStopped", "WeightsFile", "fetch", "find", "hub_folder", "import_file", "search"]

SUFFIXES = (".pth", ".pt", ".safetensors")
HASH_DIGITS = 16  # of an imported file's SHA-256, in its name


def find(backbone: Backbone, folder: Path) -> WeightsFile | None:
    """The weights of a backbone, if they are on this machine; ``folder`` holds what Graft fetched and imported.

    Raises:
        ModelError: the only file there is was changed or is incomplete.
    """
    file, damaged = search(backbone, folder)
    if file is None and damaged:
        raise ModelError("models.damaged", title=backbone.title, file=str(damaged[0]))
    return file


def search(backbone: Backbone, folder: Path) -> tuple[WeightsFile | None, tuple[Path, ...]]:
    """The first whole file, and the damaged ones that come before it."""
    damaged: list[Path] = []
    for path, source, wanted in _candidates(backbone, folder):
        if not path.is_file():
            continue
        sha256 = sha256_of(path, folder)
        if sha256.startswith(wanted):
            return WeightsFile(path, source, sha256), tuple(damaged)
        damaged.append(path)
    return None, tuple(damaged)


def import_file(path: Path, backbone: Backbone, folder: Path, *, name: str | None = None) -> WeightsFile:
    """Take a copy of a user's file, if it holds the weights of ``backbone``; from then on it comes first.

    ``name`` is what the user calls the file, where ``path`` is a temporary one.

    Raises:
        ModelError: it can't be read, holds more than weights, or doesn't fit; says what is wrong with it.
    """
    called = name or path.name
    if not path.is_file():
        raise ModelError("models.no_file", file=called)
    suffix = Path(called).suffix.lower()
    if suffix not in SUFFIXES:
        raise ModelError("models.file_kind", file=called, suffix=suffix or called)
    from core.models.load import check

    home = folder / "imported"
    home.mkdir(parents=True, exist_ok=True)
    copy = home / f".{backbone.name}.{os.getpid()}.tmp"
    try:
        shutil.copyfile(path, copy)  # checked is what will be used, whatever happens to the original
        check(copy, backbone, called)
        sha256 = hashed(copy)
        kept = home / f"{backbone.name}-{sha256[:HASH_DIGITS]}{suffix}"
        os.replace(copy, kept)
    finally:
        copy.unlink(missing_ok=True)
    return WeightsFile(kept, "imported", sha256)


def hub_folder() -> Path:
    """Where torch.hub keeps what it downloaded. Source: torch.hub.get_dir and load_state_dict_from_url."""
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("TORCH_HOME") or os.path.join(caches, "torch")
    return Path(home).expanduser() / "hub" / "checkpoints"


def _candidates(backbone: Backbone, folder: Path) -> Iterator[tuple[Path, Source, str]]:
    """Path, source and the beginning of the hash that it must have, best first."""
    pattern = f"{backbone.name}-{'[0-9a-f]' * HASH_DIGITS}.*"
    imported = [path for path in (folder / "imported").glob(pattern) if path.suffix in SUFFIXES]
    for path in sorted(imported, key=lambda path: path.stat().st_mtime_ns, reverse=True):
        yield path, "imported", path.stem.rsplit("-", 1)[1]
    source = backbone.weights
    yield folder / source.file_name, "fetched", source.sha256
    yield hub_folder() / source.file_name, "cache", source.sha256
    if source.package is not None:
        # Looked up, not imported: a package may do anything when it is imported.
        module = importlib.util.find_spec(source.package.replace("-", "_"))
        for location in (module.submodule_search_locations or []) if module else []:
            yield Path(location).parent / source.folder / source.file_name, "package", source.sha256
