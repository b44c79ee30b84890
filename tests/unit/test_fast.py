"""Frozen stages made fast give the features that they gave before."""

import copy
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from core.data.image import UnusablePhoto
from core.data.pixels import centre, squares
from core.models import fast
from core.models.build import Network, build
from core.models.efficientnet_lite import SameConv2d
from core.models.fast import EvenPaddedConv2d, fast_frozen, sums_kept
from core.models.registry import backbone
from core.models.weights import find
from core.training.kept import normalised

CPU = torch.device("cpu")
# The families with BatchNorm, and two without; a side that the architecture allows.
MEMBERS = {
    "convnext_tiny": 64, "densenet121": 64, "efficientnet_b0": 64, "efficientnet_lite0": 64, "efficientnet_v2_s": 64,
    "googlenet": 64, "inception_v3": 96, "maxvit_t": 224, "mnasnet0_5": 64, "mobilenet_v2": 64,
    "mobilenet_v3_small": 64, "regnet_y_400mf": 64, "resnet18": 64, "resnext50_32x4d": 64, "shufflenet_v2_x0_5": 64,
    "squeezenet1_1": 64, "swin_t": 64,
}  # fmt: skip


def lively(name: str) -> Network:
    """From scratch, with BatchNorm statistics as if it had been trained."""
    network = build(name, 2, weights=None)
    generator = torch.Generator().manual_seed(5)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2, generator=generator)
            module.running_var.uniform_(0.5, 2.0, generator=generator)
            module.weight.data.uniform_(0.5, 1.5, generator=generator)
            module.bias.data.uniform_(-0.2, 0.2, generator=generator)
    return network.eval()


def photos(side: int, count: int = 2) -> Tensor:
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize(("name", "side"), MEMBERS.items())
def test_in_32_bits_the_features_are_the_same_but_for_rounding(name, side):
    network, x = lively(name), photos(side)
    with torch.inference_mode():
        wanted = network.features(x)
    features = fast_frozen(network.stages, CPU, precision="float32")(x)
    torch.testing.assert_close(features, wanted, rtol=1e-4, atol=1e-5 * float(wanted.abs().max()))


@pytest.mark.parametrize("name", ["resnet18", "efficientnet_lite0", "mobilenet_v3_small", "googlenet"])
def test_no_batchnorm_is_left_where_each_follows_a_convolution(name):
    ready = fast_frozen(build(name, 2, weights=None).stages, CPU, precision="float32")
    assert not any(isinstance(module, nn.BatchNorm2d) for module in ready.modules())


def test_batchnorm_that_follows_no_convolution_is_left():
    """DenseNet has one before each convolution."""
    ready = fast_frozen(build("densenet121", 2, weights=None).stages, CPU, precision="float32")
    assert sum(isinstance(module, nn.BatchNorm2d) for module in ready.modules()) == 62


def test_the_network_itself_is_left_as_it_was():
    network = lively("efficientnet_lite0").train()
    before = copy.deepcopy(network.state_dict())
    ready = fast_frozen(network.stages, CPU)
    ready(photos(64))
    ready.train()
    after = network.state_dict()
    assert all(torch.equal(after[key], before[key]) for key in before)
    assert all(module.training for module in network.modules())
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert not any(module.training for module in ready.modules())


@pytest.mark.parametrize("boundary", [1, 4, 8])
def test_part_of_the_stages_can_be_made_fast(boundary):
    network, x = lively("efficientnet_lite0"), photos(64)
    with torch.inference_mode():
        wanted = network.run_stages(x, last=boundary)
    features = fast_frozen(network.stages[:boundary], CPU, precision="float32")(x)
    torch.testing.assert_close(features, wanted, rtol=1e-4, atol=1e-4)
    assert features.dtype == torch.float32


def test_features_can_be_trained_on():
    """What was computed without gradients may still enter a computation with them."""
    network = lively("mnasnet0_5")
    kept = fast_frozen(network.stages[:3], CPU)(photos(64))
    network.head(network.run_stages(kept, first=3)).sum().backward()
    assert network.head.layers.output.weight.grad is not None


# ---- Padding --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("side", [7, 8, 15, 16, 33])
def test_a_wider_kernel_sums_what_lopsided_padding_sums(kernel, side):
    torch.manual_seed(0)
    plain = SameConv2d(4, 4, kernel, 2, groups=4)
    x = torch.randn(2, 4, side, side)
    torch.testing.assert_close(EvenPaddedConv2d(plain)(x), plain(x))


def test_lopsided_padding_is_tensorflows():
    """Worked by hand: of a row of 4 a kernel of 3 at stride 2 sees (1, 2, 3) and (3, 4, nothing)."""
    convolution = SameConv2d(1, 1, 3, 2, bias=False)
    convolution.weight.data.zero_()[0, 0, 0] = 1.0
    x = torch.tensor([[1.0, 2, 3, 4], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]).view(1, 1, 4, 4)
    assert convolution(x)[0, 0, 0].tolist() == [6.0, 7.0]


# ---- 16 bits --------------------------------------------------------------------------------------------------------


