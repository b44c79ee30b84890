"""Where a network looked in a photo: heat for any class, with the answer and the features that go with it."""

import json
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from core.data.pixels import Pixels, centre, square
from core.errors import RunError
from core.inference.evidence import Evidence
from core.inference.predictor import ModelCard
from core.models.build import Network, restore
from core.runs.store import RunDirectory
from core.training.kept import normalised


@dataclass(frozen=True)
class Heat:
    """What spoke for ``target`` in a photo, place by place.

    ``values`` run from 0 to 1, the strongest place for ``target`` or for the answered class, whichever is stronger: so
    a class for which little speaks looks faint. They are the network's own coarse grid; ``core.inference.overlay``
    lays it on the photo.
    """

    values: NDArray[np.float32]  # (rows, columns)
    square: Pixels  # what the network saw, (crop, crop, 3)
    target: str
    probabilities: tuple[tuple[str, float], ...]  # of every class, the likeliest first
    features: NDArray[np.float32]  # (width,): what the head saw

    @property
    def empty(self) -> bool:
        """Whether no place spoke for the class."""
        return not self.values.any()


class Explainer:
    """One network in memory. Safe to share between threads: one photo is computed at a time."""

    def __init__(self, network: Network, card: ModelCard, device: torch.device) -> None:
        self.card = card
        self.device = device
        self._network = network.to(device).eval().requires_grad_(False)
        self._lock = threading.Lock()

    @classmethod
    def load(cls, run: RunDirectory, device: torch.device | None = None) -> "Explainer":
        """The model of a run. RunError while it has none."""
        if not run.has_model:
            raise RunError("runs.no_model", run=run.id)
        card = ModelCard.from_json(json.loads(run.model_card.read_text("utf-8")))
        network = restore(card.backbone, len(card.classes), load_file(run.model), head=card.head)
        return cls(network, card, device or torch.device("cpu"))

    def heat(self, photo: Path | bytes, target: str | None = None) -> Heat:
        """Where ``photo`` speaks for the class ``target``; None asks about the one that is answered.

        Raises:
            UnusablePhoto: it can't be opened, or isn't a picture.
        """
        wanted = self.card.preprocessing
        pixels = centre(square(photo, wanted.resize, wanted.interpolation), wanted.crop)
        with self._lock:
            batch = torch.from_numpy(np.ascontiguousarray(pixels)).to(self.device).permute(2, 0, 1)[None]
            evidence = Evidence(self._network, normalised(batch, wanted))
            chances = evidence.logits.detach().softmax(dim=0).cpu().numpy()
            order = np.argsort(-chances, kind="stable")
            answered = int(order[0])
            asked = answered if target is None else self.card.classes.index(target)
            values = _positive(evidence, asked)
            strongest = max(values.max(), _positive(evidence, answered).max())
            features = evidence.features.detach()[0].float().cpu().numpy()
        names = self.card.classes
        return Heat(
            values / strongest if strongest > 0 else values,
            pixels,
            names[asked],
            tuple((names[place], float(chances[place])) for place in order),
            features,
        )


def _positive(evidence: Evidence, target: int) -> NDArray[np.float32]:
    """What speaks for the class; what speaks against it is not shown."""
    return evidence.of(target).clamp(min=0).float().cpu().numpy()
