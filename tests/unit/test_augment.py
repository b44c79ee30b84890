"""Changed copies: the right size, the same for the same draw, and never the photo's neighbour."""

import random

import pytest
import torch

from core.training.augment import augmented, centre, distinct_views, kept_view

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
