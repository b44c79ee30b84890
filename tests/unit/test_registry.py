"""The table of backbones says what the architectures and torchvision's own metadata say."""

import json
import re

import pytest
import torch
from torchvision import models

from core import words
from core.errors import ModelError
from core.models import registry, table
from core.models.registry import Preprocessing, backbone, backbones

# One of each family, small where there is a choice.
ONE_OF_EACH = (
    "alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "efficientnet_lite0", "efficientnet_v2_s",
    "googlenet", "inception_v3", "maxvit_t", "mnasnet0_5", "mobilenet_v2", "mobilenet_v3_small", "regnet_y_400mf",
    "resnet18", "resnext50_32x4d", "shufflenet_v2_x0_5", "squeezenet1_1", "swin_t", "swin_v2_t", "vgg11_bn",
    "vgg16_without_top", "vit_b_32", "wide_resnet50_2",
)  # fmt: skip
TORCHVISION = models.list_models(module=models)
INCEPTIONS_SIDE_HEAD = 3_326_696  # counted by hand: 768·128 + 2·128 + 128·768·25 + 2·768 + 768·1000 + 1000


def test_every_classification_network_of_torchvision_the_lite_family_and_a_vgg_without_its_top_are_listed():
    assert {row.name for row in backbones()} == {
        *TORCHVISION,
        "efficientnet_lite0",
        "efficientnet_lite1",
        "efficientnet_lite2",
        "vgg16_without_top",
    }


def test_the_tested_members_stand_for_every_family():
    assert {backbone(name).family for name in ONE_OF_EACH} == {row.family for row in backbones()}


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_a_row_made_anew_is_the_row_in_the_file(name):
    assert json.loads(json.dumps(table.row(name).to_json())) == json.loads(json.dumps(backbone(name).to_json()))


@pytest.mark.parametrize("name", TORCHVISION)
def test_the_parameters_of_all_stages_and_the_published_head_add_up_to_torchvisions_count(name):
    row = backbone(name)
    bias = 0 if name == "maxvit_t" else 1
    head = (row.feature_width + bias) * 1000
    side_head = INCEPTIONS_SIDE_HEAD if name == "inception_v3" else 0
    published = models.get_model_weights(name)[row.weights.name].meta["num_params"]
    assert sum(stage.parameters for stage in row.stages) + head + side_head == published == row.parameters


def test_vgg_without_its_top_is_vgg_less_its_three_large_layers():
    whole, convolutions = backbone("vgg16"), backbone("vgg16_without_top")
    top = (25_088 + 1) * 4096 + (4096 + 1) * 4096 + (4096 + 1) * 1000
    assert whole.parameters - convolutions.parameters == top
    assert sum(stage.parameters for stage in convolutions.stages) == convolutions.parameters
    assert convolutions.stages[:4] == whole.stages[:4]
    assert convolutions.feature_width == 512 * 7 * 7
    multiply_adds = (25_088 * 4096 + 4096 * 4096 + 4096 * 1000) / 1e9
    assert whole.gflops - convolutions.gflops == pytest.approx(multiply_adds, abs=0.01)
    assert (convolutions.weights, convolutions.preprocessing) == (whole.weights, whole.preprocessing)


@pytest.mark.parametrize("name", [name for name in TORCHVISION if name not in ("googlenet", "inception_v3")])
def test_preprocessing_gives_what_torchvisions_own_gives(name):
    """On a square photo of the right size only colours are left to do."""
    row = backbone(name)
    wanted = models.get_model_weights(name)[row.weights.name].transforms()
    ours = row.preprocessing
    assert (ours.resize, ours.crop, ours.interpolation) == (
        wanted.resize_size[0], wanted.crop_size[0], wanted.interpolation.value,
    )  # fmt: skip
    photo = torch.rand(3, ours.crop, ours.crop, generator=torch.Generator().manual_seed(0))
    wanted.resize_size = [ours.crop]
    torch.testing.assert_close(normalised(photo, ours), wanted(photo))


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_preprocessing_of_googles_networks_includes_what_torchvision_hides_in_them(name):
    settings = {"transform_input": True, "aux_logits": False, "init_weights": False}
    with torch.device("meta"):
        network = models.get_model(name, weights=None, **settings)
    transforms = models.get_model_weights(name).IMAGENET1K_V1.transforms()
    ours = backbone(name).preprocessing
    photo = torch.rand(1, 3, ours.crop, ours.crop, generator=torch.Generator().manual_seed(0))
    transforms.resize_size = [ours.crop]
    torch.testing.assert_close(normalised(photo, ours), network._transform_input(transforms(photo)), rtol=0, atol=2e-6)


