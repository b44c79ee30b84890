"""Networks in stages compute what the originals compute, and pretrained weights arrive in the right places."""

import os
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from efficientnet_lite_pytorch import EfficientNet
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torchvision import models

from core.data.image import UnusablePhoto
from core.data.pixels import centre, squares
from core.errors import ModelError
from core.models.architecture import empty, original
from core.models.build import Network, build, restore
from core.models.head import HeadSpec
from core.models.load import fill, load_state
from core.models.registry import Backbone, backbone, backbones
from core.models.stages import split
from core.models.weights import WeightsFile, find, import_file
from core.training.kept import normalised

pytestmark = pytest.mark.slow

# One of each family: a side of the photo that its architecture allows and that makes it quick, and its last layer.
MEMBERS = {
    "alexnet": (64, "classifier.6"),
    "convnext_tiny": (64, "classifier.2"),
    "densenet121": (64, "classifier"),
    "efficientnet_b0": (64, "classifier.1"),
    "efficientnet_lite0": (64, "fc"),
    "efficientnet_v2_s": (64, "classifier.1"),
    "googlenet": (64, "fc"),
    "inception_v3": (96, "fc"),
    "maxvit_t": (224, "classifier.5"),
    "mnasnet0_5": (64, "classifier.1"),
    "mobilenet_v2": (64, "classifier.1"),
    "mobilenet_v3_small": (64, "classifier.3"),
    "mobilenet_v3_large": (64, "classifier.3"),
    "regnet_x_400mf": (64, "fc"),
    "regnet_y_400mf": (64, "fc"),
    "resnet18": (64, "fc"),
    "resnet50": (64, "fc"),
    "resnext50_32x4d": (64, "fc"),
    "shufflenet_v2_x0_5": (64, "fc"),
    "squeezenet1_0": (64, "classifier"),
    "squeezenet1_1": (64, "classifier"),
    "swin_t": (64, "head"),
    "swin_v2_t": (64, "head"),
    "vgg11_bn": (64, "classifier.6"),
    "vgg16_without_top": (64, "classifier"),
    "vit_b_32": (224, "heads.head"),
    "wide_resnet50_2": (64, "fc"),
}


def lively(name: str) -> nn.Module:
    """The original with weights that hide nothing: no zero layers, no statistics at 0 and 1."""
    generator = torch.Generator().manual_seed(7)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        model = original(name).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1, generator=generator)
            module.running_var.uniform_(0.7, 1.3, generator=generator)
    for parameter in model.get_submodule(MEMBERS[name][1]).parameters():
        nn.init.normal_(parameter, std=0.05, generator=generator)
    return model


def photos(side: int, count: int = 2) -> Tensor:
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(3))


@pytest.fixture(scope="module", params=MEMBERS)
def member(request) -> tuple[str, nn.Module]:
    return request.param, lively(request.param)


def test_stages_and_the_original_last_layer_give_the_originals_logits(member):
    name, model = member
    x = photos(MEMBERS[name][0])
    stages = list(split(model, backbone(name).family).values())
    with torch.inference_mode():
        wanted = model(x)
        if name.startswith("squeezenet"):
            # Its last layer is a convolution over the maps; ours end with their mean, which is two modules long.
            stages[-1] = stages[-1][:-2]
        for stage in stages:
            x = stage(x)
        logits = model.get_submodule(MEMBERS[name][1])(x).flatten(1)
    assert wanted.std() > 1e-3
    torch.testing.assert_close(logits, wanted)


def test_the_tested_members_stand_for_every_family():
    assert {backbone(name).family for name in MEMBERS} == {row.family for row in backbones()}


def test_every_stage_leaves_its_input_as_it_was(member):
    """What leaves a frozen stage is kept and used again; a layer that works in place must not reach it."""
    name, model = member
    x = photos(MEMBERS[name][0])
    with torch.inference_mode():
        for stage in split(model, backbone(name).family).values():
            before = x.clone()
            after = stage(x)
            assert torch.equal(x, before)
            x = after