def test_rounded_filters_keep_their_sum_and_stay_next_to_their_values():
    weight = torch.randn(200, 1, 5, 5, generator=torch.Generator().manual_seed(0))
    weight -= weight.mean((2, 3), keepdim=True)  # differences: they add up to nothing
    kept = sums_kept(weight)
    plain = weight.bfloat16().float()
    assert torch.equal(kept, kept.bfloat16().float()), "16 bits hold them exactly"
    step = 2.0 ** (weight.abs().log2().floor() - 7)  # between neighbouring values with 8 bits of mantissa
    assert bool(((kept - weight).abs() <= step).all())
    before, after = (abs(float(w.sum((1, 2, 3)).pow(2).mean().sqrt())) for w in (plain, kept))
    assert after < before / 10


@pytest.mark.parametrize("value", [0.0, -0.0, 1.0, -1.0, 2.0, 1e-30, 3.0e38])
def test_rounding_filters_is_safe_at_the_edges(value):
    kept = sums_kept(torch.full((2, 1, 3, 3), value))
    assert bool(torch.isfinite(kept).all())
    torch.testing.assert_close(kept, torch.full((2, 1, 3, 3), value), rtol=2**-7, atol=0)


def test_in_16_bits_features_are_near_and_come_back_in_32():
    network, x = lively("efficientnet_lite0"), photos(64)
    with torch.inference_mode():
        wanted = network.features(x)
    ready = fast_frozen(network.stages, CPU, precision="bfloat16")
    features = ready(x)
    assert features.dtype == torch.float32
    assert float(nn.functional.cosine_similarity(features, wanted).min()) > 0.99
    assert not torch.equal(features, wanted)


@pytest.mark.parametrize(
    ("gain", "closeness", "exact_stages"),
    [
        (2.0, [0.9995], 0),
        (2.0, [0.99, 0.9995], 1),
        (2.0, [0.99, 0.99, 0.9995], 2),
        (2.0, [0.99, 0.99, 0.99], 8),  # never near enough: all stages stay in 32 bits
        (1.1, [], 8),  # not worth it
    ],
)
def test_16_bits_begin_where_they_are_near_enough_and_pay(gain, closeness, exact_stages, monkeypatch):
    answers = iter(closeness)
    monkeypatch.setattr(fast, "_gain", lambda *_: gain)
    monkeypatch.setattr(nn.functional, "cosine_similarity", lambda *_: torch.tensor(next(answers)))
    ready = fast_frozen(lively("efficientnet_lite0").stages, CPU)
    ready(photos(64))
    assert ready.exact_stages == exact_stages
    types = [{parameter.dtype for parameter in stage.parameters()} for stage in ready.body]
    assert types == [{torch.float32}] * exact_stages + [{torch.bfloat16}] * (8 - exact_stages)
    assert ready.trial is not None
    assert (ready.trial.gain, list(ready.trial.cosines)) == (gain, pytest.approx(closeness))


def test_the_first_photos_decide_once_and_for_all(monkeypatch):
    asked: list[int] = []
    monkeypatch.setattr(fast, "_gain", lambda *_: asked.append(1) or 1.0)
    ready = fast_frozen(lively("mnasnet0_5").stages, CPU)
    for _ in range(3):
        ready(photos(64))
    assert asked == [1]


def test_a_device_that_can_not_do_16_bits_stays_with_32(monkeypatch):
    def fails(*_: object) -> float:
        raise RuntimeError("not implemented for 'BFloat16'")

    monkeypatch.setattr(fast, "_gain", fails)
    network, x = lively("mnasnet0_5"), photos(64)
    with torch.inference_mode():
        wanted = network.features(x)
    torch.testing.assert_close(fast_frozen(network.stages, CPU)(x), wanted, rtol=1e-4, atol=1e-4)


def test_measuring_leaves_the_number_of_threads_as_it_was():
    before = torch.get_num_threads()
    fast_frozen(lively("mnasnet0_5").stages, CPU)(photos(64))
    assert torch.get_num_threads() == before


@pytest.mark.skipif("GRAFT_PHOTOS" not in os.environ, reason="GRAFT_PHOTOS names a folder with hymenoptera_data")
@pytest.mark.parametrize("name", ["efficientnet_lite0", "efficientnet_lite2"])
def test_on_real_photos_and_weights_features_are_as_near_as_promised(name, tmp_path):
    row = backbone(name)
    network = build(name, 2, weights=find(row, tmp_path)).eval()
    look = row.preprocessing
    paths = sorted((Path(os.environ["GRAFT_PHOTOS"]) / "hymenoptera_data" / "val").rglob("*.jpg"))[::3]
    read = [photo for photo in squares(paths, look.resize, look.interpolation) if not isinstance(photo, UnusablePhoto)]
    crops = np.stack([centre(photo, look.crop) for photo in read])
    x = normalised(torch.from_numpy(crops).permute(0, 3, 1, 2), look)
    ready = fast_frozen(network.stages, CPU)
    with torch.inference_mode():
        wanted, features = (torch.cat([run(part) for part in x.split(16)]) for run in (network.features, ready))
    assert float(nn.functional.cosine_similarity(features, wanted).mean()) >= 0.999