def test_featured_ones_come_first_and_those_that_need_no_download_before_all():
    names = [row.name for row in backbones()]
    assert tuple(names[: len(registry.FEATURED)]) == registry.FEATURED
    assert [row.weights.package is not None for row in backbones()[:4]] == [True, True, True, False]


def test_networks_have_four_to_eight_stages_that_end_in_a_flat_vector():
    for row in backbones():
        assert 4 <= len(row.stages) <= 8, row.name
        assert row.stages[-1].output_shape == (row.feature_width,), row.name
        assert all(len(stage.output_shape) > 1 for stage in row.stages[:-1]), row.name


def test_stages_and_titles_have_names_of_their_own():
    for row in backbones():
        assert len({stage.name for stage in row.stages}) == len(row.stages), row.name
    assert len({row.title for row in backbones()}) == len(backbones())


def test_titles_are_written_as_in_the_papers():
    titles = {
        name: backbone(name).title for name in ("resnet50", "vit_b_16", "regnet_x_1_6gf", "resnext50_32x4d", "vgg16_bn")
    }
    assert titles == {
        "resnet50": "ResNet-50",
        "vit_b_16": "ViT-B/16",
        "regnet_x_1_6gf": "RegNetX 1.6 GF",
        "resnext50_32x4d": "ResNeXt-50 32×4d",
        "vgg16_bn": "VGG-16 with BatchNorm",
    }


def test_every_backbone_says_what_it_is_good_for():
    for row in backbones():
        assert words.has(row.good_for), row.good_for
        assert words.has(f"models.family.{row.family}"), row.family


def test_weights_can_be_told_by_their_hash_and_come_over_an_encrypted_line():
    for row in backbones():
        assert re.fullmatch(r"[0-9a-f]{8,10}|[0-9a-f]{64}", row.weights.sha256), row.name
        if row.weights.package is None:
            assert row.weights.url == f"https://download.pytorch.org/models/{row.weights.file_name}"
            assert row.weights.file_name.endswith(f"-{row.weights.sha256}.pth")


def test_weights_for_no_money_making_are_marked():
    assert {row.name for row in backbones() if "NC" in row.weights.licence} == {"regnet_y_128gf", "vit_h_14"}


def test_an_unknown_backbone_is_named_with_those_of_a_similar_name():
    with pytest.raises(ModelError) as caught:
        backbone("ResNet-51")
    assert "ResNet-51" in caught.value.message
    assert "resnet50" in caught.value.hint


def test_a_name_that_resembles_none_still_gets_suggestions():
    with pytest.raises(ModelError) as caught:
        backbone("🐜" * 500)
    assert "efficientnet_lite0" in caught.value.hint
    assert len(caught.value.message) < 200


def test_preprocessing_survives_json():
    before = backbone("efficientnet_lite1").preprocessing
    assert Preprocessing.from_json(json.loads(json.dumps(before.to_json()))) == before


def test_rows_for_a_terminal_say_where_weights_are_or_would_come_from(tmp_path):
    rows = {row["name"]: row for row in registry.table_rows(tmp_path)}
    assert len(rows) == len(backbones())
    lite, resnet = rows["efficientnet_lite0"], rows["resnet50"]
    assert lite["at_hand"] is True
    assert (lite["source"], lite["where"].rsplit("/")[-1]) == ("package", "efficientnet-lite0-57934424.pth")
    assert (resnet["at_hand"], resnet["where"]) == (False, "https://download.pytorch.org/models/resnet50-0676ba61.pth")
    json.dumps(list(rows.values()))


def normalised(photo: torch.Tensor, preprocessing: Preprocessing) -> torch.Tensor:
    mean, std = (torch.tensor(three).view(3, 1, 1) for three in (preprocessing.mean, preprocessing.std))
    return (photo - mean) / std
