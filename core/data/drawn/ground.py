"""What a leaf lies on, or hangs before: soil, paper, grass, stone, wood, a blurred garden."""

from collections.abc import Callable
from math import cos, degrees, pi, sin

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from core.data.drawn.noise import (
    COLUMNS,
    HEIGHT,
    ROWS,
    WIDTH,
    Colours,
    Plane,
    colour,
    from_image,
    mixed,
    noise,
    relief,
    to_image,
)

Random = np.random.Generator
Range = tuple[Colours, Colours]  # the darkest and the palest colour of a ground

EARTHS: tuple[Range, ...] = (
    (colour(0.13, 0.09, 0.06), colour(0.47, 0.36, 0.26)),
    (colour(0.20, 0.14, 0.10), colour(0.56, 0.42, 0.30)),
    (colour(0.16, 0.13, 0.11), colour(0.46, 0.41, 0.36)),
)
SHEETS = (
    colour(0.95, 0.93, 0.88),
    colour(0.97, 0.97, 0.96),
    colour(0.90, 0.86, 0.76),
    colour(0.83, 0.88, 0.92),
    colour(0.93, 0.84, 0.82),
    colour(0.72, 0.60, 0.45),
)
SLABS: tuple[Range, ...] = (
    (colour(0.30, 0.31, 0.33), colour(0.66, 0.67, 0.68)),
    (colour(0.42, 0.38, 0.33), colour(0.76, 0.71, 0.63)),
    (colour(0.20, 0.22, 0.25), colour(0.46, 0.49, 0.52)),
    (colour(0.50, 0.42, 0.38), colour(0.72, 0.63, 0.57)),
)
BOARDS: tuple[Range, ...] = (
    (colour(0.36, 0.22, 0.12), colour(0.64, 0.44, 0.27)),
    (colour(0.58, 0.42, 0.26), colour(0.82, 0.67, 0.47)),
    (colour(0.34, 0.33, 0.31), colour(0.62, 0.60, 0.57)),
    (colour(0.20, 0.12, 0.08), colour(0.40, 0.26, 0.18)),
    (colour(0.62, 0.60, 0.55), colour(0.86, 0.84, 0.79)),
)
DISTANCES: tuple[Range, ...] = (
    (colour(0.10, 0.22, 0.08), colour(0.62, 0.74, 0.36)),
    (colour(0.22, 0.16, 0.06), colour(0.86, 0.66, 0.30)),
    (colour(0.12, 0.20, 0.20), colour(0.70, 0.80, 0.82)),
    (colour(0.45, 0.58, 0.70), colour(0.88, 0.93, 0.97)),
    (colour(0.25, 0.12, 0.08), colour(0.80, 0.48, 0.26)),
)
MOSS: Range = (colour(0.20, 0.26, 0.08), colour(0.45, 0.52, 0.20))


def soil(random: Random, light: float) -> Colours:
    """Crumbs of earth in three sizes, a few pebbles, a few needles."""
    crumbs = np.maximum(noise(random, 26, 5, 0.75), noise(random, 9, 3, 0.7) * 0.95)
    dark, pale = EARTHS[random.integers(len(EARTHS))]
    ground = mixed(dark, pale, crumbs**1.5) * relief(crumbs, light, random.uniform(1.8, 4))
    ground *= 0.85 + 0.3 * noise(random, 90, 2)
    ground = _pebbles(random, ground, light, int(random.integers(0, 26)))
    return _needles(random, ground, int(random.integers(0, 14)))


def paper(random: Random, light: float) -> Colours:
    """A sheet with fibres; sometimes ruled, squared or folded."""
    fibres = noise(random, 3, 2) * 0.6 + noise(random, 60, 2) * 0.4
    sheet = SHEETS[random.integers(len(SHEETS))] * (0.93 + 0.09 * fibres)
    style, turn = random.random(), random.normal(0, 0.12)
    if style < 0.35:
        lines = _ruled(turn, random.uniform(14, 24))
        if style < 0.15:
            lines = np.maximum(lines, _ruled(turn + pi / 2, random.uniform(14, 24)))
        return mixed(sheet, colour(0.55, 0.66, 0.85), lines * 0.6)
    if style < 0.6:
        fold = _across(random.uniform(0, pi)) - random.normal(0, 40)
        return sheet * (1 + 0.05 * np.tanh(fold / 1.5) - 0.05 * np.exp(-((fold / 2) ** 2)))
    return sheet


