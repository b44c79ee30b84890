"""Where a network looked in a photo: heat for any class, with the answer and the training photos nearest to it."""

import json
import threading
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from core.data.pixels import centre, square
from core.errors import RunError
from core.inference.evidence import Evidence
from core.inference.heat import Heat as Heat
from core.inference.predictor import ModelCard
from core.inference.unknown import Detector, Near
from core.models.build import Network, restore
from core.runs.store import RunDirectory
from core.training.kept import normalised


class Explainer:
    """One network in memory. Safe to share between threads: one photo is computed at a time."""

    def __init__(
        self, network: Network, card: ModelCard, device: torch.device, detector: Detector | None = None
    ) -> None:
        self.card = card
        self.device = device
        self.detector = detector.to(device) if detector else None
        self._network = network.to(device).eval().requires_grad_(False)
        self._lock = threading.Lock()

    @classmethod
    def load(cls, run: RunDirectory, device: torch.device | None = None) -> "Explainer":
        """The model of a run. RunError while it has none, or where a file of it is broken."""
        if not run.has_model:
            raise RunError("runs.no_model", run=run.id)
        card = ModelCard.from_json(json.loads(run.model_card.read_text("utf-8")))
        network = restore(card.backbone, len(card.classes), load_file(run.model), head=card.head)
        return cls(network, card, device or torch.device("cpu"), Detector.load(run, network.backbone.feature_width))

    def heat(self, photo: Path | bytes, target: str | None = None, near: int = 0) -> Heat:
        """Where ``photo`` speaks for the class ``target``; None asks about the one that is answered.

        ``near`` is how many training photos most like it to name as well.

        Raises:
            UnusablePhoto: it can't be opened, or isn't a picture.
        """
        names, wanted = self.card.classes, self.card.preprocessing
        pixels = centre(square(photo, wanted.resize, wanted.interpolation), wanted.crop)
        with self._lock:
            batch = torch.from_numpy(np.ascontiguousarray(pixels)).to(self.device).permute(2, 0, 1)[None]
            evidence = Evidence(self._network, normalised(batch, wanted))
            chances = evidence.logits.detach().softmax(dim=0).cpu().numpy()
            order = np.argsort(-chances, kind="stable")
            answered = int(order[0])
            asked = answered if target is None else names.index(target)
            values = _positive(evidence, asked)
            strongest = values.max()
            if asked != answered:
                strongest = max(strongest, _positive(evidence, answered).max())
            unknown, alike = self._compared(evidence, near)
        return Heat(
            values / strongest if strongest > 0 else values,
            pixels,
            names[asked],
            wanted,
            tuple((names[place], float(chances[place])) for place in order),
            unknown,
            alike,
        )

    def _compared(self, evidence: Evidence, near: int) -> tuple[bool, tuple[Near, ...]]:
        """Whether the photo is unlike what the run knows, and what of that is nearest to it."""
        if self.detector is None:
            return False, ()
        with torch.no_grad():
            strangeness = float(self.detector(evidence.features, evidence.logits[None]))
            alike = self.detector.nearest(evidence.features, near)[0] if near else ()
        return strangeness > self.detector.limit, alike


def _positive(evidence: Evidence, target: int) -> NDArray[np.float32]:
    """What speaks for the class; what speaks against it is not shown."""
    return evidence.of(target).clamp(min=0).float().cpu().numpy()
