"""A trained network ready to answer: loads what a run wrote, looks at photos as training did, gives probabilities."""

import json
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from core.config import TrainConfig
from core.data.image import UnusablePhoto
from core.data.pixels import Pixels, centre, squares
from core.data.report import Split
from core.errors import RunError
from core.inference.unknown import Detector
from core.inference.unknown import Near as Near
from core.models.build import Network, restore
from core.models.fast import fast_frozen
from core.models.head import HeadSpec
from core.models.registry import Preprocessing
from core.models.weights import WeightsFile
from core.runs.store import RunDirectory
from core.training import checkpoint
from core.training.checkpoint import Checkpoint
from core.training.kept import normalised
from core.workspace import write_atomically

FORMAT = 2
BATCH = 32


@dataclass(frozen=True)
class ModelCard:
    """What a network needs to be used, stored beside its weights."""

    backbone: str
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    weights: dict[str, str] | None  # where the pretrained ones came from; None: from scratch
    head: HeadSpec

    @classmethod
    def of(cls, config: TrainConfig, split: Split, network: Network, weights: WeightsFile | None) -> "ModelCard":
        source = {"source": weights.source, "sha256": weights.sha256} if weights else None
        return cls(config.backbone, split.classes, network.backbone.preprocessing, source, network.head.spec)

    def to_json(self) -> dict[str, object]:
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_json(cls, data: dict) -> "ModelCard":  # type: ignore[type-arg]
        if int(data["format"]) > FORMAT:
            raise RunError("predict.newer", value=data["format"])
        return cls(
            data["backbone"],
            tuple(data["classes"]),
            Preprocessing.from_json(data["preprocessing"]),
            data["weights"],
            HeadSpec.from_json(data.get("head", {})),  # format 1 knew linear heads only
        )


@dataclass(frozen=True)
class Prediction:
    """The answer for one photo: every class with its probability, the most likely first.

    ``strangeness`` says how unlike the training photos it is; beyond the run's limit it is ``unknown``. None where the
    run has no limit, and ``near`` is empty unless it was asked for.
    """

    top: tuple[tuple[str, float], ...]
    strangeness: float | None = None
    unknown: bool = False
    near: tuple[Near, ...] = ()

    @property
    def label(self) -> str:
        return self.top[0][0]

    @property
    def confidence(self) -> float:
        return self.top[0][1]


class Predictor:
    """One network in memory. Safe to share between threads: one photo batch is computed at a time.

    ``detector`` tells photos that the network can't know; None where the run has none.
    """

    def __init__(
        self, network: Network, card: ModelCard, device: torch.device, detector: Detector | None = None
    ) -> None:
        self.card = card
        self.device = device
        self.detector = detector.to(device) if detector else None
        # Folded and laid out for speed, in 32 bits throughout: the same numbers but for rounding, twice as fast.
        self._body = fast_frozen(network.stages, device, precision="float32")
        self._head = network.head.to(device).eval()
        self._lock = threading.Lock()

    @classmethod
    def load(cls, run: RunDirectory, device: torch.device | None = None) -> "Predictor":
        """The model of a run. RunError while it has none, or where a file of it is broken."""
        if not run.has_model:
            raise RunError("runs.no_model", run=run.id)
        card = ModelCard.from_json(json.loads(run.model_card.read_text("utf-8")))
        network = restore(card.backbone, len(card.classes), load_file(run.model), head=card.head)
        return cls(network, card, device or torch.device("cpu"), Detector.load(run, network.backbone.feature_width))

    def predict(self, sources: Iterable[Path | bytes], near: int = 0) -> Iterator[Prediction | UnusablePhoto]:
        """One answer a photo, in order; a photo that can't be read gives its error instead of an answer.

        ``near`` is how many training photos most like it to name with each answer.
        """
        for batch, said in self._batches(sources, near):
            rows = iter(said.predictions(self.card.classes, self.detector))
            yield from (square if isinstance(square, UnusablePhoto) else next(rows) for square in batch)

    def probabilities(
        self, sources: Iterable[Path | bytes]
    ) -> Iterator[tuple[list[Pixels | UnusablePhoto], np.ndarray]]:
        """Batches of decoded photos and the (readable photos, classes) float32 probabilities of those that are."""
        for batch, said in self._batches(sources):
            yield batch, said.probabilities

    def _batches(
        self, sources: Iterable[Path | bytes], near: int = 0
    ) -> "Iterator[tuple[list[Pixels | UnusablePhoto], _Said]]":
        preprocessing = self.card.preprocessing
        decoded = squares(sources, preprocessing.resize, preprocessing.interpolation)
        while batch := list(islice(decoded, BATCH)):
            readable = [centre(square, preprocessing.crop) for square in batch if not isinstance(square, UnusablePhoto)]
            yield batch, self._compute(readable, near)

    def _compute(self, crops: Sequence[Pixels], near: int = 0) -> "_Said":
        if not crops:
            return _Said(np.empty((0, len(self.card.classes)), np.float32))
        with self._lock, torch.inference_mode():
            pixels = torch.from_numpy(np.stack(crops)).to(self.device).permute(0, 3, 1, 2)
            features = self._body(normalised(pixels, self.card.preprocessing))
            logits = self._head(features)
            chances = logits.softmax(dim=1).cpu().numpy()
            if self.detector is None:
                return _Said(chances)
            strangeness = self.detector(features, logits).cpu().numpy()
            return _Said(chances, strangeness, self.detector.nearest(features, near) if near else ())


@dataclass(frozen=True)
class _Said:
    """What a batch of photos gave: (n, classes) probabilities, and (n,) strangeness where there is a detector."""

    probabilities: np.ndarray
    strangeness: np.ndarray | None = None
    near: Sequence[tuple[Near, ...]] = ()

    def predictions(self, names: tuple[str, ...], detector: Detector | None) -> Iterator[Prediction]:
        for place, chances in enumerate(self.probabilities):
            top = tuple((names[i], float(chances[i])) for i in np.argsort(-chances, kind="stable"))
            if self.strangeness is None or detector is None:
                yield Prediction(top)
                continue
            strangeness = float(self.strangeness[place])
            near = self.near[place] if self.near else ()
            yield Prediction(top, strangeness, strangeness > detector.limit, near)


def write_model(run: RunDirectory, network: Network, card: ModelCard) -> None:
    """Store the whole network; the card comes last, so that a model with a card is whole.

    What an earlier model of the run knew is forgotten: it is of other features.
    """
    run.known.unlink(missing_ok=True)
    checkpoint.save(run.model, Checkpoint(network.state_dict(), {"backbone": card.backbone}))
    write_atomically(run.model_card, json.dumps(card.to_json(), ensure_ascii=False, indent=1).encode())