@pytest.mark.parametrize(
    "name", ["googlenet", "mobilenet_v3_small", "regnet_y_400mf", "shufflenet_v2_x0_5", "squeezenet1_1", "swin_t"]
)
def test_weights_read_from_a_file_give_the_features_of_the_network_that_wrote_it(name, tmp_path):
    model, x = lively(name), photos(64)
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    network = build(name, 3, weights=file(tmp_path / "weights.pth")).eval()
    with torch.inference_mode():
        wanted = x
        for stage in split(model, backbone(name).family).values():
            wanted = stage(wanted)
        assert torch.equal(network.features(x), wanted)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_lite_networks_give_the_logits_of_the_independent_package_on_real_weights(number, tmp_path, capsys):
    name = f"efficientnet_lite{number}"
    weights = find(backbone(name), tmp_path)
    assert weights is not None
    reference = EfficientNet.from_pretrained(f"efficientnet-lite{number}", weights_path=str(weights.path)).eval()
    network = build(name, 2, weights=weights).eval()
    x = photos(backbone(name).preprocessing.crop)
    with torch.inference_mode():
        wanted = reference(x)
        logits = reference._fc(network.features(x))
    torch.testing.assert_close(logits, wanted)
    assert wanted.std() > 0.5


def test_logits_are_the_heads_answer_to_the_features():
    network = build("resnet18", 4, weights=None).eval()
    x = photos(64)
    with torch.inference_mode():
        assert network(x).shape == (2, 4)
        assert torch.equal(network(x), network.head(network.features(x)))


def test_stages_can_be_run_in_two_goes():
    network = build("mnasnet0_5", 2, weights=None).eval()
    x = photos(64)
    with torch.inference_mode():
        whole = network.features(x)
        for cut in range(len(network.stages) + 1):
            assert torch.equal(network.run_stages(network.run_stages(x, last=cut), first=cut), whole)


def test_the_same_seed_draws_the_same_head_with_and_without_a_file(tmp_path):
    weights = find(backbone("efficientnet_lite0"), tmp_path)
    heads = [
        build("efficientnet_lite0", 3, weights=source, seed=seed, head=HeadSpec("hidden")).head.layers.hidden1.weight
        for source, seed in ((weights, 5), (None, 5), (weights, 6))
    ]
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])


