"""Where things lie: the one place that knows the folders below ``workspace/``. Torch-free."""

import os
import re
import secrets
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from core.errors import CoreError

# An id is a capability in a URL: time to sort by, then 32 random bits. Nothing else is ever joined to a path.
ID_PATTERN = re.compile(r"\d{8}-\d{6}-[0-9a-f]{8}")
OWNER_PATTERN = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


@dataclass(frozen=True)
class Workspace:
    """One owner's folders; weights, speeds and thumbnails are shared, for they hold nothing of anyone's."""

    root: Path
    owner: str = "me"

    def __post_init__(self) -> None:
        if not OWNER_PATTERN.fullmatch(self.owner):
            raise CoreError("common.bad_id", value=self.owner)

    @property
    def home(self) -> Path:
        return self.root / self.owner

    @property
    def runs(self) -> Path:
        return self.home / "runs"

    @property
    def datasets(self) -> Path:
        return self.home / "datasets"

    @property
    def photos(self) -> Path:
        """Every photo of the data sets once, by its hash (``core.data.once``)."""
        return self.home / "photos"

    @property
    def uploads(self) -> Path:
        """Photos on their way in, and photos to try a model on."""
        return self.home / "uploads"

    @property
    def weights(self) -> Path:
        """Pretrained weights that were fetched or imported."""
        return self.root / "weights"

    @property
    def speeds(self) -> Path:
        """What was measured about backbones on this machine."""
        return self.root / "speeds"

    @property
    def cache(self) -> Path:
        """What can be computed again: thumbnails, kept features."""
        return self.home / "cache"


def photos_of(dataset_folder: Path) -> Path:
    """``Workspace.photos`` of the owner whose data set lies in this folder."""
    return dataset_folder.parent.parent / "photos"


def default_root() -> Path:
    """``$GRAFT_WORKSPACE``, or ``workspace/`` beside the program."""
    return Path(os.environ.get("GRAFT_WORKSPACE") or Path(__file__).parent.parent / "workspace").absolute()


def new_id() -> str:
    """``20261121-051543-d0bbc0de``: sorts by time (UTC), can't be guessed."""
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(4)}"


def below(folder: Path, identifier: str) -> Path:
    """``folder/identifier``, refusing every identifier that isn't one of ours (``..``, ``/``, empty …)."""
    if not ID_PATTERN.fullmatch(identifier):
        raise CoreError("common.bad_id", value=identifier[:80])
    return folder / identifier


def make_directory(folder: Path) -> tuple[str, Path]:
    """A new directory with a new id below ``folder``; never one that was there before."""
    folder.mkdir(parents=True, exist_ok=True)
    identifier = new_id()
    path = folder / identifier
    path.mkdir()
    return identifier, path


def write_atomically(path: Path, data: bytes) -> None:
    """The whole file or nothing: a reader, or a crash, never sees half of it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    temporary.write_bytes(data)
    os.replace(temporary, path)
