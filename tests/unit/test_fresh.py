"""Rows computed when they are asked for are those that would have been kept."""

from pathlib import Path

import numpy as np
import pytest
import torch

from core.data.pixels import square
from core.data.report import Sample
from core.data.scan import scan
from core.errors import DataError
from core.models.build import build
from core.training.fresh import BATCH, Fresh
from core.training.frozen import FrozenPart
from core.training.kept import Recipe
from tests.photos import make_folder

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> tuple[Path, list[Sample]]:
    root = make_folder(tmp_path_factory.mktemp("photos"), per_class=12)
    return root, [Sample(photo.path, 0, photo.sha256) for photo in scan(root).photos]


@pytest.fixture(scope="module")
def network():
    return build("mnasnet0_5", 3, weights=None).eval()


def fresh(network, photos, cache, boundary: int, view: int = 0) -> Fresh:
    recipe = Recipe("w", boundary, "flip", 2, features=False, activations=True, exact=True)
    return Fresh(FrozenPart(network, recipe, CPU, cache), photos[1], photos[0], view)


def test_squares_are_decoded_anew_in_the_order_asked_for(network, photos, tmp_path):
    made = fresh(network, photos, tmp_path, 0)
    look = network.backbone.preprocessing
    chosen = np.array([7, 0, 7, 30])
    wanted = [square(photos[0] / photos[1][i].path, look.resize, look.interpolation) for i in chosen]
    assert len(made) == len(photos[1]) == 36
    assert np.array_equal(made[chosen], np.stack(wanted))
    assert made[chosen].dtype == np.uint8
    assert list(tmp_path.iterdir()) == []


def test_activations_of_more_than_a_batch_are_the_plain_network_s_whatever_is_asked_for_with_them(
    network, photos, tmp_path
):
    made = fresh(network, photos, tmp_path, 3, view=1)
    rows = made[:]
    assert rows.dtype == np.float16
    assert len(rows) > BATCH
    assert rows.shape[1:] == network.backbone.stages[2].output_shape
    order = np.array([35, 2, 11])
    np.testing.assert_allclose(made[order], rows[order], rtol=1e-2, atol=1e-3)
    np.testing.assert_allclose(made[1:3], rows[1:3], rtol=1e-2, atol=1e-3)
    look = network.backbone.preprocessing
    pixels = square(photos[0] / photos[1][2].path, look.resize, look.interpolation)
    edge = (look.resize - look.crop) // 2
    cut = pixels[edge : edge + look.crop, edge : edge + look.crop][:, ::-1].copy()  # view 1 is the mirror image
    x = (torch.from_numpy(cut).float() / 255 - torch.tensor(look.mean)) / torch.tensor(look.std)
    with torch.inference_mode():
        wanted = network.run_stages(x.permute(2, 0, 1)[None], last=3)[0]
    np.testing.assert_allclose(rows[2].astype(np.float32), wanted.numpy(), rtol=1e-2, atol=1e-3)


def test_nothing_asked_for_gives_nothing(network, photos, tmp_path):
    assert fresh(network, photos, tmp_path, 0)[np.array([], np.int64)].shape[0] == 0


def test_a_photo_that_is_gone_is_named(network, photos, tmp_path):
    lost = photos[0], [*photos[1][:2], Sample("gone.jpg", 0, "00" * 32)]
    with pytest.raises(DataError, match=r"gone\.jpg"):
        fresh(network, lost, tmp_path, 0)[:]
