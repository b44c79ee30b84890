"""Heat on a photo: where the network's square lies in it, and colours that everyone can read."""

import numpy as np
import pytest
import torch
from PIL import Image

from core.data.pixels import centre, square
from core.inference import heat
from core.models.registry import Preprocessing

WANTED = Preprocessing(256, 224, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "bilinear")


def white_inside(width: int, height: int, box: tuple[int, int, int, int]) -> Image.Image:
    photo = Image.new("RGB", (width, height), "black")
    photo.paste("white", box)
    return photo


@pytest.mark.parametrize(("width", "height"), [(800, 512), (512, 800), (512, 512)])
def test_the_box_is_what_the_network_sees(width, height, tmp_path):
    left, top, right, bottom = heat.seen(width, height, WANTED)
    assert (right - left, bottom - top) == (448, 448)
    box = (round(left), round(top), round(right), round(bottom))
    path = tmp_path / "photo.png"
    white_inside(width, height, box).save(path)
    seen = centre(square(path, 256, "bilinear"), 224)
    assert seen[1:-1, 1:-1].min() > 250
    assert seen.min() > 128  # the filter mixes in a little of what lies outside
    smaller = (box[0] + 8, box[1] + 8, box[2] - 8, box[3] - 8)  # 8 pixels of the photo are 4 of the network's
    white_inside(width, height, smaller).save(path)
    seen = centre(square(path, 256, "bilinear"), 224)
    assert seen[4:-4, 4:-4].min() > 120
    assert max(seen[:3].max(), seen[-3:].max(), seen[:, :3].max(), seen[:, -3:].max()) < 5


def test_heat_is_spread_as_torch_would():
    values = np.random.default_rng(0).random((7, 5)).astype(np.float32)
    wanted = torch.nn.functional.interpolate(torch.from_numpy(values)[None, None], size=(210, 160), mode="bilinear")
    assert np.allclose(heat.spread(values, 160, 210), wanted[0, 0].numpy(), atol=1e-4)


def test_heat_colours_the_box_and_the_rest_is_dim_and_grey():
    photo = Image.new("RGB", (80, 40), (200, 100, 50))
    values = np.zeros((2, 2), np.float32)
    values[0, 0] = 1.0
    drawn = np.asarray(heat.on_photo(photo, values, (20, 0, 60, 40), 1.0))
    grey = int(np.asarray(photo.convert("L"))[0, 0])
    assert (drawn[:, :20] == round(grey * heat.UNSEEN)).all()
    assert (drawn[:, 60:] == round(grey * heat.UNSEEN)).all()
    assert (drawn[35, 55] == grey).all()  # inside, where nothing speaks
    assert tuple(drawn[2, 22]) == (0xFC, 0xFF, 0xA4)  # where all of it does


def test_without_opacity_the_heat_is_not_there():
    pixels = np.random.default_rng(1).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    hot = np.ones((3, 3), np.float32)
    grey = np.asarray(Image.fromarray(pixels).convert("L"))
    assert (heat.painted(pixels, hot, 0.0) == grey[..., None]).all()
    assert not (heat.painted(pixels, hot, 0.5) == grey[..., None]).all()


def test_hotter_is_lighter_all_the_way_so_that_no_one_needs_to_see_the_hue():
    row = np.asarray(heat.scale(256, 2).convert("L"), dtype=int)[0]
    assert (np.diff(row) >= 0).all()
    assert row[-1] - row[0] > 180
