"""How much of what could be kept has room on the disk, and what makes way for it. Torch-free.

Everything kept can be computed again: removing it costs time later, and nothing else.
"""

import shutil
import time
from collections.abc import Collection, Sequence
from itertools import accumulate
from pathlib import Path

from core.training import rows

FREE_SHARE = 0.5  # of what is free on the disk; the rest is left to others
UNTOUCHED_SECONDS = 3600.0  # what was used within the last hour stays


def fitting_views(view_bytes: Sequence[int], room_bytes: int) -> int:
    """How many views, from the first on, can be kept where they take ``view_bytes`` beyond what is kept already."""
    return sum(total <= room_bytes for total in accumulate(view_bytes))


def room(cache: Path, budget_bytes: int | None, own: Collection[Path] = ()) -> int:
    """How many more bytes may be kept in ``cache``: what its budget leaves, and at most half of the free disk.

    What the stores in ``own`` hold already counts as free and as taken: so a run that is started again, its rows half
    written, comes to the same answer as at its first start.
    """
    held = sum(rows.size_in_bytes(folder) for folder in set(own))
    half_of_free = int((shutil.disk_usage(cache).free + held) * FREE_SHARE) - held
    left = half_of_free if budget_bytes is None else min(half_of_free, budget_bytes - used(cache))
    return max(0, left)


def used(cache: Path) -> int:
    """What all stores in ``cache`` take."""
    return sum(rows.size_in_bytes(folder) for folder in rows.stores(cache))


def make_room(
    cache: Path,
    budget_bytes: int | None,
    view_bytes: Sequence[int],
    own: Collection[Path],
    *,
    always_bytes: int = 0,
    in_use: Collection[Path] = (),
) -> int:
    """Prune for as many views as the budget could ever hold; returns how many have room then.

    ``view_bytes`` is what each view takes beyond what the stores in ``own`` hold already, ``always_bytes`` what is kept
    in any case.
    """
    cache.mkdir(parents=True, exist_ok=True)
    if budget_bytes is not None:
        held = sum(rows.size_in_bytes(folder) for folder in set(own))
        possible = fitting_views(view_bytes, max(0, budget_bytes - held - always_bytes))
        prune(cache, budget_bytes - always_bytes - sum(view_bytes[:possible]), {*own, *in_use})
    return fitting_views(view_bytes, max(0, room(cache, budget_bytes, own) - always_bytes))


def prune(cache: Path, budget_bytes: int, in_use: set[Path]) -> list[Path]:
    """Remove the stores that nobody has used for longest until ``cache`` fits the budget; returns which.

    What they held is computed again when it is needed, which costs time. Safe beside running processes: a store that
    is being written, was used within the last hour or is ``in_use`` stays, and who reads one goes on reading it.
    """
    removed: list[Path] = []
    total = used(cache)
    for folder in sorted(rows.stores(cache), key=rows.last_used):
        if total <= budget_bytes:
            break
        size = rows.size_in_bytes(folder)
        if folder not in in_use and rows.forget(folder, unless_used_since=time.time() - UNTOUCHED_SECONDS):
            removed.append(folder)
            total -= size
    return removed
