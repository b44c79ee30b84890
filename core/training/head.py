"""The head alone, on features that were kept: seconds, whatever the backbone.

Features are centred on the training part's mean and divided by one number, the root mean square of what is left, so
that one learning rate suits every backbone. (Dividing each feature by its own deviation instead blows up those that
hardly ever fire: with 200 photos and 1,280 features it cost one to four points on four small photo sets.)
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.config import TrainConfig
from core.models.build import Network
from core.training.optimizers import Groups
from core.training.plan import Plan
from core.training.rows import Readable, gathered

SMALLEST_SCALE = 1e-6  # features that never change are left as they are instead of being divided by nothing
MEMORY_BYTES = 1_000_000_000  # more features than that are read from disk batch by batch
JUDGE_BATCH = 4096


class KeptFeatures:
    """Features as they were kept; training has one set of rows a view, all of which an epoch sees."""

    def __init__(
        self,
        train: Sequence[Readable],
        train_targets: Tensor,
        val: Readable,
        val_targets: Tensor,
        device: torch.device,
    ) -> None:
        self.device = device
        self.train_targets = train_targets.repeat(len(train))
        self.val_count = len(val_targets)
        self._per_view = len(train_targets)
        self._views = train
        self._val, self._val_targets = val, val_targets.to(device)
        self._shape = train[0][:0].shape[1:]
        width = int(self._shape[0])
        fits = 4 * width * (len(self.train_targets) + self.val_count) <= MEMORY_BYTES
        self._train_here = torch.cat([_tensor(view[:]) for view in train]).to(device) if fits else None
        self._val_here = _tensor(val[:]).to(device) if fits else None

    def train(self, chosen: Tensor, epoch: int) -> Tensor:
        del epoch  # kept views don't change
        if self._train_here is not None:
            return self._train_here[chosen.to(self.device)]
        views, places = np.divmod(chosen.numpy(), self._per_view)
        return _tensor(gathered(self._views, views, places)).to(self.device)

    def val(self, at_once: int) -> Iterator[tuple[Tensor, Tensor]]:
        for start in range(0, self.val_count, at_once):
            which = slice(start, start + at_once)
            x = _tensor(self._val[which]).to(self.device) if self._val_here is None else self._val_here[which]
            yield x, self._val_targets[which]

    def statistics(self) -> tuple[Tensor, Tensor]:
        """(width,) mean and the one scale, a scalar, of the training features of all views."""
        count = len(self.train_targets)
        total = torch.zeros(self._shape, dtype=torch.float64, device=self.device)
        for x in self._all():
            total += x.double().sum(dim=0)
        mean = (total / count).float()
        squares = sum(float((x - mean).square().sum(dtype=torch.float64)) for x in self._all())
        scale = torch.tensor((squares / (count * len(mean))) ** 0.5, device=self.device)
        return mean, scale if scale > SMALLEST_SCALE else torch.ones_like(scale)

    def _all(self) -> Iterator[Tensor]:
        for chosen in torch.arange(len(self.train_targets)).split(JUDGE_BATCH):
            yield self.train(chosen, 0)


class Both:
    """Two sets of rows as one, the second behind the first."""

    def __init__(self, first: Readable, second: Readable) -> None:
        self._first, self._second = first, second

    def __len__(self) -> int:
        return len(self._first) + len(self._second)

    def __getitem__(self, which: NDArray[np.int64] | slice) -> NDArray[np.generic]:
        places = np.arange(len(self))[which]
        late = places >= len(self._first)
        return gathered((self._first, self._second), late, places - late * len(self._first))


def _tensor(rows: "np.ndarray[tuple[int, ...], np.dtype[np.generic]]") -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(rows, np.float32))


def head_plan(config: TrainConfig, network: Network) -> Plan:
    """Everything is behind the kept features: no stage runs."""
    return Plan(
        phase="head",
        first_stage=len(network.stages),
        epochs=config.head_epochs,
        batch_size=config.head_batch_size,
        patience=config.head_patience,
        schedule=config.head_schedule,
        warm_up=0.0,
        judged_at_once=JUDGE_BATCH,
        rate_name="head_learning_rate",
    )


def head_groups(config: TrainConfig, network: Network) -> Groups:
    return [{"params": list(network.head.parameters()), "lr": config.head_learning_rate}]


def prepare_head(config: TrainConfig, network: Network, data: KeptFeatures) -> None:
    """Measure the features' mean and scale, from which the head counts."""
    if config.center_features:
        mean, scale = data.statistics()
        network.head.mean.copy_(mean)
        network.head.scale.copy_(scale)
