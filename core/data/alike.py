"""Which photos are one picture: equal files, and copies that were compressed, resized, mirrored or brightened. Pure.

Photos whose hashes nearly agree are candidates; small pictures kept in the facts decide. A hash alone takes two
handwritten threes for one picture. Torch-free.
"""

import os
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from core.data.facts import COLOUR_SIDE, SMALL_BYTES, SMALL_SIDE, Facts
from core.data.report import Photo

BITS = 8  # of 64 may differ in the hashes of a candidate: of 1,000 copies of real pictures none differs in more
# Correlation of the small grey pictures. Of 2,425 photos, textures and digits one pair of different ones reaches it:
# two chequered boards, one mirrored, whose colours and hashes tell them apart.
LIKENESS = 0.99
COLOUR_LEVELS = 4.0  # of 255, root mean square: how far the small pictures' colours may be apart
COLOUR_GAIN = (0.7, 1.43)  # brightening a photo by a factor multiplies its colours too
FLAT = 0.01  # contrast below which a picture shows nothing that could be compared
ROWS, TILE = 32, 4096  # hashes compared at a time: a megabyte, which stays near the processor
PAIRS = 4096  # small pictures compared at a time: 4 MB of numbers
THREADS = min(4, os.cpu_count() or 1)

Numbers = NDArray[np.float32]
Places = NDArray[np.intp]


def find_together(photos: Collection[Photo], facts: Mapping[str, Facts]) -> tuple[tuple[str, ...], ...]:
    """Groups of two and more paths that show one picture, each sorted, in the order of their first.

    Every photo of a group was compared with the group's largest one. So there are no chains in which each frame of a
    film is like the next, and the first is nothing like the last.
    """
    paths: defaultdict[str, list[str]] = defaultdict(list)
    size: dict[str, int] = {}
    for photo in photos:
        paths[photo.sha256].append(photo.path)
        size[photo.sha256] = photo.width * photo.height
    order = sorted((sha256 for sha256 in paths if sha256 in facts), key=lambda sha256: (-size[sha256], sha256))
    leaders = _leaders(_table([facts[sha256] for sha256 in order]))
    home = {sha256: order[leader] for sha256, leader in zip(order, leaders.tolist(), strict=True)}
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for sha256, copies in paths.items():
        groups[home.get(sha256, sha256)] += copies
    return tuple(sorted(tuple(sorted(group)) for group in groups.values() if len(group) > 1))


def likeness(first: Facts, second: Facts) -> float:
    """Correlation of two photos' small grey pictures, mirrored if that is more: 1 for the same picture."""
    table = _table([first, second])
    return max(float(_correlation(table, 0, np.array([1]), mirrored)[0]) for mirrored in (False, True))


@dataclass(frozen=True)
class _Table:
    """The facts of n photos, the largest photo first."""

    look: NDArray[np.uint64]
    mirrored: NDArray[np.uint64]
    grey: NDArray[np.uint8]  # (n, 16, 16)
    colour: NDArray[np.uint8]  # (n, 2, 8, 8)
    flat: NDArray[np.bool_]


def _table(facts: Sequence[Facts]) -> _Table:
    blank = bytes(SMALL_BYTES)
    small = np.frombuffer(b"".join(row.small or blank for row in facts), np.uint8).reshape(len(facts), SMALL_BYTES)
    return _Table(
        look=np.array([int(row.look, 16) for row in facts], np.uint64),
        mirrored=np.array([int(row.mirrored, 16) for row in facts], np.uint64),
        grey=small[:, : SMALL_SIDE**2].reshape(-1, SMALL_SIDE, SMALL_SIDE),
        colour=small[:, SMALL_SIDE**2 :].reshape(-1, 2, COLOUR_SIDE, COLOUR_SIDE),
        flat=np.array([row.contrast < FLAT or not row.small for row in facts], bool),
    )


