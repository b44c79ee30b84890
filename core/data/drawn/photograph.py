"""One photo: a leaf, or two, on some ground, in some light, through some lens."""

from dataclasses import dataclass, replace
from math import cos, pi, sin, sqrt

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from core.data.drawn.ground import GROUNDS
from core.data.drawn.leaf import KINDS, Leaf, Points, Vein
from core.data.drawn.noise import (
    COLUMNS,
    HEIGHT,
    ROWS,
    WIDTH,
    Colours,
    Plane,
    blurred,
    colour,
    mixed,
    noise,
    relief,
    to_image,
)

Random = np.random.Generator
FINE = 2  # edges are drawn this much larger and averaged down, so that they are smooth
# The same colours for every kind of leaf, green to brown: colour alone must not give the class away.
TINTS = np.array(
    [
        (0.20, 0.38, 0.12),
        (0.29, 0.47, 0.15),
        (0.43, 0.57, 0.20),
        (0.62, 0.66, 0.24),
        (0.85, 0.73, 0.22),
        (0.88, 0.58, 0.16),
        (0.79, 0.40, 0.15),
        (0.66, 0.24, 0.14),
        (0.52, 0.25, 0.16),
        (0.46, 0.32, 0.19),
    ]
)
LAST = len(TINTS) - 1
SHADES = 32  # from one tint to the next
SCALE = np.stack([np.interp(np.arange(LAST * SHADES + 1) / SHADES, range(LAST + 1), row) for row in TINTS.T]).astype(
    np.float32
)  # (3, shades)
SIZES = {"ginkgo": 0.92, "maple": 0.92, "oak": 1.12, "willow": 1.25}  # so that each kind fills the photo about as well
COVERS = (colour(0.33, 0.24, 0.15), colour(0.35, 0.52, 0.18), colour(0.62, 0.55, 0.30))


@dataclass(frozen=True)
class Pose:
    """Where a leaf lies: leaf lengths → pixels."""

    middle: Points
    matrix: NDArray[np.float64]  # (2, 2)
    bend: float  # how far the tip swings sideways, in leaf lengths

    @property
    def scale(self) -> float:
        """Pixels in a leaf length, on average."""
        return float(np.sqrt(abs(np.linalg.det(self.matrix))))

    def place(self, points: Points) -> Points:
        x, y = points[:, 0], points[:, 1] - 0.45
        return np.stack([x + self.bend * (y**2 - 0.2), y], 1) @ self.matrix.T + self.middle

    def local(self) -> tuple[Plane, Plane]:
        """Each pixel's place on the leaf: across and along."""
        (a, b), (c, d) = np.linalg.inv(self.matrix).tolist()
        right, down = COLUMNS - float(self.middle[0]), ROWS - float(self.middle[1])
        along = c * right + d * down
        return a * right + b * down - self.bend * (along**2 - 0.2), along + 0.45


def photograph(kind: str, random: Random) -> Image.Image:
    """A new photo of a leaf of this kind; all of its chances come from ``random``."""
    light = random.uniform(0, 2 * pi)
    name = list(GROUNDS)[random.integers(len(GROUNDS))]
    scene = GROUNDS[name](random, light)
    height = random.uniform(2, 12) if name != "garden" else 0.0
    tint = random.uniform(0, LAST)
    poses = [_pose(random, kind)]
    if random.random() < 0.14:
        poses = _apart(_pose(random, kind), poses[0], random)
    for pose in poses:
        scene = _lay(scene, KINDS[kind](random), pose, tint, light, height, random)
        tint += random.normal(0, 1.5)
    if random.random() < 0.18:
        scene = _cover(scene, random, light)
    return _expose(scene, random, outdoors=name not in ("garden", "paper"))


def _pose(random: Random, kind: str) -> Pose:
    """Somewhere near the middle, turned at will, seen a little from the side."""
    length = random.uniform(125, 235) * SIZES[kind]
    tilt = _turned(random.uniform(0, pi))
    matrix = tilt @ np.diag([1.0, random.uniform(0.66, 1.0)]) @ tilt.T
    matrix = matrix @ _turned(random.uniform(0, 2 * pi)) @ np.diag([length, -length])
    middle = np.array([WIDTH / 2, HEIGHT / 2]) + random.normal(0, 1, 2) * (28, 18)
    return Pose(middle, matrix, random.normal(0, 0.33 if kind == "willow" else 0.12))


