"""The two set-ups that courses teach, against the courses' own loops: plain torchvision and PyTorch, nothing of Graft.

Taken from Graft are only what is drawn by chance, by their published rules: the order of the photos and the dropout of
an epoch come from ``seed · 100,003 + epoch``, a new head's weights from ``seed``. Frozen stages compute in 32 bits
here, whatever this processor would gain from 16, so that all numbers may be compared closely.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision import models

from core.config import TrainConfig
from core.data.report import Sample, Split
from core.data.scan import scan
from core.data.split import split
from core.events import Ended, EpochEnded
from core.models import fast
from core.models.registry import backbone
from core.models.weights import import_file
from core.recipes import Facts, recipe
from core.runs import store
from core.runs.store import RunDirectory
from core.training.fit import fit
from core.training.run import Folders
from tests.photos import make_folder

pytestmark = pytest.mark.slow

SEED = 3
CLASSES = 3
CLOSE = 1e-4  # of the losses, relative; measured: 2e-5 at most
LAST_CONVOLUTION = (
    0.1  # VGG's is made smaller by, or one step of Adam on 25,088 large random features throws the head about
)


@dataclass(frozen=True)
class Epoch:
    """What the plain loop saw in one epoch, and the weights after it."""

    train_loss: float
    val_loss: float
    weights: list[Tensor]


@dataclass(frozen=True)
class Part:
    """(n, …) what the model takes, and (n,) targets."""

    x: Tensor
    y: Tensor


@pytest.fixture(autouse=True)
def in_32_bits(monkeypatch):
    """As where 16 bits are not faster."""
    monkeypatch.setattr(fast, "_gain", lambda *_: 0.0)


@pytest.fixture(scope="module")
def divided(tmp_path_factory) -> Split:
    """Judged on photos that are learnt from: so the last epoch is the best one, whose weights Graft keeps."""
    made = split(scan(make_folder(tmp_path_factory.mktemp("photos"), per_class=8)), val_share=0, test_share=0)
    assert (len(made.train), len(made.classes)) == (24, CLASSES)
    return replace(made, val=made.train[::4])


@pytest.fixture(scope="module")
def resnet(divided, tmp_path_factory) -> tuple[Path, Path]:
    """A folder with a file of random weights for ResNet-18 in it, and the file: no download.

    Its BatchNorm statistics are measured on the photos, so that features are as large as trained ones.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = models.resnet18(weights=None)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the plain mean of what was seen
    with torch.no_grad():
        model.train()(read(divided.train, divided, "resnet18").x)
    return kept_as_weights(model, "resnet18", tmp_path_factory.mktemp("weights"))


def test_the_frozen_half_of_the_resnet_textbook_is_the_tutorials_loop(divided, resnet, tmp_path):
    config = replace(textbook("textbook_resnet18", divided, gpu=False), head_epochs=9)
    body = models.resnet18(weights=None)
    body.load_state_dict(torch.load(resnet[1], weights_only=True))
    body.fc = nn.Identity()
    train, val = (features(body, read(part, divided, "resnet18")) for part in (divided.train, divided.val))
    assert 0.1 < float(train.x.mean()) < 10, "features of the size that trained networks have"
    head = zeroed(nn.Linear(512, CLASSES))
    optimizer = torch.optim.SGD(head.parameters(), lr=0.001, momentum=0.9)
    steps = torch.optim.lr_scheduler.StepLR(optimizer, step_size=7, gamma=0.1)
    plain = taught(head, optimizer, steps, train, val, epochs=9, batch_size=4)

    run, told, ended = trained(config, divided, resnet[0], tmp_path)
    assert_same_losses(told, plain, "head")
    assert plain[-1].train_loss < 0.8 * plain[0].train_loss, "it learns, or equal losses would say little"
    assert [event.learning_rate for event in told] == pytest.approx([0.001] * 7 + [0.0001] * 2)
    best = best_of(plain, ended)
    assert_weights_close(head_of(run), best.weights)


