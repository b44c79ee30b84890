"""Where a network looked: against captum, on models whose answer is known, and on every family there is."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision import models
from torchvision.models.shufflenetv2 import ShuffleNetV2

from core.data.image import UnusablePhoto
from core.errors import RunError
from core.inference import evidence as evidence_of
from core.inference.attention import Explainer
from core.inference.evidence import Evidence
from core.inference.predictor import ModelCard, Prediction, Predictor, write_model
from core.inference.unknown import Detector, Reference
from core.models import registry
from core.models.architecture import empty
from core.models.build import Network, build
from core.models.head import Head, HeadSpec
from core.models.stages import split
from core.runs.store import RunDirectory
from core.training.kept import normalised

captum = pytest.importorskip("captum.attr")


def with_drawn_head(network: Network) -> Network:
    """A new head holds zeros, for which nothing speaks for any class."""
    network.head.layers.output.weight.data.normal_(0, 0.3, generator=torch.Generator().manual_seed(2))
    return network.eval()


def assembled(stages: list[nn.Module], width: int, classes: int = 2) -> Network:
    """A network of these stages; the backbone lends its name alone."""
    return with_drawn_head(Network(registry.backbone("resnet18"), stages, Head(HeadSpec(), width, classes)))


def of_scratch(name: str) -> Network:
    return with_drawn_head(build(name, 3, weights=None))


def noise(side: int, count: int = 1) -> Tensor:
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(3))


def assert_alike(ours: Tensor, wanted: Tensor) -> None:
    """The same but for rounding, however small the numbers are: what enters a drawn network fades on its way."""
    largest = float(wanted.detach().abs().max())
    assert largest > 0
    torch.testing.assert_close(ours.detach(), wanted.detach(), rtol=1e-3, atol=1e-4 * largest)


# Against captum


def lead_of(network: Network):
    """What is explained: each class's score less the mean of all scores."""

    def leads(x: Tensor) -> Tensor:
        logits = network(x)
        return logits - logits.mean(dim=1, keepdim=True)

    return leads


@pytest.mark.parametrize(
    ("name", "last_maps"),
    [
        ("squeezenet1_1", lambda stages: stages[-1][-3]),
        ("shufflenet_v2_x0_5", lambda stages: stages[-1][0]),
        ("mobilenet_v3_small", lambda stages: stages[-1][0]),
    ],
)
def test_behind_maps_that_are_averaged_the_heat_is_captums_grad_cam(name, last_maps):
    network, photo = of_scratch(name), noise(96)
    evidence = Evidence(network, photo)
    for target in range(3):
        wanted = captum.LayerGradCam(lead_of(network), last_maps(network.stages)).attribute(photo.clone(), target)
        ours = evidence.of(target)
        assert ours.shape == wanted.shape[2:]
        assert_alike(ours, wanted[0, 0])


def fully_connected() -> Network:
    """Red, green and blue of 4 × 4 places; the first class is read from the red of the upper left place alone."""
    dense = nn.Linear(3 * 4 * 4, 2, bias=False)
    nn.init.zeros_(dense.weight)
    dense.weight.data[0, 0] = 1.0
    dense.weight.data[1, 3 * 16 - 1] = 1.0  # the second class: blue of the lower right place
    network = assembled([nn.Sequential(nn.AdaptiveAvgPool2d(4)), nn.Sequential(nn.Flatten(), dense)], 2)
    network.head.layers.output.weight.data.copy_(torch.eye(2))
    return network


def test_before_large_layers_a_place_that_had_no_say_gets_no_heat():
    red_corners = torch.zeros(1, 3, 32, 32)
    red_corners[:, 0, :8, :8] = red_corners[:, 0, 24:, 24:] = 1.0
    network = fully_connected()
    heat = Evidence(network, red_corners).of(0)
    assert heat[0, 0] == 0.5  # a lead of half the score: the mean of both classes is taken off
    assert heat.count_nonzero() == 1
    pooled = captum.LayerGradCam(lead_of(network), network.stages[0][0]).attribute(red_corners, 0)[0, 0]
    assert pooled[3, 3] == pooled[0, 0] > 0  # Grad-CAM's average credits both corners alike


def test_before_large_layers_the_heat_is_captums_gradient_times_activation():
    network, photo = of_scratch_alexnet(), noise(96)
    layer = network.stages[-1][0]
    wanted = captum.LayerGradientXActivation(lead_of(network), layer).attribute(photo.clone(), 1)
    assert_alike(Evidence(network, photo).of(1), wanted[0].sum(0))


def of_scratch_alexnet() -> Network:
    """AlexNet with small layers in place of its large ones, which only cost time."""
    model = models.AlexNet.__new__(models.AlexNet)
    nn.Module.__init__(model)
    torch.manual_seed(4)
    model.features = nn.Sequential(nn.Conv2d(3, 8, 11, 4, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2))
    model.avgpool = nn.AdaptiveAvgPool2d(6)
    model.classifier = nn.Sequential(
        nn.Dropout(), nn.Linear(8 * 36, 16), nn.ReLU(inplace=True), nn.Linear(16, 16), nn.ReLU(inplace=True),
        nn.Linear(16, 2),
    )  # fmt: skip
    return assembled(list(split(model, "alexnet").values()), 16, 3)


