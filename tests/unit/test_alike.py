"""Copies are found, different pictures are not, however simple they are."""

import io
import time
from collections.abc import Callable
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps
from sklearn.datasets import load_digits

from core.data.alike import find_together, likeness
from core.data.facts import SIDE, Facts, measure
from core.data.image import open_photo
from core.data.report import Photo
from tests.unit.test_facts import scenery

Pictures = dict[str, Image.Image]


def jpeg(image: Image.Image, quality: int = 90) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


def facts_of(image: Image.Image, quality: int = 90) -> Facts:
    return measure(open_photo(jpeg(image, quality), SIDE))


@cache
def coloured(seed: int) -> Image.Image:
    return Image.merge("RGB", [scenery(seed=3 * seed + band).getchannel(0) for band in range(3)])


def together(facts: dict[str, Facts], sizes: dict[str, int] | None = None) -> tuple[tuple[str, ...], ...]:
    photos = [Photo(name, "a", None, name, (sizes or {}).get(name, 100), 100, 1) for name in facts]
    return find_together(photos, facts)


MANIPULATIONS: dict[str, Callable[[Image.Image], Facts]] = {
    "quality 30": lambda image: facts_of(image, 30),
    "quality 95": lambda image: facts_of(image, 95),
    "70 %": lambda image: facts_of(image.resize((280, 210), Image.Resampling.LANCZOS)),
    "50 %": lambda image: facts_of(image.resize((200, 150), Image.Resampling.LANCZOS)),
    "mirrored": lambda image: facts_of(ImageOps.mirror(image)),
    "brighter": lambda image: facts_of(ImageEnhance.Brightness(image).enhance(1.1)),
    "grey levels swapped for a darker copy": lambda image: facts_of(ImageEnhance.Brightness(image).enhance(0.85)),
}


@pytest.mark.parametrize("manipulation", MANIPULATIONS)
def test_a_copy_is_found_among_other_photos(manipulation):
    facts = {f"{seed}": facts_of(coloured(seed)) for seed in range(12)}
    for seed in (2, 7):
        facts[f"{seed} copy"] = MANIPULATIONS[manipulation](coloured(seed))
    assert together(facts) == (("2", "2 copy"), ("7", "7 copy"))


def test_equal_files_belong_together_even_where_they_are_blank():
    photos = [Photo(path, "a", None, "same", 10, 10, 1) for path in ("b.png", "a.png")]
    blank = facts_of(Image.new("RGB", (100, 100), "white"))
    assert find_together(photos, {"same": blank}) == (("a.png", "b.png"),)
    assert find_together(photos, {}) == (("a.png", "b.png"),)


def test_handwritten_digits_are_all_different():
    digits = load_digits()
    grey = [Image.fromarray((image * 15.9).astype(np.uint8)) for image in digits.images[:600]]
    facts = {f"{place:03}": facts_of(image.convert("RGB")) for place, image in enumerate(grey)}
    assert together(facts) == ()


def test_blank_and_nearly_dark_photos_are_not_taken_for_one_another():
    random = np.random.default_rng(0)
    noise = random.integers(0, 3, size=(20, 100, 100, 3), dtype=np.uint8)
    facts = {f"dark {place}": facts_of(Image.fromarray(one)) for place, one in enumerate(noise)}
    facts |= {f"white {level}": facts_of(Image.new("RGB", (100, 100), (level,) * 3)) for level in range(245, 256)}
    assert together(facts) == ()


def test_the_same_shape_in_another_colour_is_another_picture():
    shirts: Pictures = {}
    for name, colour in (("red", (180, 60, 60)), ("blue", (60, 90, 200)), ("green", (40, 118, 40))):
        shirts[name] = Image.new("RGB", (300, 300), "white")
        shirts[name].paste(colour, (60, 40, 220, 280))
        shirts[name].paste(colour, (30, 60, 270, 120))
    facts = {name: facts_of(shirt) for name, shirt in shirts.items()}
    assert together(facts) == ()
    facts["red again"] = facts_of(shirts["red"], 60)
    assert together(facts) == (("red", "red again"),)


def test_regular_patterns_are_found_again_and_told_apart():
    stripes: Pictures = {}
    for width in (30, 36, 44, 60):
        band = np.where(np.arange(300) // width % 2 == 0, 220, 60).astype(np.uint8)
        stripes[f"{width}"] = Image.fromarray(np.repeat(band[:, None], 300, 1)).convert("RGB")
    facts = {name: facts_of(image) for name, image in stripes.items()}
    facts["44 again"] = facts_of(stripes["44"].resize((210, 210)), 50)
    assert together(facts) == (("44", "44 again"),)


def test_a_film_that_moves_on_is_no_chain_from_its_first_frame_to_its_last():
    wide = coloured(1).resize((1600, 1200))
    frames = {f"{number:02}": facts_of(wide.crop((number * 8, 0, number * 8 + 800, 1200))) for number in range(60)}
    groups = together(frames)
    assert any(len(group) > 1 for group in groups)  # neighbours are nearly the same
    assert max(len(group) for group in groups) < len(frames) / 2
    for group in groups:
        largest = frames[group[0]]
        assert (
            min(max(likeness(largest, frames[name]), likeness(frames[group[-1]], frames[name])) for name in group)
            > 0.97
        )
    assert likeness(frames["00"], frames["59"]) < 0.9
    assert all(likeness(frames[one], frames[other]) > 0.97 for one, other in pairwise(sorted(frames)))


def test_a_camera_that_stands_still_gives_one_group():
    random = np.random.default_rng(0)
    scene = np.asarray(coloured(1)).astype(np.int16)
    frames = {
        f"{number:02}": facts_of(
            Image.fromarray(np.clip(scene + random.normal(0, 4, scene.shape), 0, 255).astype(np.uint8))
        )
        for number in range(20)
    }
    assert together(frames) == (tuple(sorted(frames)),)


def test_the_order_of_the_photos_does_not_matter():
    facts = {f"{seed}": facts_of(coloured(seed)) for seed in range(6)}
    facts["3 copy"] = MANIPULATIONS["mirrored"](coloured(3))
    backwards = dict(reversed(facts.items()))
    assert together(facts, {"3": 400}) == together(backwards, {"3": 400}) == (("3", "3 copy"),)


def test_ten_thousand_photos_take_a_moment():
    random = np.random.default_rng(0)
    one = facts_of(coloured(0))
    looks = random.integers(0, 2**63, size=(2, 10_000), dtype=np.uint64)
    facts = {}
    for place, (look, mirrored) in enumerate(looks.T.tolist()):
        facts[f"{place}"] = Facts(**{**one.__dict__, "look": f"{look:016x}", "mirrored": f"{mirrored:016x}"})
    begun = time.process_time()
    assert together(facts) == ()
    assert time.process_time() - begun < 2  # 50,000 took 3 s on a busy machine; every pair in Python would take minutes