def test_the_other_half_of_the_resnet_textbook_trains_every_weight_as_the_tutorial_does(divided, resnet, tmp_path):
    """Without the changed copies, whose randomness is Graft's own, and for two epochs of a few photos."""
    few = replace(divided, train=divided.train[::2])
    config = replace(textbook("textbook_resnet18", few, gpu=True), epochs=2, augment="none")
    model = models.resnet18(weights=None)
    model.load_state_dict(torch.load(resnet[1], weights_only=True))
    model.fc = zeroed(nn.Linear(512, CLASSES))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.001, momentum=0.9)
    steps = torch.optim.lr_scheduler.StepLR(optimizer, step_size=7, gamma=0.1)
    train, val = (read(part, few, "resnet18") for part in (few.train, few.val))
    before = [value.clone() for value in model.parameters()]
    plain = taught(model, optimizer, steps, train, val, epochs=2, batch_size=4)

    run, told, ended = trained(config, few, resnet[0], tmp_path)
    assert_same_losses(told, plain, "finetune")
    best = best_of(plain, ended)
    stages = [value for name, value in load_file(run.model).items() if name.startswith("stages.")]
    count = len(list(model.parameters()))
    assert len(stages) + 2 == len(best.weights)  # the head's two
    assert not any(torch.equal(a, b) for a, b in zip(before, best.weights[:count], strict=True))
    assert_weights_close(head_of(run), best.weights[count - 2 : count])
    # Both tell apart the same tensors in another order; each is known by its sum and its length.
    wanted = best.weights[: count - 2] + best.weights[count:]
    torch.testing.assert_close(fingerprints(stages), fingerprints(wanted), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_the_vgg_textbook_is_the_keras_courses_network_with_adam(divided, tmp_path):
    """Flatten, Dense(1024, relu), Dropout(0.5), Dense(classes): with Keras's rate of 0.001 and its batches of 32."""
    few = replace(divided, train=divided.train[::3], val=divided.train[::6])
    config = replace(textbook("textbook_vgg16", few, gpu=False), head_epochs=4)
    vgg = random_vgg16()
    folder, _ = kept_as_weights(vgg, "vgg16_without_top", tmp_path / "weights")
    body = nn.Sequential(vgg.features, nn.Flatten())
    train, val = (features(body, read(part, few, "vgg16")) for part in (few.train, few.val))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        hidden = nn.Linear(25_088, 1024)
    head = nn.Sequential(hidden, nn.ReLU(), nn.Dropout(0.5), zeroed(nn.Linear(1024, CLASSES)))
    plain = taught(head, torch.optim.Adam(head.parameters(), lr=0.001), None, train, val, epochs=4, batch_size=32)

    run, told, ended = trained(config, few, folder, tmp_path)
    assert_same_losses(told, plain, "head")
    assert plain[-1].train_loss < plain[0].train_loss
    assert_weights_close(head_of(run), best_of(plain, ended).weights)


# ---- The courses' side: torchvision and PyTorch alone ---------------------------------------------------------------


def taught(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    scheduler: torch.optim.lr_scheduler.LRScheduler | None,
    train: Part,
    val: Part,
    *,
    epochs: int,
    batch_size: int,
) -> list[Epoch]:
    """The loop as every course has it."""
    seen: list[Epoch] = []
    for epoch in range(1, epochs + 1):
        seed = SEED * 100_003 + epoch
        order = torch.randperm(len(train.y), generator=torch.Generator().manual_seed(seed))
        torch.manual_seed(seed)  # dropout
        model.train()
        total = 0.0
        for chosen in order.split(batch_size):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(train.x[chosen]), train.y[chosen])
            loss.backward()
            optimizer.step()
            total += loss.item() * len(chosen)
        if scheduler is not None:
            scheduler.step()
        model.eval()
        with torch.no_grad():
            judged = nn.functional.cross_entropy(model(val.x), val.y).item()
        weights = [value.detach().clone() for value in (*model.parameters(), *model.buffers())]
        seen.append(Epoch(total / len(train.y), judged, weights))
    return seen


