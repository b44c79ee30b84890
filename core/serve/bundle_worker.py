"""A bundle made by a process of its own: ``python -m core.serve.bundle_worker RUN_DIRECTORY [--photos]``.

Pages use ``start``, which is torch-free.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path

from core import background
from core.background import Teller
from core.errors import DataError
from core.export.made import ExportFolder
from core.export.parity import Parity
from core.runs.store import RunDirectory

NICENESS = 5  # as a run
# Steps in the order in which a bundle goes through them, and the share of the time at which each begins: as it was once
# with efficientnet_lite0 and 65 pictures on a busy machine. They only move a bar.
BEGINS = {"network": 0.0, "program": 0.02, "onnx": 0.08, "check": 0.21, "pack": 0.98}

Export = Callable[..., Parity]


def start(folder: ExportFolder, *, with_photos: bool) -> bool:
    """Make a bundle in a process of its own. Returns False, and changes nothing, while one is at work."""
    arguments = [str(folder.run.path), *(["--photos"] if with_photos else [])]
    return background.start(folder, "core.serve.bundle_worker", arguments)


def share(step: str, done: int, total: int) -> float:
    """How much of the work is done, about."""
    begins = [*BEGINS.values(), 1.0]
    place = list(BEGINS).index(step) if step in BEGINS else 0
    inside = min(1.0, done / total) if total else 0.0
    return begins[place] + inside * (begins[place + 1] - begins[place])


def work(folder: ExportFolder, *, with_photos: bool, export: Export | None = None) -> None:
    """Make the bundle; the one that was there stays until the new one is whole.

    ``export`` makes it; without it, torch is imported when it is needed.
    """
    background.work(
        folder,
        lambda: _make(folder, with_photos, export),
        on_disk_error=lambda problem: DataError("download.disk", problem=problem),
    )


def _make(folder: ExportFolder, with_photos: bool, export: Export | None) -> None:
    tell = Teller(folder)
    tell("network")
    folder.sweep()
    if export is None:
        from core.serve.bundled import export_with_page as export
    from core.export.bundle import ExportStopped

    stamp = folder.stamp()  # before it is read: what changes meanwhile makes it stale
    bundle = folder.place()
    try:
        parity = export(folder.run, bundle, tell, folder.stop.exists, samples=with_photos)
    except ExportStopped:
        return
    folder.keep(bundle, parity, stamp, with_photos=with_photos)
    tell("done", 1, 1)


if __name__ == "__main__":
    if hasattr(os, "nice"):
        os.nice(max(0, NICENESS - os.nice(0)))
    work(ExportFolder(RunDirectory(Path(sys.argv[1]))), with_photos="--photos" in sys.argv[2:])