def _apart(one: Pose, two: Pose, random: Random) -> list[Pose]:
    """Two leaves, smaller and side by side."""
    turn = random.uniform(0, 2 * pi)
    aside = np.array([cos(turn) * 72, sin(turn) * 50])
    return [
        replace(one, middle=one.middle - aside, matrix=one.matrix * 0.75),
        replace(two, middle=two.middle + aside, matrix=two.matrix * 0.75),
    ]


def _turned(angle: float) -> NDArray[np.float64]:
    return np.array([[cos(angle), -sin(angle)], [sin(angle), cos(angle)]])


def _lay(scene: Colours, leaf: Leaf, pose: Pose, tint: float, light: float, height: float, random: Random) -> Colours:
    """The leaf, with its shadow, on the scene."""
    blade = _filled(pose.place(leaf.outline)) * (1 - _holes(pose, random))
    stalk = _lines(pose, (leaf.stalk,))
    if height:
        scene = scene * (1 - _shadow(np.maximum(blade, stalk), light, height, random))
    stalk_colour = _tinted(np.full((1, 1), tint, np.float32)) * 0.75 + colour(0.08, 0.05, 0.0)
    scene = mixed(scene, stalk_colour * relief(blurred(stalk, 1.2), light, 1.2), stalk)
    return mixed(scene, _blade(leaf, pose, blade, tint, light, random), blade)


def _blade(leaf: Leaf, pose: Pose, blade: Plane, tint: float, light: float, random: Random) -> Colours:
    """The leaf's colours: tints that change towards rim and tip, veins, the light on its hills and valleys."""
    scale = pose.scale
    across, along = pose.local()
    inside = blurred(blade, scale * 0.07)
    place = tint + random.normal(0, 2.4) * (1 - inside) + random.normal(0, 0.7) * (along - 0.5)
    colours = _tinted(place + random.uniform(0.4, 2.6) * (noise(random, scale * 0.35, 5, 0.6) - 0.5))
    veins = _lines(pose, leaf.veins)
    pale = random.random() < 0.8
    vein_colours = colours * 0.6 + (colour(0.32, 0.31, 0.21) if pale else 0.0)
    colours = mixed(colours, vein_colours, veins * random.uniform(0.35, 0.85))
    if random.random() < 0.25:
        specks = noise(random, scale * random.uniform(0.015, 0.04), 1) * noise(random, scale * 0.3, 2)
        colours = mixed(colours, colour(0.27, 0.17, 0.09), np.clip((specks - random.uniform(0.45, 0.6)) * 9, 0, 0.85))
    puffed = noise(random, scale * 0.12, 2) * 0.17 - blurred(veins, max(1.2, scale * 0.014)) * 0.5
    curled = noise(random, scale * 0.5, 2)
    shade = relief(puffed, light, random.uniform(1.5, 4)) * relief(curled, light, random.uniform(6, 22))
    shade *= 1 + random.normal(0, 0.16) * np.tanh(across * 14)  # folded along the middle vein
    shade *= 1 - random.uniform(0, 0.35) * (1 - inside)
    return colours * shade + random.uniform(0, 0.3) * np.clip(curled - 0.62, 0, 1)


def _tinted(place: Plane) -> Colours:
    return np.take(SCALE, (place * SHADES).astype(np.int32), axis=1, mode="clip")


def _shadow(whole: Plane, light: float, height: float, random: Random) -> Plane:
    """Soft and far where the leaf is high, dark and close where it touches."""
    far = np.roll(whole, (round(sin(light) * -height), round(cos(light) * -height)), (0, 1))
    return random.uniform(0.3, 0.6) * blurred(far, 1 + height * 0.45) + 0.25 * blurred(whole, 3)


def _holes(pose: Pose, random: Random) -> Plane | float:
    """What a caterpillar left, in some leaves."""
    if random.random() > 0.2:
        return 0.0
    image = Image.new("L", (WIDTH * FINE, HEIGHT * FINE), 0)
    canvas = ImageDraw.Draw(image)
    for _ in range(int(random.integers(1, 6))):
        x, y = (pose.place(np.array([[random.normal(0, 0.2), random.uniform(0.1, 0.9)]]))[0] * FINE).tolist()
        wide = random.uniform(1.5, 6) * FINE
        high = wide * random.uniform(0.5, 1)
        canvas.ellipse((x - wide, y - high, x + wide, y + high), fill=255)
        canvas.ellipse((x, y - wide, x + high * 1.5, y), fill=255)
    return _reduced(image)