def read(samples: tuple[Sample, ...], divided: Split, network: str) -> Part:
    """Photos as torchvision's own preprocessing reads them."""
    transforms = models.get_model_weights(network).IMAGENET1K_V1.transforms()
    photos = [transforms(Image.open(Path(divided.root) / sample.path).convert("RGB")) for sample in samples]
    return Part(torch.stack(photos), torch.tensor([sample.target for sample in samples]))


def features(body: nn.Module, part: Part) -> Part:
    with torch.no_grad():
        return Part(body.eval()(part.x), part.y)


def zeroed(layer: nn.Linear) -> nn.Linear:
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def random_vgg16() -> nn.Module:
    """torchvision's, with random convolutions, and without memory for the top, which nobody asks for."""
    with torch.device("meta"):
        model = models.vgg16(weights=None, init_weights=False)
    model.features.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(1)
    for module in model.features:
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
            nn.init.zeros_(module.bias)
    model.features[28].weight.data *= LAST_CONVOLUTION
    return model


# ---- Graft's side ---------------------------------------------------------------------------------------------------


def kept_as_weights(model: nn.Module, name: str, folder: Path) -> tuple[Path, Path]:
    """The folder and the file after importing the network's weights as those of backbone ``name``."""
    folder.mkdir(exist_ok=True)
    path = folder / "mine.pth"
    torch.save({key: value for key, value in model.state_dict().items() if not value.is_meta}, path)
    import_file(path, backbone(name), folder)
    return folder, path


def textbook(preset: str, divided: Split, *, gpu: bool) -> TrainConfig:
    facts = Facts(photos=len(divided.train), classes=CLASSES, stages=4, gpu=gpu)
    config = recipe(preset, facts, seed=SEED).config  # type: ignore[arg-type]
    return replace(config, device="cpu", precision="float32")


def trained(
    config: TrainConfig, divided: Split, weights: Path, folder: Path
) -> tuple[RunDirectory, list[EpochEnded], Ended]:
    run = store.create(folder / "run", config, divided, title="t", dataset={})
    events = list(fit(config, divided, run, Folders(weights, folder / "kept")))
    ended = events[-1]
    assert isinstance(ended, Ended)
    assert ended.reason == "complete"
    return run, [event for event in events if isinstance(event, EpochEnded)], ended


def head_of(run: RunDirectory) -> list[Tensor]:
    """The learnt weights of the saved head, from the features on; it takes the features as they come."""
    held = {name: value for name, value in load_file(run.model).items() if name.startswith("head.")}
    assert float(held.pop("head.scale")) == 1
    assert not held.pop("head.mean").any()
    layers = sorted({name.rpartition(".")[0] for name in held})
    return [held[f"{layer}.{kind}"] for layer in layers for kind in ("weight", "bias")]


def fingerprints(tensors: list[Tensor]) -> Tensor:
    """(n, 3) element count, sum and length of each, in the order of these."""
    rows = [[value.numel(), float(value.double().sum()), float(value.double().norm())] for value in tensors]
    return torch.tensor(sorted(rows))


def best_of(plain: list[Epoch], ended: Ended) -> Epoch:
    """The epoch whose weights Graft kept, which has to be the one with the lowest validation loss."""
    losses = [epoch.val_loss for epoch in plain]
    assert ended.best_epoch == losses.index(min(losses)) + 1
    return plain[ended.best_epoch - 1]


def assert_same_losses(told: list[EpochEnded], plain: list[Epoch], phase: str) -> None:
    assert {event.phase for event in told} == {phase}
    assert [event.train_loss for event in told] == pytest.approx([epoch.train_loss for epoch in plain], rel=CLOSE)
    assert [event.val_loss for event in told] == pytest.approx([epoch.val_loss for epoch in plain], rel=CLOSE)


def assert_weights_close(ours: list[Tensor], theirs: list[Tensor]) -> None:
    assert [value.shape for value in ours] == [value.shape for value in theirs]
    for our, their in zip(ours, theirs, strict=True):
        assert float(their.norm()) > 0
        assert float((our - their).norm() / their.norm()) < 1e-3
