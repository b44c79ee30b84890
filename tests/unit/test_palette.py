"""The colours: readable for everyone, the same in every place that repeats them."""

import itertools
import math
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from pages.parts.palette import DARK, LIGHT, Theme, swaps

PROJECT = Path(__file__).parent.parent.parent
THEMES = pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
TEXT, MARK = 4.5, 3.0  # Source: WCAG 2.2, success criteria 1.4.3 and 1.4.11
# A difference of about 2.3 is just noticeable (Mahy 1994); thin lines and small dots need several times that.
APART = 15.0

# What colour-blind people see, in linear RGB. Source: Machado, Oliveira, Fernandes 2009, table 1, severity 1.0.
VISION = {
    "all colours": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
}


def linear(colour: str) -> tuple[float, ...]:
    """sRGB to linear light. Source: IEC 61966-2-1."""
    parts = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return tuple(part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)


def luminance(colour: str) -> float:
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear(colour), strict=True))


def contrast(one: str, other: str) -> float:
    """Source: WCAG 2.2, definition of contrast ratio."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def lab(colour: str, sight: str) -> tuple[float, float, float]:
    """CIELAB (D65) of ``colour`` as it is seen. Source: CIE 15:2004."""
    light = linear(colour)
    seen = (sum(weight * part for weight, part in zip(row, light, strict=True)) for row in VISION[sight])
    red, green, blue = (min(1.0, max(0.0, part)) for part in seen)
    x = (0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.9505
    y = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    z = (0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.089

    def curve(value: float) -> float:
        return value ** (1 / 3) if value > 0.008856 else 7.787 * value + 16 / 116

    return 116 * curve(y) - 16, 500 * (curve(x) - curve(y)), 200 * (curve(y) - curve(z))


def mixed(one: str, other: str, share: float) -> str:
    pairs = ((int(one[at : at + 2], 16), int(other[at : at + 2], 16)) for at in (1, 3, 5))
    return "#" + "".join(f"{round(a + (b - a) * share):02X}" for a, b in pairs)


@THEMES
@pytest.mark.parametrize("role", ["ink", "muted", "link", "accent", "train", "validation", "right", "wrong"])
@pytest.mark.parametrize("ground", ["background", "surface"])
def test_text_can_be_read_on_the_page_and_on_cards(theme, role, ground):
    assert contrast(getattr(theme, role), getattr(theme, ground)) >= TEXT


@THEMES
def test_text_can_be_read_on_fills_and_buttons(theme):
    assert contrast("#FFFFFF", theme.primary) >= TEXT
    assert contrast(theme.frozen_text, theme.frozen_fill) >= TEXT
    assert contrast(theme.trainable_text, theme.trainable_fill) >= TEXT


@THEMES
def test_marks_stand_out_from_what_they_lie_on(theme):
    for colour in (*theme.series, theme.frozen, theme.trainable, theme.primary):
        assert contrast(colour, theme.background) >= MARK, colour
    assert contrast(theme.frozen, theme.frozen_fill) >= MARK
    assert contrast(theme.trainable, theme.trainable_fill) >= MARK


@THEMES
@pytest.mark.parametrize("sight", VISION)
def test_series_stay_apart_for_every_kind_of_sight(theme, sight):
    distances = {
        (one, other): math.dist(lab(one, sight), lab(other, sight))
        for one, other in itertools.combinations(theme.series, 2)
    }
    assert min(distances.values()) >= APART, min(distances, key=lambda pair: distances[pair])


@THEMES
@pytest.mark.parametrize("sight", VISION)
@pytest.mark.parametrize("pair", [("train", "validation"), ("frozen", "trainable"), ("right", "wrong")])
def test_opposites_stay_apart_for_every_kind_of_sight(theme, sight, pair):
    one, other = (lab(getattr(theme, role), sight) for role in pair)
    assert math.dist(one, other) >= APART


@THEMES
def test_counts_can_be_read_on_every_shade_of_the_matrix(theme):
    low, half, high = theme.matrix
    for step in range(201):
        share = step / 200
        cell = mixed(low, half, share * 2) if share < 0.5 else mixed(half, high, share * 2 - 1)
        assert contrast(theme.matrix_text[share >= 0.5], cell) >= TEXT, share


def test_the_matrix_grows_steadily_darker_by_day_and_lighter_by_night():
    day, night = ([luminance(shade) for shade in theme.matrix] for theme in (LIGHT, DARK))
    assert day == sorted(day, reverse=True)
    assert night == sorted(night)


def test_every_light_colour_has_one_dark_partner():
    pairs = swaps()
    for field in fields(Theme):
        light, dark = getattr(LIGHT, field.name), getattr(DARK, field.name)
        for ours, theirs in zip(*([x] if isinstance(x, str) else x for x in (light, dark)), strict=True):
            assert pairs[ours] == theirs


@pytest.mark.parametrize(("section", "theme"), [("light", LIGHT), ("dark", DARK)])
def test_streamlits_theme_repeats_the_palette(section, theme):
    told = tomllib.loads((PROJECT / ".streamlit" / "config.toml").read_text("utf-8"))["theme"][section]
    same = {
        "primaryColor": theme.primary,
        "backgroundColor": theme.background,
        "secondaryBackgroundColor": theme.surface,
        "textColor": theme.ink,
        "linkColor": theme.link,
        "borderColor": theme.line,
        "greenColor": theme.accent,
        "orangeColor": theme.trainable,
        "orangeBackgroundColor": theme.trainable_fill,
        "orangeTextColor": theme.trainable_text,
        "blueColor": theme.frozen,
        "blueBackgroundColor": theme.frozen_fill,
        "blueTextColor": theme.frozen_text,
        "redColor": theme.wrong,
        "grayTextColor": theme.muted,
        "chartCategoricalColors": list(theme.series),
    }
    assert {name: told[name] for name in same} == same
    shades = told["chartSequentialColors"]
    assert (shades[0], shades[-1], len(shades)) == (theme.matrix[0], theme.matrix[2], 10)


@pytest.mark.parametrize("section", ["light", "dark"])
@pytest.mark.parametrize("family", ["green", "orange", "yellow", "blue", "red", "violet", "gray"])
def test_messages_and_badges_can_be_read(section, family):
    told = tomllib.loads((PROJECT / ".streamlit" / "config.toml").read_text("utf-8"))["theme"][section]
    assert contrast(told[f"{family}TextColor"], told[f"{family}BackgroundColor"]) >= TEXT
    for ground in ("backgroundColor", "secondaryBackgroundColor"):
        assert contrast(told[f"{family}TextColor"], told[ground]) >= TEXT
