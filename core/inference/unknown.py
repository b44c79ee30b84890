"""Whether a photo is unlike everything a network learnt from, and which training photos it is most like.

Strangeness is the distance to the nearest training photos in the space of features: one minus the cosine to the
``neighbours``-th nearest of them, features counted from the training photos' mean. Source: Sun, Ming, Zhu and Li 2022,
"Out-of-Distribution Detection with Deep Nearest Neighbors", section 3.
"""

import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from core.errors import RunError
from core.runs.store import RunDirectory

FORMAT = 1
METADATA = "graft"


@dataclass(frozen=True)
class Near:
    """A training photo that looks like the one in question to the network; ``likeness`` is a cosine."""

    path: str  # below the root of the run's training photos
    label: str
    likeness: float


@dataclass(frozen=True)
class Reference:
    """The training photo that a row of the detector is of."""

    path: str
    label: str


class Detector(nn.Module):
    """(n, width) features and their (n, classes) logits → (n,) strangeness; above ``limit`` a photo is unknown.

    Plain tensor operations on buffers alone, so that exporters take it along.
    """

    def __init__(
        self,
        references: Tensor,
        mean: Tensor,
        samples: Sequence[Reference],
        *,
        limit: float,
        neighbours: int,
        energy_weight: float = 0.0,
    ) -> None:
        super().__init__()
        self.register_buffer("references", references.half())
        self.register_buffer("mean", mean.float())
        self.references: Tensor
        self.mean: Tensor
        self.samples = tuple(samples)
        self.limit, self.neighbours, self.energy_weight = limit, neighbours, energy_weight

    def forward(self, features: Tensor, logits: Tensor) -> Tensor:
        nearest = self._likeness(features).topk(self.neighbours, dim=1).values
        distance = 1 - nearest[:, -1]
        return distance - self.energy_weight * logits.float().logsumexp(dim=1)

    def nearest(self, features: Tensor, count: int) -> list[tuple[Near, ...]]:
        """For each of (n, width) features the training photos most like it, the most alike first."""
        found = self._likeness(features).topk(min(count, len(self.samples)), dim=1)
        return [
            tuple(
                Near(self.samples[place].path, self.samples[place].label, likeness)
                for place, likeness in zip(places, values, strict=True)
            )
            for places, values in zip(found.indices.tolist(), found.values.tolist(), strict=True)
        ]

    def _likeness(self, features: Tensor) -> Tensor:
        """(n, rows) cosines."""
        return F.normalize(features.float() - self.mean, dim=1) @ self.references.float().T

    def save(self, run: RunDirectory) -> None:
        """Replace ``run.known``; a crash leaves the old file or the new one."""
        told = {
            "format": FORMAT,
            "limit": self.limit,
            "neighbours": self.neighbours,
            "energy_weight": self.energy_weight,
            "samples": [[sample.path, sample.label] for sample in self.samples],
        }
        tensors = {name: buffer.cpu().contiguous() for name, buffer in self.named_buffers()}
        temporary = run.known.with_name(f".{run.known.name}.{os.getpid()}.tmp")
        save_file(tensors, temporary, metadata={METADATA: json.dumps(told, ensure_ascii=False, allow_nan=False)})
        os.replace(temporary, run.known)

    @classmethod
    def load(cls, run: RunDirectory, width: int | None = None) -> "Detector | None":
        """What the run knows, or None where it was made before runs knew anything of the kind.

        ``width`` is that of the features it will be given, where the caller knows it.

        Raises:
            RunError: the file is there and doesn't hold what it must. A model that has lost its "I don't know" must
                not answer as if everything were known to it.
        """
        if not run.known.exists():
            return None
        try:
            told, tensors = _read(run.known)
            detector = cls._of(told, tensors)
            _check(width in (None, len(detector.mean)))
            return detector
        except (SafetensorError, OSError, ValueError, KeyError, TypeError, RecursionError):
            raise RunError("known.broken", run=run.id, file=run.known.name) from None

    @classmethod
    def _of(cls, told: dict[str, Any], tensors: dict[str, Tensor]) -> "Detector":
        if int(told["format"]) > FORMAT:
            raise RunError("predict.newer", value=int(told["format"]))
        samples = [Reference(str(path), str(label)) for path, label in told["samples"]]
        limit, weight, neighbours = float(told["limit"]), float(told["energy_weight"]), int(told["neighbours"])
        references, mean = tensors["references"], tensors["mean"]
        _check(references.dim() == 2 and mean.dim() == 1 and references.shape == (len(samples), len(mean)))
        _check(1 <= neighbours <= len(samples))
        _check(math.isfinite(limit) and math.isfinite(weight))
        _check(references.is_floating_point() and mean.is_floating_point())
        _check(bool(references.isfinite().all()) and bool(mean.isfinite().all()))
        return cls(references, mean, samples, limit=limit, neighbours=neighbours, energy_weight=weight)


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    with safe_open(path, framework="pt") as file:
        told = json.loads((file.metadata() or {})[METADATA])
        return told, {name: file.get_tensor(name) for name in ("references", "mean")}


def _check(holds: bool) -> None:
    if not holds:
        raise ValueError("not what a detector is made of")
