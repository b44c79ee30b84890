"""Changed copies: the right size, the same for the same draw, and never the photo's neighbour."""

import random

import pytest
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as V

from core.training.augment import _random_box, augmented, centre, distinct_views, kept_view

SQUARES = torch.randint(0, 256, (3, 3, 40, 40), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
HASHES = ["aa", "bb", "cc"]


def draws() -> list[random.Random]:
    return [random.Random(seed) for seed in range(len(SQUARES))]


@pytest.mark.parametrize("kind", ["none", "flip", "standard"])
def test_every_kind_gives_crops_of_bytes_that_depend_on_the_draw_alone(kind):
    first, second = augmented(SQUARES, 32, kind, draws()), augmented(SQUARES, 32, kind, draws())
    assert (first.shape, first.dtype) == ((3, 3, 32, 32), torch.uint8)
    assert torch.equal(first, second)


def test_the_centre_is_the_middle_by_hand():
    assert torch.equal(centre(SQUARES, 32), SQUARES[:, :, 4:36, 4:36])


def test_a_flip_is_the_mirror_image_or_the_photo_itself():
    middle = SQUARES[:, :, 4:36, 4:36]
    mirror = middle[:, :, :, range(31, -1, -1)]
    for photo, plain, turned in zip(augmented(SQUARES, 32, "flip", draws()), middle, mirror, strict=True):
        assert torch.equal(photo, plain) or torch.equal(photo, turned)
    assert torch.equal(kept_view(SQUARES, 32, "flip", HASHES, 1), mirror)


def test_view_0_is_always_the_plain_centre():
    for kind in ("none", "flip", "standard"):
        assert torch.equal(kept_view(SQUARES, 32, kind, HASHES, 0), centre(SQUARES, 32))


def test_a_kept_view_belongs_to_the_photo_wherever_it_stands_in_the_batch():
    whole = kept_view(SQUARES, 32, "standard", HASHES, 2)
    alone = kept_view(SQUARES[1:2], 32, "standard", HASHES[1:2], 2)
    assert torch.equal(whole[1:2], alone)
    assert not torch.equal(kept_view(SQUARES, 32, "standard", HASHES, 3), whole)


def test_views_that_would_be_equal_are_not_kept_twice():
    assert [distinct_views(kind, 4) for kind in ("none", "flip", "standard")] == [1, 2, 4]


def photos(side: int) -> torch.Tensor:
    """Waves of colour with a little noise: neither flat nor so rough that every rounding shows."""
    generator = torch.Generator().manual_seed(6)
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    waves = [128 + 100 * torch.sin((x * (i + 1) + y * (c + 2)) / 17 + c) for i in range(8) for c in range(3)]
    noise = torch.randint(-12, 13, (24, side, side), generator=generator)
    return (torch.stack(waves) + noise).clamp(0, 255).to(torch.uint8).view(8, 3, side, side)


def by_torchvision(photo: torch.Tensor, crop: int, draw: random.Random) -> torch.Tensor:
    """One photo through torchvision's own steps, with the numbers that the draw gives in the order they are drawn."""
    top, left, height, width = _random_box(photo.shape[-1], draw)
    mirror = draw.random() < 0.5
    brightness, contrast, saturation = (draw.uniform(0.8, 1.2) for _ in range(3))
    x = photo.float() / 255
    x = V.resized_crop(x, top, left, height, width, [crop, crop], InterpolationMode.BILINEAR, antialias=False)
    x = V.horizontal_flip(x) if mirror else x
    x = V.adjust_saturation(V.adjust_contrast(V.adjust_brightness(x, brightness), contrast), saturation)
    return x * 255


def test_the_standard_kind_is_torchvisions_steps_photo_by_photo():
    """But for the outermost pixels, which see their neighbours beyond the cut instead of the cut's edge twice."""
    squares = photos(96)
    ours = augmented(squares, 80, "standard", [random.Random(seed) for seed in range(8)])
    mirrored = 0
    for place in range(8):
        theirs = by_torchvision(squares[place], 80, random.Random(place))
        inside = (ours[place].float() - theirs)[:, 2:-2, 2:-2]
        assert float(inside.abs().max()) <= 2
        mirrored += float((ours[place].flip(-1).float() - theirs).abs().mean()) < 2
    assert mirrored == 0  # the test would notice a mirror on the wrong side


def test_boxes_are_half_to_all_of_the_area_and_hardly_longer_than_wide():
    boxes = [_random_box(200, random.Random(seed)) for seed in range(500)]
    assert all(0 <= top <= 200 - height and 0 <= left <= 200 - width for top, left, height, width in boxes)
    shares = [height * width / 200**2 for _, _, height, width in boxes]
    sides = [width / height for _, _, height, width in boxes]
    assert 0.43 < min(shares) < 0.55  # a long box as large as the photo is cut off at its edges
    assert 0.95 < max(shares) <= 1
    assert 0.73 < min(sides) < 0.8
    assert 1.25 < max(sides) < 1.37