# A model whose answer is known: the colour of a patch, wherever it lies, decides the class


def patched(side: int, count: int, random: torch.Generator, at: tuple[int, int] | None = None) -> tuple[Tensor, Tensor]:
    """Noise with a red or blue patch, a quarter of the photo wide; ``at`` is its place among 4 × 4."""
    photos = 0.5 * torch.randn(count, 3, side, side, generator=random)
    targets = torch.randint(2, (count,), generator=random)
    step = side // 4
    for photo, target in zip(photos, targets.tolist(), strict=True):
        row, column = at or torch.randint(4, (2,), generator=random).tolist()
        photo[2 * target, row * step : (row + 1) * step, column * step : (column + 1) * step] += 3
    return photos, targets


def vit() -> nn.Module:
    return models.VisionTransformer(32, 8, num_layers=6, num_heads=2, hidden_dim=16, mlp_dim=32)


def swin() -> nn.Module:
    return models.SwinTransformer([2, 2], 8, [1, 1, 1, 1], [2, 2, 2, 2], [2, 2], stochastic_depth_prob=0.0)


def shufflenet() -> nn.Module:
    return ShuffleNetV2([1, 1, 1], [8, 16, 32, 64, 64])


def taught(model: nn.Module, family: str, side: int, width: int, steps: int) -> Network:
    network = assembled(list(split(model, family).values()), width).train()
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    random = torch.Generator().manual_seed(1)
    for _ in range(steps):
        photos, targets = patched(side, 8, random)
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(photos), targets).backward()
        optimizer.step()
    return network.eval()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "family", "side", "width", "steps"),
    [(shufflenet, "shufflenet", 64, 64, 100), (swin, "swin", 64, 64, 60), (vit, "vit", 32, 16, 150)],
)
def test_most_heat_lies_in_the_corner_where_the_class_was_decided(make, family, side, width, steps):
    torch.manual_seed(0)
    network = taught(make(), family, side, width, steps)
    random = torch.Generator().manual_seed(7)
    shares, right = [], 0
    for turn in range(24):
        row, column = turn % 2, turn // 2 % 2
        photo, target = patched(side, 1, random, at=(3 * row, 3 * column))
        evidence = Evidence(network, photo)
        right += int(evidence.logits.argmax()) == int(target)
        heat = evidence.of(int(target)).clamp(min=0)
        quarters = nn.functional.adaptive_avg_pool2d(heat[None, None], 2)[0, 0]
        shares.append(float(quarters[row, column] / quarters.sum()))
    assert right >= 22
    assert np.mean(shares) > 0.45  # a quarter would be chance


