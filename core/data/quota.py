"""How much may come in, and what is said to a file that may not. Torch-free."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

from core.errors import ConfigError, DataError

GIGABYTE = 1_000_000_000


@dataclass(frozen=True)
class Quota:
    """How much one upload may hold. Generous: the disk is the user's own; an operator sets less by environment."""

    total_bytes: int = 100 * GIGABYTE
    files: int = 500_000
    bytes_per_file: int = 100 * GIGABYTE  # a zip of everything is one file
    free_bytes: int = GIGABYTE  # left free on the disk, so that a run can still write its checkpoints

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Quota":
        """``GRAFT_MAX_UPLOAD_GB``, ``GRAFT_MAX_UPLOAD_FILES``, ``GRAFT_MAX_FILE_GB`` and ``GRAFT_KEEP_FREE_GB``."""
        usual = cls()
        return cls(
            total_bytes=_number(environment, "GRAFT_MAX_UPLOAD_GB", usual.total_bytes, GIGABYTE),
            files=_number(environment, "GRAFT_MAX_UPLOAD_FILES", usual.files, 1),
            bytes_per_file=_number(environment, "GRAFT_MAX_FILE_GB", usual.bytes_per_file, GIGABYTE),
            free_bytes=_number(environment, "GRAFT_KEEP_FREE_GB", usual.free_bytes, GIGABYTE),
        )

    def at_most(self, size: int) -> "Quota":
        """The same with no more than ``size`` bytes in all."""
        return replace(self, total_bytes=min(self.total_bytes, size), bytes_per_file=min(self.bytes_per_file, size))

    @property
    def spoken(self) -> dict[str, object]:
        """The limits as the catalogue's texts name them."""
        return {
            "files": self.files,
            "file_gigabytes": f"{self.bytes_per_file / GIGABYTE:,.4g}",
            "total_gigabytes": f"{self.total_bytes / GIGABYTE:,.4g}",
            "free_gigabytes": f"{self.free_bytes / GIGABYTE:,.4g}",
        }

    def broken_by(self, size: int, *, others_bytes: int, others: int, free: int) -> str | None:
        """Which limit a file of ``size`` bytes would pass, by its catalogue key below ``upload``; None if none."""
        if size > self.bytes_per_file:
            return "too_large"
        if others_bytes + size > self.total_bytes:
            return "too_much"
        if others >= self.files:
            return "too_many"
        return "disk_full" if free - size < self.free_bytes else None


class RefusalError(DataError):
    """A file that can't be taken: its name, its size, the quota or the disk."""

    def __init__(self, reason: str, /, **values: object) -> None:
        super().__init__(f"upload.{reason}", **values)
        self.reason = reason

    @property
    def ends_all(self) -> bool:
        """Whether no further file can be taken either."""
        return self.reason in ("too_many", "too_much", "disk_full")


def _number(environment: Mapping[str, str], name: str, usual: int, unit: int) -> int:
    text = environment.get(name, "").strip()
    if not text:
        return usual
    try:
        value = float(text)
        if not 0 <= value < 1e9:
            raise ValueError(text)
    except ValueError:
        raise ConfigError("upload.bad_quota", name=name, value=text) from None
    return round(value * unit)