def test_from_scratch_the_seed_decides_every_weight():
    first, again, other = (build("mnasnet0_5", 2, weights=None, seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["stages.0.0.weight"], other["stages.0.0.weight"])


def test_building_leaves_everyone_elses_random_numbers_alone():
    torch.manual_seed(3)
    wanted = torch.rand(4)
    torch.manual_seed(3)
    build("mnasnet0_5", 2, weights=None, seed=9)
    assert torch.equal(torch.rand(4), wanted)


def test_dropout_stands_before_the_last_layer():
    network = build("mnasnet0_5", 2, weights=None, head=HeadSpec(dropout=0.25))
    assert [type(layer).__name__ for layer in network.head.layers] == ["Dropout", "Linear"]
    assert network.head.layers.dropout.p == 0.25


@pytest.mark.parametrize("name", ["efficientnet_lite0", "swin_t", "regnet_y_400mf", "mnasnet0_5"])
def test_a_network_comes_back_from_safetensors_as_it_was(name, tmp_path):
    network = build(name, 3, weights=None, seed=4).eval()
    save_file(network.state_dict(), tmp_path / "model.safetensors")
    again = restore(name, 3, load_file(tmp_path / "model.safetensors")).eval()
    x = photos(64)
    with torch.inference_mode():
        assert torch.equal(again(x), network(x))
    assert all(parameter.requires_grad for parameter in again.parameters())


def test_a_network_is_not_restored_from_less_than_all_its_weights():
    state = build("mnasnet0_5", 2, weights=None).state_dict()
    del state["stages.3.0.0.layers.0.weight"]
    with pytest.raises(RuntimeError, match=r"stages\.3\.0\.0\.layers\.0\.weight"):
        restore("mnasnet0_5", 2, state)


def test_an_unknown_backbone_can_not_be_built():
    with pytest.raises(ModelError, match="resnet19"):
        build("resnet19", 2, weights=None)


# ---- Files of another time or make ----------------------------------------------------------------------------------


def test_side_heads_in_googlenets_file_are_left_out(tmp_path):
    model = models.googlenet(weights=None, aux_logits=True, init_weights=False)
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    network = build("googlenet", 2, weights=file(tmp_path / "weights.pth"))
    assert not any("aux" in key for key in network.state_dict())
    assert torch.equal(network.stages[0][0].conv.weight, model.conv1.conv.weight)


def test_old_names_in_densenets_file_are_understood(tmp_path):
    """The published file says norm.1 where torchvision now says norm1."""
    model = lively("densenet121")
    old = OrderedDict()
    for key, tensor in model.state_dict().items():
        if "num_batches_tracked" in key:
            continue  # the published file is older than this counter
        for part in ("norm", "conv"):
            key = key.replace(f".{part}1.", f".{part}.1.").replace(f".{part}2.", f".{part}.2.")
        old[key] = tensor
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    torch.save(old, tmp_path / "weights.pth")
    network = build("densenet121", 2, weights=file(tmp_path / "weights.pth")).eval()
    x = photos(64)
    with torch.inference_mode():
        assert torch.equal(network.features(x), nn.functional.relu(model.features(x)).mean((2, 3)))


def test_old_names_in_vits_file_are_understood():
    """The published file says mlp.linear_1 where torchvision now says mlp.0. Zeros that take no memory stand for it."""
    state = {key: torch.zeros(1).expand(tensor.shape) for key, tensor in empty("vit_b_16").state_dict().items()}
    old = {key.replace("mlp.0.", "mlp.linear_1.").replace("mlp.3.", "mlp.linear_2."): t for key, t in state.items()}
    assert "encoder.layers.encoder_layer_0.mlp.linear_1.weight" in old
    model = empty("vit_b_16")
    fill(model, backbone("vit_b_16"), old, "vit.pth")
    assert not model.encoder.layers[11].mlp[3].weight.is_meta


@pytest.fixture(scope="module")
def vgg16() -> nn.Module:
    """torchvision's own, with random convolutions; zeros that take no memory stand for its three large layers."""
    with torch.device("meta"):
        model = models.vgg16(weights=None, init_weights=False).eval()
    generator = torch.Generator().manual_seed(5)
    for module in model.features:
        if isinstance(module, nn.Conv2d):
            deviation = (2 / (9 * module.in_channels)) ** 0.5
            module.weight = nn.Parameter(deviation * torch.randn(module.weight.shape, generator=generator))
            module.bias = nn.Parameter(0.1 * torch.randn(module.bias.shape, generator=generator))
    zeros = {key: torch.zeros(1).expand(tensor.shape) for key, tensor in model.classifier.state_dict().items()}
    model.classifier.load_state_dict(zeros, assign=True)
    return model


@pytest.mark.parametrize("held", ["the whole network", "its convolutions"])
def test_vgg_without_its_top_gives_torchvisions_convolutions_laid_out_flat(held, vgg16, tmp_path):
    """Its file is VGG-16's, or one that has only the convolutions."""
    state = vgg16.state_dict()
    if held == "its convolutions":
        state = {key: tensor for key, tensor in state.items() if key.startswith("features.")}
    torch.save(state, tmp_path / "weights.pth")
    network = build("vgg16_without_top", 3, weights=file(tmp_path / "weights.pth")).eval()
    x = photos(224)
    with torch.inference_mode():
        wanted = nn.Flatten()(vgg16.avgpool(vgg16.features(x)))
        assert wanted.shape == (2, 512 * 7 * 7)
        assert wanted.std() > 0.1
        assert torch.equal(network.features(x), wanted)
        assert torch.equal(wanted, vgg16.features(x).flatten(1)), "at this size the pool changes nothing"
    # Source: keras.io/api/applications/vgg: VGG16(include_top=False).summary() counts 14,714,688.
    assert sum(parameter.numel() for parameter in network.stages.parameters()) == 14_714_688


def test_half_precision_files_become_single_precision(tmp_path):
    """Torchvision's wide ResNets are stored so."""
    state = {key: t.half() if t.is_floating_point() else t for key, t in lively("mnasnet0_5").state_dict().items()}
    save_file(state, tmp_path / "weights.safetensors")
    network = build("mnasnet0_5", 2, weights=file(tmp_path / "weights.safetensors"))
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}