def _filled(points: Points) -> Plane:
    image = Image.new("L", (WIDTH * FINE, HEIGHT * FINE), 0)
    ImageDraw.Draw(image).polygon([(x, y) for x, y in (points * FINE).tolist()], fill=255)
    return _reduced(image)


def _lines(pose: Pose, veins: tuple[Vein, ...]) -> Plane:
    image = Image.new("L", (WIDTH * FINE, HEIGHT * FINE), 0)
    canvas = ImageDraw.Draw(image)
    for vein in veins:
        points = [(x, y) for x, y in (pose.place(vein.points) * FINE).tolist()]
        _tapered(canvas, points, vein.start * pose.scale * FINE, vein.end * pose.scale * FINE)
    return _reduced(image)


def _tapered(canvas: ImageDraw.ImageDraw, points: list[tuple[float, float]], start: float, end: float) -> None:
    """A line that thins out; thinner than a pixel is drawn as paler than a pixel."""
    for place in range(len(points) - 1):
        width = start + (end - start) * place / len(points)
        fill = int(255 * min(1.0, max(0.25, width)))
        canvas.line(points[place : place + 2], fill=fill, width=max(1, round(width)))


def _reduced(image: Image.Image) -> Plane:
    return np.asarray(image.reduce(FINE), np.float32) / 255


def _cover(scene: Colours, random: Random, light: float) -> Colours:
    """Something before the leaf: stalks of grass or twigs that cross the photo, in focus or not."""
    image = Image.new("L", (WIDTH * FINE, HEIGHT * FINE), 0)
    canvas = ImageDraw.Draw(image)
    for _ in range(int(random.integers(1, 4))):
        turn = random.uniform(0, 2 * pi)
        steps = turn + pi + np.linspace(0, random.normal(0, 0.5), 14)
        edge = np.array([WIDTH / 2 + cos(turn) * 240, HEIGHT / 2 + sin(turn) * 200]) + random.normal(0, 40, 2)
        line = edge + np.stack([np.cos(steps), np.sin(steps)], 1).cumsum(0) * random.uniform(14, 36)
        width = random.uniform(3, 9) * FINE
        _tapered(canvas, [(x, y) for x, y in (line * FINE).tolist()], width, width * 0.25)
    mask = blurred(_reduced(image), float(random.choice([0.5, 0.7, 3.0])))
    shaded = COVERS[random.integers(len(COVERS))] * relief(blurred(mask, 1.5), light, 1.0)
    scene = scene * (1 - 0.35 * blurred(np.roll(mask, (4, 3), (0, 1)), 3))
    return mixed(scene, shaded, mask)


def _expose(scene: Colours, random: Random, *, outdoors: bool) -> Image.Image:
    """Light and lens: a gradient, the shade of a tree, white balance, exposure, noise of the sensor, focus."""
    right, down = COLUMNS / WIDTH - 0.5, ROWS / HEIGHT - 0.5
    turn = random.uniform(0, 2 * pi)
    lit = 1 + random.uniform(0, 0.5) * (right * cos(turn) + down * sin(turn))
    lit -= random.uniform(0, 0.7) * (right**2 + down**2)
    if outdoors and random.random() < 0.35:
        lit *= 0.7 + 0.38 * blurred(np.clip((noise(random, 60, 2) - 0.4) * 4, 0, 1), 7)
    exposure = random.uniform(0.88, 1.2)
    balance = colour(1 + random.normal(0, 0.05), 1.0, 1 + random.normal(0, 0.07))
    picture = scene * (lit * exposure) * balance
    # Evenly spread noise looks like a sensor's and is drawn in a quarter of the time; its deviation is range / √12.
    picture += (random.random(picture.shape, np.float32) - 0.5) * (random.uniform(0.004, 0.024) * sqrt(12))
    gamma = random.uniform(0.8, 1.1)
    image = to_image(picture).point([round(255 * (value / 255) ** gamma) for value in range(256)] * 3)
    focus = random.random()
    if focus < 0.3:
        return image.filter(ImageFilter.GaussianBlur(random.uniform(0.5, 1.7)))
    return image.filter(ImageFilter.UnsharpMask(1.2, 60)) if focus < 0.6 else image