def test_the_blocks_are_computed_as_the_vit_itself_does():
    torch.manual_seed(0)
    network, photo = assembled(list(split(vit(), "vit").values()), 16), noise(32)
    evidence = Evidence(network, photo)
    torch.testing.assert_close(evidence.features, network.features(photo), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(evidence.logits, network(photo)[0], rtol=1e-4, atol=1e-5)


def test_where_memory_is_short_the_last_blocks_alone_are_asked(monkeypatch):
    torch.manual_seed(0)
    network, photo = assembled(list(split(vit(), "vit").values()), 16), noise(32)
    every = Evidence(network, photo)
    monkeypatch.setattr(evidence_of, "MOST_ATTENTION_BYTES", 2 * 17**2 * 4 * 2)  # two blocks of 17 tokens and two heads
    last = Evidence(network, photo)
    assert (len(every._places), len(last._places)) == (6, 2)
    torch.testing.assert_close(last.logits, every.logits)
    assert not torch.equal(last.of(0), every.of(0))


# A run's model


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> RunDirectory:
    return saved(of_scratch("squeezenet1_1"), tmp_path_factory.mktemp("runs"))


def saved(network: Network, folder: Path) -> RunDirectory:
    made = RunDirectory(folder)
    card = ModelCard("squeezenet1_1", ("a", "b", "c"), network.backbone.preprocessing, None, network.head.spec)
    write_model(made, network, card)
    return made


@pytest.fixture(scope="module")
def photo(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    pixels = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((300, 200)).save(path)
    return path


def test_the_answer_beside_the_heat_is_the_predictors(run, photo):
    heat = Explainer.load(run).heat(photo)
    answer = next(iter(Predictor.load(run).predict([photo])))
    assert isinstance(answer, Prediction)
    assert heat.target == answer.label
    assert [label for label, _ in heat.top] == [label for label, _ in answer.top]
    assert np.allclose([p for _, p in heat.top], [p for _, p in answer.top], atol=1e-4)


def test_each_class_has_its_own_heat_on_one_scale(run, photo):
    explainer = Explainer.load(run)
    heats = {name: explainer.heat(photo, name) for name in ("a", "b", "c")}
    answered = explainer.heat(photo)
    assert np.array_equal(answered.values, heats[answered.target].values)
    for name, heat in heats.items():
        assert heat.target == name
        assert heat.values.shape == (13, 13)
        assert heat.values.dtype == np.float32
        assert heat.square.shape == (224, 224, 3)
        assert heat.values.min() >= 0
        assert max(heat.values.max(), answered.values.max()) <= 1
    assert not np.array_equal(heats["a"].values, heats["b"].values)
    assert answered.values.max() == 1  # of the class that it leads with; a stronger one would have 1 in its place


def test_where_no_place_speaks_for_a_class_the_heat_is_empty(tmp_path, photo):
    undecided = build("squeezenet1_1", 3, weights=None)  # its head still holds zeros
    heat = Explainer.load(saved(undecided, tmp_path)).heat(photo, "b")
    assert heat.empty
    assert not heat.values.any()
    assert not Explainer.load(saved(of_scratch("squeezenet1_1"), tmp_path)).heat(photo).empty


def test_what_is_no_photo_and_what_has_no_model_is_said(run, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"not a picture")
    with pytest.raises(UnusablePhoto):
        Explainer.load(run).heat(broken)
    with pytest.raises(RunError):
        Explainer.load(RunDirectory(tmp_path))


def test_the_nearest_training_photos_and_what_is_unknown_come_from_the_runs_detector(tmp_path, photo):
    network = of_scratch("squeezenet1_1")
    run = saved(network, tmp_path)
    heat = Explainer.load(run).heat(photo, near=2)
    assert (heat.near, heat.unknown) == ((), False)  # a run that knows nothing of its training photos
    seen = torch.from_numpy(heat.square.copy()).permute(2, 0, 1)[None]
    features = network.features(normalised(seen, network.backbone.preprocessing)).detach()
    others = torch.randn(9, features.shape[1], generator=torch.Generator().manual_seed(1))
    rows = nn.functional.normalize(torch.cat([others, features]), dim=1)
    names = [Reference(f"{number}.jpg", "a") for number in range(10)]
    for limit, unknown in ((0.5, False), (-1.0, True)):
        Detector(rows, names, limit=limit, neighbours=1).save(run)
        heat = Explainer.load(run).heat(photo, near=2)
        assert len(heat.near) == 2
        assert heat.near[0].path == "9.jpg"
        assert heat.near[0].likeness == pytest.approx(1, abs=2e-3)
        assert heat.unknown is unknown


# Every family

# A side that the architecture allows, and the rows that its last maps then have; attention fits one side alone.
MEMBERS = {
    "alexnet": (96, 6), "convnext_tiny": (96, 3), "densenet121": (96, 3), "efficientnet_b0": (96, 3),
    "efficientnet_lite0": (96, 3), "efficientnet_v2_s": (96, 3), "googlenet": (96, 3), "inception_v3": (107, 2),
    "maxvit_t": (224, 7), "mnasnet0_5": (96, 3), "mobilenet_v2": (96, 3), "mobilenet_v3_small": (96, 3),
    "regnet_y_400mf": (96, 3), "resnet18": (96, 3), "resnext50_32x4d": (96, 3), "shufflenet_v2_x0_5": (96, 3),
    "squeezenet1_1": (96, 5), "swin_t": (96, 3), "swin_v2_t": (96, 3), "vgg11": (96, 7), "vgg16_without_top": (96, 7),
    "vit_b_32": (224, 7), "wide_resnet50_2": (96, 3),
}  # fmt: skip


LARGE = ("alexnet", "vgg11", "vgg16_without_top", "vit_b_32")


def quickly_filled(name: str) -> Network:
    """Weights cut from one piece of noise: drawing a hundred million of them takes seconds."""
    pool = torch.randn(1 << 20, generator=torch.Generator().manual_seed(0))
    backbone = registry.backbone(name)
    stages = [stage.to_empty(device="cpu") for stage in split(empty(name), backbone.family).values()]
    network = Network(backbone, stages, Head(HeadSpec(), backbone.feature_width, 3))
    assert not list(network.stages.buffers())
    with torch.no_grad():
        for parameter in network.stages.parameters():
            for piece in parameter.view(-1).split(len(pool)):
                piece.copy_(pool[: len(piece)])
            parameter.mul_((2 / parameter[0].numel()) ** 0.5 if parameter.dim() > 1 else 0.1)
    return with_drawn_head(network)


def test_each_family_has_a_member_here():
    assert {registry.backbone(name).family for name in MEMBERS} == {row.family for row in registry.backbones()}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "side", "rows"), [(name, *sizes) for name, sizes in MEMBERS.items()])
def test_every_family_says_where_it_looked(name, side, rows):
    network = quickly_filled(name) if name in LARGE else of_scratch(name)
    photo = noise(side)
    evidence = Evidence(network, photo)
    first, second = evidence.of(0), evidence.of(1)
    assert first.shape == second.shape == (rows, rows)
    assert first.isfinite().all()
    assert first.std() > 0
    assert not torch.allclose(first / first.abs().max(), second / second.abs().max(), atol=1e-3)
    with torch.inference_mode():
        assert_alike(evidence.features, network.features(photo))
