"""The network of every exported form: pixels in, all of the app's answers out, so that no user needs a formula."""

import json

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from core.inference.calibration import COOLEST
from core.inference.predictor import ModelCard
from core.inference.unknown import Detector
from core.models.build import Network, restore
from core.runs.store import RunDirectory

INPUT = "pixels"
OUTPUTS = ("probabilities", "calibrated", "strangeness")


class Whole(nn.Module):
    """(n, 3, crop, crop) float32, normalised → probabilities and calibrated (n, classes), strangeness (n,).

    Without a temperature the calibrated ones are the probabilities; without a detector nothing is strange: all zeros.
    """

    def __init__(self, network: Network, temperature: float | None, detector: Detector | None) -> None:
        super().__init__()
        self.network, self.detector = network, detector
        self.temperature = max(temperature or 1.0, COOLEST)
        self.requires_grad_(False).eval()
        for module in self.network.modules():
            if getattr(module, "inplace", False):  # saves memory while training; exporters take long to undo it
                module.inplace = False  # type: ignore[assignment]

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        features = self.network.features(pixels)
        logits = self.network.head(features)
        probabilities = logits.softmax(dim=1)
        calibrated = (logits / self.temperature).softmax(dim=1)
        # Not a constant: an output that no photo has a say in is left out by the exporters.
        strangeness = probabilities[:, 0] * 0 if self.detector is None else self.detector(features, logits)
        return probabilities, calibrated, strangeness


def network_of(run: RunDirectory) -> tuple[ModelCard, Network]:
    """A run's card and its network as it was trained: nothing folded, nothing rounded."""
    card = ModelCard.from_json(json.loads(run.model_card.read_text("utf-8")))
    return card, restore(card.backbone, len(card.classes), load_file(run.model), head=card.head)


def whole(run: RunDirectory, network: Network, temperature: float | None) -> Whole:
    return Whole(network, temperature, Detector.load(run))


def example(card: ModelCard) -> Tensor:
    """Two photos of the right size: from a batch of one, torch.export makes a program that takes only one."""
    side = card.preprocessing.crop
    return torch.zeros(2, 3, side, side)
