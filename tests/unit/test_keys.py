"""Keys of kept rows are found without torch, and never change: rows that are kept already would be lost."""

from dataclasses import replace
from pathlib import Path

from core.models.registry import backbone
from core.training.keys import Recipe, key, plain_features, store

LITE0 = backbone("efficientnet_lite0")
PLAIN = plain_features(LITE0, LITE0.weights.sha256)


def test_keys_are_those_that_rows_were_first_kept_under() -> None:
    assert key(LITE0, PLAIN, "cpu", "features", 0) == "efficientnet_lite0-features-4f2ad43acc10"
    assert key(LITE0, PLAIN, "cpu", "mix", 0) == "efficientnet_lite0-mix-c2ee53df3fce"


def test_each_thing_that_a_value_depends_on_has_a_key_of_its_own() -> None:
    recipe = Recipe("00", 3, "plain", 4, features=True, activations=True)
    keys = [
        key(LITE0, recipe, "cpu", "features", 0),
        key(LITE0, recipe, "cuda", "features", 0),
        key(LITE0, recipe, "cpu", "features", 1),
        key(LITE0, replace(recipe, exact=True), "cpu", "features", 0),
        key(LITE0, replace(recipe, weights_sha256="01"), "cpu", "features", 0),
        key(LITE0, recipe, "cpu", "activations", 0),
        key(LITE0, replace(recipe, frozen_stages=4), "cpu", "activations", 0),
        key(LITE0, replace(recipe, frozen_stages=0), "cpu", "activations", 0),
    ]
    assert len(set(keys)) == len(keys)
    # The first view of features is the photo as it is, whatever is done to the others.
    assert key(LITE0, replace(recipe, augment="none", frozen_stages=5), "cpu", "features", 0) == keys[0]


def test_a_row_has_the_shape_of_its_stage(tmp_path: Path) -> None:
    assert store(tmp_path, LITE0, PLAIN, "cpu", "features", 0).shape == (1280,)
    squares = store(tmp_path, LITE0, replace(PLAIN, frozen_stages=0), "cpu", "activations", 0)
    assert (squares.shape, squares.dtype.name) == ((256, 256, 3), "uint8")