def test_a_file_without_versions_still_loads_into_mnasnet(tmp_path):
    """MNASNet asks for a version that safetensors can't carry."""
    model = lively("mnasnet0_5")
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    network = build("mnasnet0_5", 2, weights=file(tmp_path / "weights.safetensors"))
    assert torch.equal(network.stages[0][0].weight, model.layers[0].weight)


@pytest.mark.parametrize("name", MEMBERS)
def test_a_weights_file_fills_every_tensor_of_every_stage(name):
    """Zeros that take no memory stand for the values."""
    row, model = backbone(name), empty(name)
    state = {key: torch.zeros((), dtype=t.dtype).expand(t.shape) for key, t in model.state_dict().items()}
    fill(model, row, state, "zeros")
    network = Network(row, list(split(model, row.family).values()), nn.Identity())
    assert not any(tensor.is_meta for tensor in network.state_dict().values())
    assert not any(bool(tensor.any()) for tensor in network.state_dict().values())


# ---- Real weights on real photos, where somebody has them -----------------------------------------------------------

REAL = {"mobilenet_v2": "mobilenet_v2-*.pth", "resnet18": "resnet18-*.pth", "efficientnet_lite0": None}
ANT, BEE = 310, 309  # among ImageNet's 1,000 classes


@pytest.mark.skipif(
    not {"GRAFT_WEIGHTS", "GRAFT_PHOTOS"} <= os.environ.keys(),
    reason="GRAFT_WEIGHTS and GRAFT_PHOTOS name the folders of weights and photos (hymenoptera_data)",
)
@pytest.mark.parametrize("name", REAL)
def test_real_weights_see_ants_and_bees_on_real_photos(name, tmp_path):
    row, pattern = backbone(name), REAL[name]
    if pattern is None:
        weights = find(row, tmp_path)
    else:
        weights = import_file(next(Path(os.environ["GRAFT_WEIGHTS"]).glob(pattern)), row, tmp_path)
    assert weights is not None
    network = build(name, 2, weights=weights).eval()
    head = imagenet_head(load_state(weights.path, row))
    val = Path(os.environ["GRAFT_PHOTOS"]) / "hymenoptera_data" / "val"
    for folder, wanted in (("ants", ANT), ("bees", BEE)):
        with torch.inference_mode():
            guesses = head(network.features(inputs(sorted((val / folder).iterdir()), row))).argmax(1)
        values, counts = guesses.unique(return_counts=True)
        assert int(values[counts.argmax()]) == wanted
        assert float((guesses == wanted).float().mean()) > 0.6


def imagenet_head(state: dict[str, Tensor]) -> nn.Linear:
    weight, bias = list(state.values())[-2:]
    head = nn.Linear(weight.shape[1], weight.shape[0])
    head.load_state_dict({"weight": weight, "bias": bias})
    return head


def inputs(paths: list[Path], row: Backbone) -> Tensor:
    look = row.preprocessing
    read = [photo for photo in squares(paths, look.resize, look.interpolation) if not isinstance(photo, UnusablePhoto)]
    crops = np.stack([centre(photo, look.crop) for photo in read])
    return normalised(torch.from_numpy(crops).permute(0, 3, 1, 2), look)


def file(path: Path) -> WeightsFile:
    return WeightsFile(path, "imported", "")