def _leaders(table: _Table) -> Places:
    """For each photo the place of the photo that its group was gathered around; its own where it is that or alone."""
    leaders = np.arange(len(table.look))
    free = ~table.flat  # neither gathered nor looked at nor out of the question
    with ThreadPoolExecutor(THREADS, thread_name_prefix="alike") as pool:
        for start in range(0, len(leaders), ROWS):
            width = max(TILE, -(-(len(leaders) - start) // THREADS))
            count = partial(_candidates, table, start, free, width)
            found = chain.from_iterable(pool.map(count, range(start, len(leaders), width)))
            for row, others, mirrored in sorted(found, key=lambda one: one[0]):
                if leaders[row] == row:
                    _gather(table, row, others, mirrored, leaders, free)
                free[row] = False
    return leaders


def _gather(table: _Table, row: int, others: Places, mirrored: bool, leaders: Places, free: NDArray[np.bool_]) -> None:
    for part in range(0, len(others), PAIRS):
        chosen = others[part : part + PAIRS]
        chosen = chosen[free[chosen]]
        same = chosen[_same(table, row, chosen, mirrored)]
        leaders[same], free[same] = row, False


def _candidates(
    table: _Table, start: int, free: NDArray[np.bool_], width: int, left: int
) -> list[tuple[int, Places, bool]]:
    """Of each row from ``start`` on, the later ones among ``width`` photos from ``left`` whose hash nearly agrees."""
    found: list[tuple[int, Places, bool]] = []
    rows = start + np.flatnonzero(free[start : start + ROWS])
    mixed = np.empty((len(rows), TILE), np.uint64)  # made once: new memory for each tile takes longer than the counting
    differing = np.empty(mixed.shape, np.uint8)
    right = min(left + width, len(free))
    for tile in range(left, right, TILE):
        end = min(tile + TILE, right)
        for mirrored, hashes in ((False, table.look), (True, table.mirrored)):
            mix, count = mixed[:, : end - tile], differing[:, : end - tile]
            np.bitwise_xor(table.look[rows, None], hashes[None, tile:end], out=mix)
            np.bitwise_count(mix, out=count)
            if not len(rows) or count.min() > BITS:
                continue
            for row, counted in zip(rows.tolist(), count, strict=True):
                others = tile + np.flatnonzero(counted <= BITS)
                others = others[(others > row) & free[others]]
                if len(others):
                    found.append((row, others, mirrored))
    return found


def _same(table: _Table, row: int, others: Places, mirrored: bool) -> NDArray[np.bool_]:
    """Which of the others are the picture in ``row``: light and colour have to agree."""
    alike = _correlation(table, row, others, mirrored) >= LIKENESS
    alike[alike] = _colour_distance(table, row, others[alike], mirrored) <= COLOUR_LEVELS
    return alike


def _correlation(table: _Table, row: int, others: Places, mirrored: bool) -> Numbers:
    one, many = _pixels(table.grey[row]), _pixels(table.grey[others], mirrored)
    one -= one.mean()
    many -= many.mean((1, 2), keepdims=True)
    lengths = np.sqrt(np.square(many).sum((1, 2)) * np.square(one).sum())
    return (many * one).sum((1, 2)) / np.maximum(lengths, 1e-6)


def _colour_distance(table: _Table, row: int, others: Places, mirrored: bool) -> Numbers:
    """In levels of 255, after the stronger or weaker colour of a brightened or dimmed copy is made equal."""
    one, many = _pixels(table.colour[row]) - 128, _pixels(table.colour[others], mirrored) - 128
    gain = (many * one).sum((1, 2, 3)) / max(float(np.square(one).sum()), 1e-6)
    return np.sqrt(np.square(one * np.clip(gain, *COLOUR_GAIN)[:, None, None, None] - many).mean((1, 2, 3)))


def _pixels(pictures: NDArray[np.uint8], mirrored: bool = False) -> Numbers:
    return (pictures[..., ::-1] if mirrored else pictures).astype(np.float32)
