"""Heads: what they compute by plain formulas, how many numbers they learn, and that a saved one answers the same."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torchvision import models

from core.config import TrainConfig
from core.data.pixels import centre, square
from core.inference.predictor import Predictor
from core.models.build import build
from core.models.head import Head, HeadSpec, head_parameters
from core.models.registry import backbone, trainable_parameters
from core.models.weights import find
from core.runs.store import RunDirectory
from core.training import head as head_module
from core.training.head import KeptFeatures
from tests.trained import CPU, PLAIN, assert_same, clusters, head_loop, new_run, run_loop, small_network, train

LITE = backbone("efficientnet_lite0")
FEATURES = torch.randn(5, 12, generator=torch.Generator().manual_seed(2))


def with_noise(head: Head) -> Head:
    """Heads start at 0, where all formulas agree."""
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
        head.mean.copy_(torch.randn(head.mean.shape, generator=generator))
        head.scale.fill_(2.5)
    return head.eval()


@pytest.mark.parametrize(
    ("spec", "hidden"),
    [
        (HeadSpec(), ()),
        (HeadSpec(dropout=0.5), ()),
        (HeadSpec("hidden", 1, 1024, 0.5), (1024,)),
        (HeadSpec("hidden", 3, 20), (20, 20, 20)),
    ],
)
def test_the_tables_count_is_what_the_optimiser_gets(spec, hidden):
    network = build("efficientnet_lite0", 7, weights=None, head=spec)
    counted = sum(parameter.numel() for parameter in network.head.parameters())
    assert trainable_parameters(LITE, "all", 7, hidden=hidden) == counted == head_parameters(spec, 1280, 7)


def test_a_cosine_head_learns_a_direction_a_class_and_one_scale():
    assert head_parameters(HeadSpec("cosine"), 1280, 7) == 1280 * 7 + 1


@pytest.mark.parametrize("kind", ["linear", "hidden", "cosine"])
def test_every_head_gives_one_number_a_class(kind):
    assert Head(HeadSpec(kind, 2, 8), 12, 4)(FEATURES).shape == (5, 4)


def test_a_linear_head_is_w_x_plus_b_of_centred_features():
    head = with_noise(Head(HeadSpec(dropout=0.4), 12, 4))
    x = (FEATURES.numpy() - head.mean.numpy()) / 2.5
    expected = x @ head.layers.output.weight.detach().numpy().T + head.layers.output.bias.detach().numpy()
    np.testing.assert_allclose(head(FEATURES).detach().numpy(), expected, rtol=1e-4, atol=1e-5)


def test_the_classic_of_the_courses_is_linear_relu_dropout_linear():
    head = Head(HeadSpec("hidden", 1, 16, 0.5), 12, 4)
    with_noise(head)
    head.mean.zero_()
    head.scale.fill_(1)
    classic = nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 4))
    for theirs, ours in zip(classic.parameters(), head.parameters(), strict=True):
        theirs.data.copy_(ours)
    torch.testing.assert_close(head(FEATURES), classic.eval()(FEATURES))
    head.train()
    classic.train()
    torch.manual_seed(8)
    dropped = head(FEATURES)
    torch.manual_seed(8)
    torch.testing.assert_close(dropped, classic(FEATURES))
    assert not torch.allclose(dropped, head.eval()(FEATURES))


def test_a_cosine_head_sees_the_angle_and_not_the_length():
    head = with_noise(Head(HeadSpec("cosine"), 12, 4))
    head.mean.zero_()
    head.layers.output.scale.data.fill_(7.0)
    x, w = FEATURES.numpy(), head.layers.output.weight.detach().numpy()
    angles = (x @ w.T) / np.linalg.norm(x, axis=1)[:, None] / np.linalg.norm(w, axis=1)[None]
    np.testing.assert_allclose(head(FEATURES).detach().numpy(), 7 * angles, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(head(FEATURES * 50), head(FEATURES))


@pytest.mark.parametrize("kind", ["linear", "hidden"])
def test_a_new_head_finds_every_class_equally_likely(kind):
    assert torch.equal(Head(HeadSpec(kind), 12, 4)(FEATURES), torch.zeros(5, 4))


def test_the_same_seed_gives_the_same_head_with_and_without_pretrained_weights(tmp_path):
    spec = HeadSpec("hidden", 1, 8)
    with_file = build("efficientnet_lite0", 3, weights=find(LITE, tmp_path), seed=6, head=spec)
    assert_same(build("efficientnet_lite0", 3, weights=None, seed=6, head=spec).head.state_dict(),
                with_file.head.state_dict())  # fmt: skip
    other = build("efficientnet_lite0", 3, weights=None, seed=7, head=spec).head.state_dict()
    assert not torch.equal(other["layers.hidden1.weight"], with_file.head.state_dict()["layers.hidden1.weight"])


def test_what_a_head_is_comes_back_from_json_as_it_was():
    spec = HeadSpec("hidden", 2, 33, 0.25)
    assert HeadSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


def kept(views: int = 3, count: int = 10) -> tuple[list[np.ndarray], Tensor, KeptFeatures]:
    x, y = clusters(count)
    rows = [(x * (view + 1) + view).astype(np.float16) for view in range(views)]
    val, val_y = clusters(4, seed=3)
    return rows, y, KeptFeatures(rows, y, val.astype(np.float16), val_y, CPU)


@pytest.mark.parametrize("memory", [1_000_000_000, 0], ids=["in memory", "from disk"])
def test_mean_and_scale_are_numpys_over_all_views(monkeypatch, memory):
    monkeypatch.setattr(head_module, "MEMORY_BYTES", memory)
    monkeypatch.setattr(head_module, "JUDGE_BATCH", 7)
    rows, _, features = kept()
    everything = np.concatenate(rows).astype(np.float64)
    mean, scale = features.statistics()
    np.testing.assert_allclose(mean.numpy(), everything.mean(axis=0), rtol=1e-5, atol=1e-6)
    assert float(scale) == pytest.approx(np.sqrt(((everything - everything.mean(axis=0)) ** 2).mean()), rel=1e-5)


def test_features_that_never_change_are_not_divided_by_nothing():
    same = np.full((6, 4), 3.0, np.float32)
    features = KeptFeatures([same], torch.zeros(6, dtype=torch.int64), same, torch.zeros(6, dtype=torch.int64), CPU)
    mean, scale = features.statistics()
    assert (mean.tolist(), float(scale)) == ([3.0] * 4, 1.0)


def test_rows_of_each_view_come_with_the_targets_of_their_photos(monkeypatch):
    rows, y, features = kept()
    chosen = torch.tensor([29, 0, 10, 9, 20, 13])
    expected = np.concatenate(rows).astype(np.float32)[chosen.numpy()]
    assert np.array_equal(features.train(chosen, 1).numpy(), expected)
    assert features.train_targets[chosen].tolist() == [int(y[place % 10]) for place in chosen]
    monkeypatch.setattr(head_module, "MEMORY_BYTES", 0)
    assert np.array_equal(kept()[2].train(chosen, 1).numpy(), expected)


@pytest.mark.parametrize("center", [True, False])
def test_features_read_from_disk_train_the_same_weights_to_the_bit(monkeypatch, center):
    config = replace(PLAIN, head_epochs=5, head_batch_size=4, center_features=center)
    here = small_network(config)
    run_loop(head_loop(config, here, views=2))
    monkeypatch.setattr(head_module, "MEMORY_BYTES", 0)
    there = small_network(config)
    run_loop(head_loop(config, there, views=2))
    assert_same(here.state_dict(), there.state_dict())


def test_without_centring_the_head_takes_features_as_they_come():
    network = small_network(PLAIN)
    head_loop(PLAIN, network)
    assert (network.head.mean.abs().sum(), network.head.scale) == (0, 1)
    centred = replace(PLAIN, center_features=True)
    network = small_network(centred)
    head_loop(centred, network)
    x = clusters(11)[0]
    np.testing.assert_allclose(network.head.mean.numpy(), x.mean(axis=0), atol=1e-6)
    assert float(network.head.scale) == pytest.approx(float(np.sqrt(((x - x.mean(axis=0)) ** 2).mean())), rel=1e-5)


@pytest.fixture(scope="module")
def seen(divided, cache) -> tuple[list[Path], np.ndarray]:
    """The test photos, and what the plain pretrained body makes of them in 32 bits."""
    paths = [Path(divided.root) / sample.path for sample in divided.test]
    look = LITE.preprocessing
    pixels = np.stack([centre(square(path, look.resize, look.interpolation), look.crop) for path in paths])
    x = (pixels.astype(np.float32) / 255 - np.array(look.mean, np.float32)) / np.array(look.std, np.float32)
    body = build("efficientnet_lite0", 2, weights=find(LITE, cache / "weights")).eval()
    with torch.inference_mode():
        return paths, body.features(torch.from_numpy(x).permute(0, 3, 1, 2).contiguous()).numpy()


def softmax(x: np.ndarray) -> np.ndarray:
    raised = np.exp(x - x.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def formula(kind: str, x: np.ndarray, state: dict[str, np.ndarray]) -> np.ndarray:
    x = (x - state["mean"]) / state["scale"]
    if kind == "cosine":
        w = state["layers.output.weight"]
        x = x / np.linalg.norm(x, axis=1, keepdims=True)
        return softmax(state["layers.output.scale"] * x @ (w / np.linalg.norm(w, axis=1, keepdims=True)).T)
    for place in (1, 2) if kind == "hidden" else ():
        x = np.maximum(0, x @ state[f"layers.hidden{place}.weight"].T + state[f"layers.hidden{place}.bias"])
    return softmax(x @ state["layers.output.weight"].T + state["layers.output.bias"])


def said(run: RunDirectory, paths: list[Path], classes: tuple[str, ...]) -> np.ndarray:
    answers = [dict(answer.top) for answer in Predictor.load(run).predict(paths)]
    return np.array([[answer[name] for name in classes] for answer in answers])


@pytest.mark.parametrize("kind", ["linear", "hidden", "cosine"])
def test_a_saved_model_answers_what_its_weights_give_by_the_formula(tmp_path, divided, cache, seen, kind):
    config = TrainConfig(
        device="cpu",
        head=kind,
        hidden_layers=2,
        hidden_units=16,
        dropout=0.2,
        head_epochs=6,
        patience=100,
        head_learning_rate=1e-2,
    )
    run = new_run(tmp_path, config, divided)
    train(run, cache)
    state = {k.removeprefix("head."): v.numpy() for k, v in load_file(run.model).items() if k.startswith("head.")}
    assert Predictor.load(run).card.head == HeadSpec(kind, 2, 16, 0.2)
    paths, x = seen
    probabilities = said(run, paths, divided.classes)
    np.testing.assert_allclose(probabilities, formula(kind, x, state), atol=2e-3)
    assert np.abs(probabilities - 1 / 3).max() > 0.05  # it learnt something: not the answer of an empty head


def test_a_model_of_the_first_format_still_answers_as_it_did(tmp_path, divided, cache, seen):
    """Its head was dropout and one linear layer, called head.1, on features as they come."""
    network = build("efficientnet_lite0", 3, weights=find(LITE, cache / "weights"))
    generator = torch.Generator().manual_seed(1)
    weight, bias = torch.randn(3, 1280, generator=generator) / 10, torch.randn(3, generator=generator)
    state = {name: value.contiguous() for name, value in network.state_dict().items() if name.startswith("stages.")}
    save_file({**state, "head.1.weight": weight, "head.1.bias": bias}, tmp_path / "model.safetensors")
    card = {
        "format": 1,
        "backbone": "efficientnet_lite0",
        "classes": list(divided.classes),
        "preprocessing": LITE.preprocessing.to_json(),
        "weights": None,
    }
    (tmp_path / "model.json").write_text(json.dumps(card), "utf-8")
    paths, x = seen
    expected = softmax(x @ weight.numpy().T + bias.numpy())
    np.testing.assert_allclose(said(RunDirectory(tmp_path), paths, divided.classes), expected, atol=2e-3)


@pytest.mark.parametrize(
    ("name", "mean", "std"),
    [("unit", [0.0] * 3, [1.0] * 3), ("symmetric", [0.5] * 3, [0.5] * 3)],
)
def test_another_normalisation_reaches_training_the_card_and_every_answer(tmp_path, divided, cache, name, mean, std):
    """Of a white and a black photo by hand: 1 and 0, or 1 and −1."""
    config = TrainConfig(device="cpu", normalization=name, head_epochs=6, patience=100)
    run = new_run(tmp_path, config, divided)
    train(run, cache)
    card = json.loads(run.model_card.read_text("utf-8"))
    assert (card["preprocessing"]["mean"], card["preprocessing"]["std"]) == (mean, std)

    fed: list[Tensor] = []
    predictor = Predictor.load(run)
    body, predictor._body = predictor._body, lambda x: (fed.append(x.clone()), body(x))[1]
    side = LITE.preprocessing.crop
    predictor._compute([np.full((side, side, 3), 255, np.uint8), np.zeros((side, side, 3), np.uint8)])
    assert (fed[0][0].unique().tolist(), fed[0][1].unique().tolist()) == ([1.0], [(0.0 - mean[0]) / std[0]])

    paths = [Path(divided.root) / sample.path for sample in divided.test]
    look = LITE.preprocessing
    pixels = np.stack([centre(square(path, look.resize, look.interpolation), look.crop) for path in paths])
    x = pixels.astype(np.float32) / 255 if name == "unit" else pixels.astype(np.float32) / 127.5 - 1
    network = build("efficientnet_lite0", 3, weights=find(LITE, cache / "weights")).eval()
    network.head.load_state_dict(
        {k.removeprefix("head."): v for k, v in load_file(run.model).items() if k.startswith("head.")}
    )
    with torch.inference_mode():
        expected = network(torch.from_numpy(x).permute(0, 3, 1, 2).contiguous()).softmax(dim=1).numpy()
    np.testing.assert_allclose(said(run, paths, divided.classes), expected, atol=2e-3)


def test_the_vgg_classic_has_the_numbers_that_the_course_prints():
    """Keras prints 25,691,136 for Dense(1024) on 7 · 7 · 512, and 2,050 for two classes after it."""
    row = backbone("vgg16_without_top")
    assert trainable_parameters(row, "all", 2, hidden=(1024,)) == 25_691_136 + 2_050
    convolutions = models.vgg16(weights=None).features
    assert sum(stage.parameters for stage in row.stages) == sum(p.numel() for p in convolutions.parameters())
