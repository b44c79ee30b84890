"""Fine-tuning: from the converged head on, the stages that are not frozen learn as well, gently.

The head comes first, so that a random one can't spoil the pretrained stages (LP-FT, Kumar et al. 2022, section 4).
Earlier stages hold more general features and get smaller steps (discriminative learning rates, Howard and Ruder 2018,
section 3.1). The rate warms up and then falls as a half cosine (Loshchilov and Hutter 2017).
"""

import random
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from core.config import TrainConfig
from core.models.build import Network
from core.training.augment import augmented, centre
from core.training.device import to_device
from core.training.kept import normalised
from core.training.optimizers import Groups
from core.training.plan import Plan
from core.training.rows import Readable, gathered

JUDGE_BATCH = 64


class KeptActivations:
    """What leaves the last frozen stage, one set of rows a view; with nothing frozen, the decoded squares."""

    def __init__(
        self,
        config: TrainConfig,
        network: Network,
        boundary: int,
        train: Sequence[Readable],
        train_targets: Tensor,
        val: Readable,
        val_targets: Tensor,
        device: torch.device,
    ) -> None:
        self.config, self.boundary, self.device = config, boundary, device
        self.preprocessing = network.backbone.preprocessing
        self.train_targets, self.val_count = train_targets, len(val_targets)
        self._train, self._val, self._val_targets = train, val, val_targets.to(device)
        self.memory_format = torch.channels_last

    def some(self, photos: int) -> Tensor:
        """The first few, for a trial."""
        return self.train(torch.arange(min(photos, len(self.train_targets))), 1)

    def train(self, chosen: Tensor, epoch: int) -> Tensor:
        """A view of each photo, drawn from the seed, the epoch and the photo alone."""
        places = chosen.numpy()
        draws = [random.Random(f"{self.config.seed} {epoch} {place}") for place in places]
        if not self.boundary:
            squares = self._squares(self._train[0][places])
            crops = augmented(squares, self.preprocessing.crop, self.config.augment, draws)
            return self._laid_out(normalised(crops, self.preprocessing))
        views = np.array([draw.randrange(len(self._train)) for draw in draws])
        return self._activations(gathered(self._train, views, places))

    def val(self, at_once: int) -> Iterator[tuple[Tensor, Tensor]]:
        for start in range(0, self.val_count, at_once):
            which = slice(start, start + at_once)
            rows, targets = self._val[which], self._val_targets[which]
            if self.boundary:
                yield self._activations(rows), targets
            else:
                crops = centre(self._squares(rows), self.preprocessing.crop)
                yield self._laid_out(normalised(crops, self.preprocessing)), targets

    def _squares(self, rows: "np.ndarray[tuple[int, ...], np.dtype[np.generic]]") -> Tensor:
        return to_device(torch.from_numpy(rows), self.device).permute(0, 3, 1, 2)

    def _activations(self, rows: "np.ndarray[tuple[int, ...], np.dtype[np.generic]]") -> Tensor:
        return self._laid_out(to_device(torch.from_numpy(rows), self.device).float())

    def _laid_out(self, x: Tensor) -> Tensor:
        return x.contiguous(memory_format=self.memory_format) if x.dim() == 4 else x


def tune_groups(config: TrainConfig, network: Network, boundary: int, copied: int) -> Groups:
    """The last copied stage at the full rate, each earlier one at a share of it, what is new at a multiple.

    With nothing copied everything is new, and all of it learns at the full rate.
    """
    new = config.learning_rate * (config.head_boost if copied else 1.0)
    groups: Groups = []
    for place in range(boundary, len(network.stages)):
        rate = config.learning_rate * config.stage_decay ** (copied - 1 - place) if place < copied else new
        groups.append({"params": [p for p in network.stages[place].parameters() if p.requires_grad], "lr": rate})
    groups.append({"params": list(network.head.parameters()), "lr": new})
    return [group for group in groups if group["params"]]


def tune_plan(config: TrainConfig, boundary: int) -> Plan:
    return Plan(
        phase="finetune",
        first_stage=boundary,
        epochs=config.epochs,
        batch_size=config.batch_size,
        patience=config.patience,
        schedule=config.schedule,
        warm_up=config.warm_up,
        judged_at_once=JUDGE_BATCH,
        rate_name="learning_rate",
    )
