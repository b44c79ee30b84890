"""The network's picture: what the browser is told to draw, and what it may answer."""

import pytest

from core.models import registry
from pages.parts import network
from pages.parts.network import caption, grid, picture, short

STAGES = [("conv", 900, (64, 56, 56)), ("middle", 1824, (56, 56, 96)), ("top", 14_175_744, (1280,))]


@pytest.mark.parametrize(
    ("shape", "read"),
    [
        ((64, 56, 48 + 8), (56, 64)),  # channels, rows, columns
        ((56, 56, 96), (56, 96)),  # Swin's: rows, columns, channels
        ((7, 7, 7), (7, 7)),
        ((197, 768), (14, 768)),  # ViT's: 14 × 14 places and the class token
        ((1280,), (None, 1280)),
    ],
)
def test_places_and_numbers_are_read_from_every_kind_of_shape(shape, read):
    assert grid(shape) == read


@pytest.mark.parametrize("backbone", registry.backbones(), ids=lambda one: one.name)
def test_every_backbone_narrows_from_the_photo_to_the_head(backbone):
    read = [grid(stage.output_shape) for stage in backbone.stages]
    places = [resolution or 1 for resolution, _ in read]
    assert places == sorted(places, reverse=True)
    assert all(1 <= resolution <= backbone.preprocessing.crop / 2 for resolution in places)
    assert all(numbers >= 8 for _, numbers in read)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        (0, "0"),
        (999, "999"),
        (1_000, "1.0 k"),
        (9_949, "9.9 k"),
        (9_950, "10 k"),
        (447_000, "447 k"),
        (14_175_744, "14 M"),
    ],
)
def test_parameters_are_said_shortly(parameters, said):
    assert short(parameters) == said


@pytest.mark.parametrize(
    ("frozen", "copied", "said"),
    [
        (3, 3, "Global transfer, head only: all 3 stages are copied and stay frozen, and only the head trains. "
               "The fastest choice, and the safest with few photos."),
        (2, 3, "Semi-global transfer. Copied: all 3 stages; frozen: 2. The last stage and the head train."),
        (1, 3, "Semi-global transfer. Copied: all 3 stages; frozen: 1. The last 2 stages and the head train."),
        (0, 3, "Global transfer, everything fine-tuned: all 3 stages are copied, and all of them train with the head. "
               "The slowest choice, and it needs many photos."),
        (0, 1, "Local transfer. Copied: 1 of 3 stages; frozen: 0. The last 2 stages and the head start from noise."),
        (1, 2, "Local transfer. Copied: 2 of 3 stages; frozen: 1. The last stage and the head start from noise."),
        (0, 0, "From scratch: nothing is copied. All 3 stages and the head start from noise."),
    ],
)  # fmt: skip
def test_each_scope_has_its_sentence(frozen, copied, said):
    assert caption(3, frozen, copied) == said
    assert picture(STAGES, frozen, True, None, copied)["captions"][frozen] == said


def test_where_the_cut_goes_beyond_what_is_copied_it_takes_it_along():
    captions = picture(STAGES, 0, True, None, 1)["captions"]
    assert captions == [caption(3, 0, 1), caption(3, 1, 1), caption(3, 2, 2), caption(3, 3, 3)]


@pytest.mark.parametrize(("frozen", "copied", "drawn"), [(2, 1, 2), (1, 2, 2), (0, None, 3), (0, 99, 3), (0, -1, 0)])
def test_a_frozen_stage_is_always_a_copied_one(frozen, copied, drawn):
    assert picture(STAGES, frozen, True, None, copied)["copied"] == drawn


def test_a_stage_tells_its_size_in_words():
    told = [stage["told"] for stage in picture(STAGES, 0, False, 2)["stages"]]
    assert told == [
        "conv: 900 parameters; gives 56 × 56 places with 64 numbers each",
        "middle: 1,824 parameters; gives 56 × 56 places with 96 numbers each",
        "top: 14,175,744 parameters; gives 1,280 numbers",
    ]


def test_the_head_says_how_many_classes_it_has():
    assert picture(STAGES, 0, False, 1)["words"]["classes"] == "1 class"
    assert picture(STAGES, 0, False, 5)["words"]["classes"] == "5 classes"
    assert picture(STAGES, 0, False, None)["words"]["classes"] == "your classes"


@pytest.mark.parametrize(("asked", "drawn"), [(-1, 0), (0, 0), (3, 3), (99, 3)])
def test_a_depth_outside_the_network_is_drawn_at_its_end(asked, drawn):
    assert picture(STAGES, asked, True, None)["frozen"] == drawn


@pytest.mark.parametrize(
    ("told", "depth"),
    [
        (0, 0),
        (3, 3),
        (2.0, 2),
        (4, None),
        (-1, None),
        (1.5, None),
        ("2", None),
        (True, None),
        (None, None),
        ([2], None),
    ],
)
def test_only_a_depth_of_this_network_is_taken_from_the_browser(told, depth):
    assert network._depth(told, 3) == depth