def grass(random: Random, light: float) -> Colours:
    """Many blades, darker the deeper they lie."""
    image = Image.new("RGB", (WIDTH, HEIGHT), (24, 38, 16))
    canvas = ImageDraw.Draw(image)
    blades = 800
    green = np.array([random.uniform(0.27, 0.45), 0.46, 0.17])
    turns = random.uniform(0, 2 * pi, blades)
    lean = random.random(blades) < 0.6  # most blades lie the way the wind or a foot pressed them
    turns[lean] = random.normal(random.uniform(0, 2 * pi), 0.5, int(lean.sum()))
    along = np.stack([np.cos(turns), np.sin(turns)], 1) * random.uniform(25, 85, (blades, 1))
    across = np.stack([-np.sin(turns), np.cos(turns)], 1) * random.uniform(1.2, 3.6, (blades, 1))
    root = random.random((blades, 2)) * (WIDTH + 80, HEIGHT + 80) - 40
    tip = root + along + across * random.normal(0, 3, (blades, 1))
    outlines = np.stack([root - across, root + along / 2 - across, tip, root + along / 2 + across, root + across], 1)
    ridges = np.stack([root, root + along * 0.55, tip], 1)
    depths = np.sort(random.random(blades))[:, None] ** 0.8
    fills = green * (0.35 + 0.8 * depths) + random.normal(0, 0.035, (blades, 3))
    fills = np.clip(fills * 255, 0, 220).astype(int)
    for outline, ridge, fill in zip(outlines.tolist(), ridges.tolist(), fills.tolist(), strict=True):
        canvas.polygon([(x, y) for x, y in outline], fill=tuple(fill))
        canvas.line([(x, y) for x, y in ridge], fill=tuple(int(channel * 1.15) for channel in fill))
    return from_image(image.filter(ImageFilter.GaussianBlur(0.6))) * (0.75 + 0.5 * noise(random, 70, 2))


def stone(random: Random, light: float) -> Colours:
    """A rough slab with speckles, sometimes cracked or mossy."""
    rough = noise(random, 90, 7, 0.62)
    dark, pale = SLABS[random.integers(len(SLABS))]
    slab = mixed(dark, pale, rough) * relief(rough, light, random.uniform(2, 5))
    grains = noise(random, 2, 1)
    slab *= 1 + random.uniform(0.1, 1.1) * (np.clip(grains - 0.7, 0, 0.2) - np.clip(0.3 - grains, 0, 0.2))
    for _ in range(int(random.integers(0, 3))):
        slab *= 1 - 0.6 * _crack(random)
    if random.random() < 0.35:
        patches = np.clip((noise(random, 50, 5, 0.6) - 0.6) * 6, 0, 1)
        slab = mixed(slab, mixed(*MOSS, noise(random, 4, 2)), patches)
    return slab


def wood(random: Random, light: float) -> Colours:
    """Boards with grain, new or weathered."""
    turn = random.uniform(0, pi)
    across, along = _across(turn), _across(turn + pi / 2)
    breadth = random.uniform(55, 150)
    position = across / breadth + 50
    board = position.astype(np.int32)
    offset = random.uniform(0, 900, 120).astype(np.float32)[board]
    swirl = noise(random, 110, 2) * random.uniform(10, 40) + 2 * np.sin(along * 0.011 + offset)
    rings = np.sin((across + swirl + offset) * random.uniform(0.2, 0.6))
    grain = np.clip(0.5 + random.uniform(0.03, 0.17) * rings + 0.75 * (_fibres(random, turn) - 0.5), 0, 1)
    shade = (1 + 0.1 * random.standard_normal(120, np.float32))[board]
    seam = np.abs(position - board - 0.5) > 0.5 - 1.3 / breadth
    return mixed(*BOARDS[random.integers(len(BOARDS))], grain) * np.where(seam, 0.35 * shade, shade)


