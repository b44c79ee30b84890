"""The frozen part of a network, made quick: decoded squares in, activations and features out, and where those are kept.

Which stages compute in 16 bits is decided once for the whole body and remembered beside the rows. So rows match each
other wherever the network is cut, in whatever run and by whatever process they were made.
"""

import json
from collections.abc import Collection
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from core.models.build import Network
from core.models.fast import MOST_TRIED, FastStages, fast_frozen
from core.models.registry import Preprocessing
from core.training.augment import kept_view
from core.training.keys import Recipe as Recipe
from core.training.keys import What, key, row, store
from core.training.rows import RowStore
from core.workspace import write_atomically

LARGEST_HALF = 65504.0  # float16 holds no more; beyond, an activation would become infinite


class QuickBody:
    """A network's stages made quick, once for as many recipes as want them, with the decision about 16 bits."""

    def __init__(self, network: Network, device: torch.device, mix: Path | None) -> None:
        self.network, self.device = network, device
        self.mix = mix  # where the decision stands; None: 32 bits throughout

    # Made when the first photo needs them: preparing the stages takes a second, which a run whose rows are all kept
    # already does not spend.
    @cached_property
    def plain(self) -> FastStages:
        """In 32 bits, as the predictor computes."""
        return fast_frozen(self.network.stages, self.device, precision="float32")

    @cached_property
    def stages(self) -> FastStages:
        return self.plain if self.mix is None else self.plain.quicker(read_mix(self.mix))

    def exactly(self) -> "QuickBody":
        """One that computes in 32 bits throughout, from the same prepared stages if there are any yet."""
        body = QuickBody(self.network, self.device, None)
        if "plain" in self.__dict__:
            body.plain = self.plain
        return body

    def decide(self, x: Tensor) -> None:
        """Let the first photos decide about 16 bits; where another process has decided meanwhile, do as it did."""
        if self.mix is None or self.stages.decided is not None:
            return
        self.stages(x[:MOST_TRIED])
        decided = self.stages.exact_stages
        agreed = remember_mix(self.mix, decided)
        if agreed != decided:
            self.stages = self.plain.quicker(agreed)

    def run(self, x: Tensor, first: int, last: int) -> Tensor:
        """Stages ``first`` up to, not including, ``last``; float32 in and out."""
        for place in range(first, last):
            if place >= self.stages.exact_stages:
                x = x.bfloat16()
            x = self.stages.body[place](x)
        return x.float()


class FrozenPart:
    """Turns decoded squares into activations and features with the pretrained body."""

    def __init__(
        self, network: Network, recipe: Recipe, device: torch.device, cache: Path, body: QuickBody | None = None
    ) -> None:
        self.network = network
        self.recipe = recipe
        self.device = device
        self.cache = cache
        self.backbone = network.backbone
        self.preprocessing = network.backbone.preprocessing
        mix = None if recipe.exact else cache / f"{key(self.backbone, recipe, device.type, 'mix', 0)}.json"
        self.body = body or QuickBody(network, device, mix)

    def following(self, recipe: Recipe) -> "FrozenPart":
        """One for another recipe of the same network that shares the stages prepared for this one."""
        if recipe.weights_sha256 != self.recipe.weights_sha256 or (self.recipe.exact and not recipe.exact):
            raise ValueError("a frozen part can't follow a recipe with other weights or a lower precision")
        body = self.body.exactly() if recipe.exact and not self.recipe.exact else self.body
        return FrozenPart(self.network, recipe, self.device, self.cache, body)

    def wanted(self, view: int) -> list[What]:
        """What is kept of this view."""
        wanted: list[What] = ["features"] if self.recipe.features else []
        # With nothing frozen all views are cut from the same squares while training: they are kept once.
        if self.recipe.activations and (self.recipe.frozen_stages > 0 or view == 0):
            wanted.append("activations")
        return wanted

    def store(self, what: What, view: int) -> RowStore:
        return store(self.cache, self.backbone, self.recipe, self.device.type, what, view)

    def row(self, what: What) -> tuple[tuple[int, ...], str]:
        """Shape and dtype of what one photo gives."""
        return row(self.backbone, self.recipe, what)

    def make(
        self, pixels: np.ndarray, hashes: list[str], view: int, wanted: Collection[What]
    ) -> dict[What, np.ndarray]:
        """What this view of ``pixels`` (n, side, side, 3) uint8 gives of features (n, width) and activations."""
        boundary = self.recipe.frozen_stages
        if boundary == 0 and "features" not in wanted:
            return {"activations": pixels}
        made: dict[What, np.ndarray] = {}
        with torch.inference_mode():
            batch = torch.from_numpy(pixels).to(self.device).permute(0, 3, 1, 2)
            cut = kept_view(batch, self.preprocessing.crop, self.recipe.augment, hashes, view)
            x = normalised(cut, self.preprocessing)
            self.body.decide(x)
            x = self.body.run(x, 0, boundary)
            if "activations" in wanted:
                made["activations"] = half(x) if boundary else pixels
            if "features" in wanted:
                made["features"] = self.body.run(x, boundary, len(self.network.stages)).cpu().numpy()
        return made


def read_mix(path: Path) -> int | None:
    """How many stages stay in 32 bits, as somebody decided; None while nobody has."""
    try:
        return int(json.loads(path.read_text("utf-8"))["exact_stages"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remember_mix(path: Path, exact_stages: int) -> int:
    """Write a decision down, unless there is one already; returns the one that holds. Whoever is first decides."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        before = read_mix(path)
        if before is not None:
            return before
        write_atomically(path, json.dumps({"exact_stages": exact_stages}).encode())
        return exact_stages


def half(x: Tensor) -> np.ndarray:
    """As float16 on the processor; what is too large for it becomes the largest instead of infinite."""
    return x.clamp(-LARGEST_HALF, LARGEST_HALF).half().cpu().numpy()


def normalised(pixels: Tensor, preprocessing: Preprocessing) -> Tensor:
    """(n, 3, h, w) uint8 → float32 as the backbone was trained: (x / 255 - mean) / std, channels last in memory."""
    mean = torch.tensor(preprocessing.mean, device=pixels.device).view(1, 3, 1, 1)
    std = torch.tensor(preprocessing.std, device=pixels.device).view(1, 3, 1, 1)
    x = (pixels.float() / 255 - mean) / std
    return x.contiguous(memory_format=torch.channels_last)
