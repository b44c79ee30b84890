"""The shapes of leaves: an outline, veins and a stalk, each leaf a little different from the next.

Lengths are in leaf lengths: the base lies at (0, 0) and the tip at (0, 1); x is across.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]  # (n, 2)
Random = np.random.Generator


@dataclass(frozen=True)
class Vein:
    """A line from its thick to its thin end; widths in leaf lengths."""

    points: Points
    start: float
    end: float


@dataclass(frozen=True)
class Leaf:
    outline: Points
    veins: tuple[Vein, ...]
    stalk: Vein


def maple(random: Random) -> Leaf:
    """Five pointed lobes with teeth, veins from one point."""
    spread = random.normal(0, 4)
    angles = np.radians([168 + spread, 125 + spread, 90, 55 - spread, 12 - spread]) + random.normal(0, 0.05, 5)
    lengths = np.array([0.52, 0.78, 0.95, 0.78, 0.52]) * random.normal(1, 0.06, 5)
    sinus = random.uniform(0.28, 0.5)
    breadth = random.uniform(0.85, 1.25)
    hub = np.array([0.0, 0.07])
    corners: list[Points] = []
    veins: list[Vein] = []
    for place in range(4, -1, -1):
        corners.append(_maple_lobe(random, hub, angles[place], lengths[place], breadth))
        if place:
            middle = (angles[place] + angles[place - 1]) / 2
            reach = sinus * min(lengths[place], lengths[place - 1]) * random.uniform(0.9, 1.1)
            corners.append((hub + reach * _direction(middle))[None])
        veins += _maple_veins(random, hub, angles[place], lengths[place])
    base = np.array([[-0.05, 0.02], [0.0, 0.05], [0.05, 0.02]]) + random.normal(0, 0.006, (3, 2))
    outline = _sagging(np.concatenate([*corners, base]), 0.07)
    return Leaf(outline, tuple(veins), _stalk(random, hub, random.uniform(0.45, 0.75), 0.014))


def _maple_lobe(random: Random, hub: Points, angle: float, length: float, breadth: float) -> Points:
    """The teeth of one lobe, from its right side over the tip to its left side."""
    side = np.array([[0.42, 0.13], [0.60, 0.20], [0.64, 0.12], [0.79, 0.13], [0.83, 0.065]])
    side = side if length > 0.6 else side[[0, 1, 2]] * [1.02, 0.85]
    right = side * random.normal(1, 0.05, side.shape) * [1, breadth]
    left = (side * random.normal(1, 0.05, side.shape) * [1, -breadth])[::-1]
    shape = np.concatenate([right, [[1.0, random.normal(0, 0.02)]], left])
    forward = _direction(angle)
    across = np.array([forward[1], -forward[0]])
    return hub + length * (shape[:, :1] * forward + shape[:, 1:] * across)


def _maple_veins(random: Random, hub: Points, angle: float, length: float) -> list[Vein]:
    tip = hub + 0.95 * length * _direction(angle)
    veins = [Vein(_bowed(random, hub, tip, 0.02), 0.013, 0.003)]
    for along in np.arange(0.3, 0.85, 0.11 if length > 0.6 else 0.16):
        for side in (-1, 1):
            start = hub + (tip - hub) * (along + random.normal(0, 0.015))
            reach = length * (0.24 if along < 0.65 else 0.14)
            veins.append(
                Vein(_bowed(random, start, start + reach * _direction(angle + side * 0.7), 0.03), 0.005, 0.002)
            )
    return veins


def oak(random: Random) -> Leaf:
    """Round lobes on both sides of one long vein."""
    lobes = int(random.integers(4, 7))
    depth = random.uniform(0.3, 0.62)
    breadth = random.uniform(0.24, 0.33)
    along = np.linspace(0, 1, 120)
    sides: list[Points] = []
    veins = [Vein(np.stack([np.zeros(20), np.linspace(0, 0.97, 20)], 1), 0.017, 0.004)]
    for side in (1, -1):
        phase = random.normal(0, 0.05)
        wave = np.abs(np.sin(np.pi * (lobes * along**0.92 + phase))) ** 0.8  # round lobes, narrow bays
        uneven = 1 + np.interp(along, np.linspace(0, 1, 6), random.normal(0, 0.09, 6))
        envelope = np.sin(np.pi * along**1.25) ** 0.75 * (0.55 + 0.5 * along)
        width = breadth * envelope * uneven * (1 - depth * (1 - wave)) + 0.008
        forward = 0.04 * wave * envelope
        sides.append(np.stack([side * width, along + forward * (along < 0.93)], 1))
        for number in range(lobes):
            centre = ((number + 0.5 - phase) / lobes) ** (1 / 0.92)
            reach = 0.86 * np.interp(centre, along, width)
            if 0.05 < centre < 0.95:
                end = np.array([side * reach, centre + 0.05])
                veins.append(Vein(_bowed(random, np.array([0, centre - 0.55 * reach]), end, 0.05 * side), 0.008, 0.003))
    outline = np.concatenate([sides[0], sides[1][::-1]])
    return Leaf(outline, tuple(veins), _stalk(random, np.zeros(2), random.uniform(0.06, 0.16), 0.016))


def ginkgo(random: Random) -> Leaf:
    """A fan with a cleft, its veins spread from the stalk."""
    half = np.radians(random.uniform(42, 72))
    cleft, cleft_width = random.uniform(0.05, 0.5), random.uniform(0.03, 0.07)
    angle = np.linspace(-half, half, 160)
    waves = sum(
        random.uniform(0.005, 0.03) * np.sin(angle * frequency + random.uniform(0, 6)) for frequency in (7, 13, 22, 37)
    )
    off_centre = random.normal(0, 0.06)
    radius = 0.95 - 0.12 * (angle / half) ** 2 + waves - cleft * np.exp(-(((angle - off_centre) / cleft_width) ** 2))
    radius *= 1 - 0.10 * np.abs(angle / half) ** 12
    rim = np.stack([np.sin(angle) * radius, np.cos(angle) * radius], 1)
    hollow = random.uniform(0.02, 0.16)
    outline = np.concatenate([_arc(np.zeros(2), rim[0], hollow), rim, _arc(rim[-1], np.zeros(2), hollow)])
    veins: list[Vein] = []
    for each in np.linspace(-0.95 * half, 0.95 * half, 46):
        tip = 0.97 * np.interp(each, angle, radius) * np.array([np.sin(each), np.cos(each)])
        veins.append(Vein(_arc(np.zeros(2), tip, -0.1 * each), 0.004, 0.0025))
    return Leaf(outline, tuple(veins), _stalk(random, np.zeros(2), random.uniform(0.5, 0.95), 0.013))


def willow(random: Random) -> Leaf:
    """Long and narrow, finely toothed, often bent like a sickle."""
    breadth = random.uniform(0.055, 0.12)
    along = np.linspace(0, 1, 140)
    sides: list[Points] = []
    veins = [Vein(np.stack([np.zeros(20), np.linspace(0, 0.98, 20)], 1), 0.011, 0.003)]
    for side in (1, -1):
        width = breadth * np.sin(np.pi * along**0.8) ** 0.85 * random.normal(1, 0.05)
        width *= 1 + 0.06 * np.abs(np.sin(along * 60)) + 0.002
        sides.append(np.stack([side * width, along], 1))
        for centre in np.arange(0.08, 0.9, 0.055) + random.normal(0, 0.008):
            reach = 0.85 * np.interp(centre + 0.05, along, width)
            start, end = np.array([0, centre]), np.array([side * reach, centre + 0.06])
            veins.append(Vein(_bowed(random, start, end, 0.1 * side), 0.004, 0.002))
    outline = np.concatenate([sides[0], sides[1][::-1]])
    return Leaf(outline, tuple(veins), _stalk(random, np.zeros(2), random.uniform(0.05, 0.12), 0.011))


KINDS: dict[str, Callable[[Random], Leaf]] = {"ginkgo": ginkgo, "maple": maple, "oak": oak, "willow": willow}


def _direction(angle: float) -> Points:
    return np.array([np.cos(angle), np.sin(angle)])


def _stalk(random: Random, start: Points, length: float, width: float) -> Vein:
    along = np.linspace(0, 1, 14)
    swing = random.normal(0, 0.22) * length
    return Vein(start + np.stack([swing * along**2, -length * along], 1), width, width * 1.25)


def _bowed(random: Random, start: Points, end: Points, bow: float) -> Points:
    """A line from start to end that swings out by ``bow`` of its length, give or take."""
    return _arc(start, end, bow + random.normal(0, 0.015))


def _arc(start: Points, end: Points, bow: float) -> Points:
    along = np.linspace(0, 1, 9)[:, None]
    across = np.array([end[1] - start[1], start[0] - end[0]])
    return start + (end - start) * along + across * (bow * 4 * along * (1 - along))


def _sagging(corners: Points, sag: float) -> Points:
    """Corners joined by edges that sag inwards, as between the teeth of a leaf."""
    ends = np.roll(corners, -1, axis=0)
    return np.concatenate([_arc(start, end, -sag)[:-1] for start, end in zip(corners, ends, strict=True)])