def garden(random: Random, light: float) -> Colours:
    """Trees and sky far out of focus, with discs of light."""
    scene = mixed(*DISTANCES[random.integers(len(DISTANCES))], noise(random, 120, 3, 0.45))
    glow = Image.new("L", (WIDTH, HEIGHT), 0)
    canvas = ImageDraw.Draw(glow)
    for strength in np.sort(random.uniform(12, 70, int(random.integers(4, 34)))).tolist():
        x, y, radius = random.uniform(0, WIDTH), random.uniform(0, HEIGHT), random.uniform(5, 22)
        canvas.ellipse((x - radius, y - radius, x + radius, y + radius), fill=int(strength))
    glow = np.asarray(glow.filter(ImageFilter.GaussianBlur(1.5)), np.float32) / 255
    return mixed(scene, colour(1.05, 1.05, 1.05), glow)


GROUNDS: dict[str, Callable[[Random, float], Colours]] = {
    "soil": soil,
    "paper": paper,
    "grass": grass,
    "stone": stone,
    "wood": wood,
    "garden": garden,
}


def _across(turn: float) -> Plane:
    """Pixels from the middle of the photo in the direction ``turn``."""
    return (COLUMNS - WIDTH / 2) * cos(turn) + (ROWS - HEIGHT / 2) * sin(turn)


def _ruled(turn: float, distance: float) -> Plane:
    """Thin lines, ``distance`` pixels apart."""
    offset = np.abs((_across(turn + pi / 2) / distance) % 1 - 0.5) * distance
    return np.clip(0.9 - (distance / 2 - offset), 0, 1)


def _fibres(random: Random, turn: float) -> Plane:
    """Fine streaks along the boards."""
    side = 420
    strip = Image.fromarray((random.random((side, 12)) * 255).astype(np.uint8))
    turned = strip.resize((side, side), Image.Resampling.BICUBIC).rotate(90 - degrees(turn), Image.Resampling.BILINEAR)
    left, top = (side - WIDTH) // 2, (side - HEIGHT) // 2
    return np.asarray(turned.crop((left, top, left + WIDTH, top + HEIGHT)), np.float32) / 255


def _crack(random: Random) -> Plane:
    steps = random.normal(0, 0.35, 60).cumsum() * 0.35 + random.uniform(0, 2 * pi)
    line = random.random(2) * (WIDTH, HEIGHT) + np.stack([np.cos(steps), np.sin(steps)], 1).cumsum(0) * 6
    image = Image.new("L", (WIDTH, HEIGHT), 0)
    ImageDraw.Draw(image).line([(x, y) for x, y in line.tolist()], fill=255, width=int(random.integers(1, 3)))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(0.7)), np.float32) / 255


def _pebbles(random: Random, ground: Colours, light: float, count: int) -> Colours:
    for _ in range(count):
        x, y, radius, turn = (
            random.random() * WIDTH,
            random.random() * HEIGHT,
            random.uniform(1.5, 7),
            random.random() * pi,
        )
        rows = slice(max(0, int(y - 2 * radius)), int(y + 2 * radius) + 1)
        columns = slice(max(0, int(x - 2 * radius)), int(x + 2 * radius) + 1)
        right, down = (COLUMNS[rows, columns] - x) / radius, (ROWS[rows, columns] - y) / radius
        long, short = (
            right * cos(turn) + down * sin(turn),
            (down * cos(turn) - right * sin(turn)) * random.uniform(1, 1.7),
        )
        inside = np.clip((1 - np.hypot(long, short)) * radius, 0, 1)
        shade = random.uniform(0.5, 1.1) * (0.8 - 0.35 * (right * cos(light) + down * sin(light)))
        tone = colour(0.58, 0.53, 0.47) + random.normal(0, 0.04, (3, 1, 1)).astype(np.float32)
        ground[:, rows, columns] = mixed(ground[:, rows, columns], tone * shade, inside)
    return ground


def _needles(random: Random, ground: Colours, count: int) -> Colours:
    image = to_image(ground)
    canvas = ImageDraw.Draw(image)
    for _ in range(count):
        x, y, turn, length = (
            random.random() * WIDTH,
            random.random() * HEIGHT,
            random.random() * 2 * pi,
            random.uniform(12, 46),
        )
        right, down, tone = length * cos(turn), length * sin(turn), random.uniform(0.7, 1.1)
        canvas.line([(x + 1, y + 1.5), (x + right + 1, y + down + 1.5)], fill=(30, 22, 16), width=2)
        canvas.line([(x, y), (x + right, y + down)], fill=(int(150 * tone), int(112 * tone), int(70 * tone)))
    return from_image(image)
