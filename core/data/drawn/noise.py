"""Textures from random numbers: the roughness of everything that is drawn."""

from math import cos, sin
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

# Always float32: twice as fast as float64.
Plane = NDArray[np.floating[Any]]  # (height, width), mostly in [0, 1]
Colours = NDArray[
    np.floating[Any]
]  # (3, height, width) sRGB in [0, 1]: planes, so that light falls on all three at once
WIDTH, HEIGHT = 320, 240  # pixels of a demo photo
ROWS, COLUMNS = (grid.astype(np.float32) for grid in np.mgrid[0:HEIGHT, 0:WIDTH])


def noise(random: np.random.Generator, cell: float, octaves: int = 4, gain: float = 0.5, stretch: float = 1.0) -> Plane:
    """Fractal noise in [0, 1]: the coarsest detail is ``cell`` pixels high and ``stretch`` times as wide.

    Source: value noise summed over octaves, each of half the size and ``gain`` of the strength of the one before.
    """
    total = np.zeros((HEIGHT, WIDTH), np.float32)
    strength, weight = 1.0, 0.0
    for _ in range(octaves):
        rows, columns = int(HEIGHT / cell) + 2, int(WIDTH / (cell * stretch)) + 2
        grid = Image.fromarray(random.random((rows, columns), np.float32))
        shift = random.random(2)
        box = (shift[0], shift[1], shift[0] + WIDTH / (cell * stretch), shift[1] + HEIGHT / cell)
        total += strength * np.asarray(grid.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC, box=box))
        weight += strength
        strength *= gain
        cell = max(1.0, cell / 2)
    # More contrast without ever being cut off: a hard edge in a height would be seen as a line.
    return 0.5 + 0.5 * np.tanh(3.2 * (total / weight - 0.5))


def blurred(plane: Plane, radius: float) -> Plane:
    """The same plane out of focus; ``radius`` in pixels. What is very soft is worked out on a smaller plane."""
    image = Image.fromarray((np.clip(plane, 0, 1) * 255).astype(np.uint8))
    smaller = 4 if radius > 6 else 2 if radius > 2.5 else 1
    if smaller > 1:
        soft = image.reduce(smaller).filter(ImageFilter.GaussianBlur(radius / smaller))
        return np.asarray(soft.resize(image.size, Image.Resampling.BILINEAR), np.float32) / 255
    return np.asarray(image.filter(ImageFilter.GaussianBlur(radius)), np.float32) / 255


def relief(height: Plane, light: float, depth: float) -> Plane:
    """How much light a surface of this height gets: 1 where it is flat. ``light`` is the direction in radians."""
    right, down = np.gradient(height, axis=1), np.gradient(height, axis=0)
    return np.clip(1 - (depth * cos(light)) * right - (depth * sin(light)) * down, 0.25, 1.9)


def colour(red: float, green: float, blue: float) -> Colours:
    """One colour, ready to be spread over a photo."""
    return np.array([[[red]], [[green]], [[blue]]], np.float32)


def mixed(low: Colours, high: Colours, share: Plane) -> Colours:
    """From one colour (or picture) to another, pixel by pixel."""
    return low + (high - low) * share


def from_image(image: Image.Image) -> Colours:
    return np.ascontiguousarray(np.asarray(image, np.float32).transpose(2, 0, 1)) / 255


def to_image(colours: Colours) -> Image.Image:
    pixels = np.clip(colours * 255, 0, 255).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
