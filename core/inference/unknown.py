"""Whether a photo is unlike everything a network learnt from, and which training photos it is most like.

Strangeness is the distance to the nearest training photos in the space of features: one minus the mean cosine with the
few nearest of them. Source: Sun, Ming, Zhu and Li 2022, "Out-of-Distribution Detection with Deep Nearest Neighbors",
section 3, who take the k-th nearest; the mean of the k nearest told small photo sets apart better.
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

    Plain tensor operations on one buffer, so that exporters take it along. ``references`` are (rows, width) features of
    training photos, each of length 1; ``samples`` says of which.
    """

    def __init__(self, references: Tensor, samples: Sequence[Reference], *, limit: float, neighbours: int) -> None:
        super().__init__()
        self.register_buffer("references", references.half())  # half the size, and no distance changes by 0.001
        self.references: Tensor
        self.samples = tuple(samples)
        self.limit, self.neighbours = limit, neighbours

    def forward(self, features: Tensor, logits: Tensor) -> Tensor:
        del logits  # what they add is told in docs/decisions: less than it costs
        return distances(features, self.references.float(), self.neighbours)

    def nearest(self, features: Tensor, count: int) -> list[tuple[Near, ...]]:
        """For each of (n, width) features the training photos most like it, the most alike first."""
        likeness = unit(features) @ self.references.float().T
        found = likeness.topk(min(count, len(self.samples)), dim=1)
        return [
            tuple(
                Near(self.samples[place].path, self.samples[place].label, likeness)
                for place, likeness in zip(places, values, strict=True)
            )
            for places, values in zip(found.indices.tolist(), found.values.tolist(), strict=True)
        ]

    def save(self, run: RunDirectory) -> None:
        """Replace ``run.known``; a crash leaves the old file or the new one."""
        told = {
            "format": FORMAT,
            "limit": self.limit,
            "neighbours": self.neighbours,
            "samples": [[sample.path, sample.label] for sample in self.samples],
        }
        tensors = {"references": self.references.cpu().contiguous()}
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
            detector = cls._of(*_read(run.known))
            _check(width in (None, detector.references.shape[1]))
            return detector
        except (SafetensorError, OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
            raise RunError("known.broken", run=run.id, file=run.known.name) from None

    @classmethod
    def _of(cls, told: dict[str, Any], references: Tensor) -> "Detector":
        if int(told["format"]) > FORMAT:
            raise RunError("predict.newer", value=int(told["format"]))
        samples = [Reference(str(path), str(label)) for path, label in told["samples"]]
        limit, neighbours = float(told["limit"]), int(told["neighbours"])
        _check(references.dim() == 2 and len(references) == len(samples))
        _check(references.is_floating_point() and bool(references.isfinite().all()))
        _check(1 <= neighbours <= len(samples) and math.isfinite(limit))
        return cls(references, samples, limit=limit, neighbours=neighbours)


def unit(features: Tensor) -> Tensor:
    """(n, width) of length 1, in 32 bits."""
    return F.normalize(features.float(), dim=1)


def distances(features: Tensor, references: Tensor, neighbours: int) -> Tensor:
    """(n,): one minus the mean cosine of (n, width) features with the nearest of (rows, width) unit references."""
    return 1 - (unit(features) @ references.T).topk(neighbours, dim=1).values.mean(dim=1)


def _read(path: Path) -> tuple[dict[str, Any], Tensor]:
    with safe_open(path, framework="pt") as file:
        told = json.loads((file.metadata() or {})[METADATA])
        return told, file.get_tensor("references")


def _check(holds: bool) -> None:
    if not holds:
        raise ValueError("not what a detector is made of")
