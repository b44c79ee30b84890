"""What each epoch said about the validation photos, written as it is said: a line an epoch (``core.inference.epochs``).

The best epoch's logits are kept whole elsewhere (``core.training.judged``); this is for watching, and small.
"""

import json
from io import BufferedWriter
from types import TracebackType
from typing import Self

import torch
from torch import Tensor

from core.events import Phase
from core.inference.epochs import UNIT, WatchedPhotos, choose, photos_of
from core.runs.store import end_torn_line
from core.training.run import Run

MOST_PHOTOS = 2000  # of more than these an even sample is written: up to 20 kB an epoch
FEWEST_PHOTOS = 100
MOST_ANSWERS = 2_000_000  # over all epochs that the settings allow, 20 MB: thousands of epochs write fewer photos
ENCODER = json.JSONEncoder(allow_nan=False, separators=(",", ":"))


class Watched:
    """Appends to ``run.judged``. Opened by the first epoch, so that nothing is there without validation photos."""

    def __init__(self, run: Run) -> None:
        self._path = run.directory.judged
        self._seed = run.config.seed
        samples = run.split.val
        share = MOST_ANSWERS // max(1, run.config.head_epochs + run.config.epochs)
        count = min(len(samples), max(FEWEST_PHOTOS, min(MOST_PHOTOS, share)))
        self._places = [place * len(samples) // count for place in range(count)]
        self._photos = WatchedPhotos(run.split.classes, tuple(samples[place] for place in self._places), len(samples))
        self._targets = torch.tensor([sample.target for sample in self._photos.samples])
        self._file: BufferedWriter | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._file is not None:
            self._file.close()

    def tell(self, phase: Phase, epoch: int, logits: Tensor) -> None:
        """Write one epoch: (validation photos, classes) logits. Flushed, so that a page sees it at once."""
        said, sure, true = self._answers(logits)
        if self._file is None:
            self._file = self._open(said)
        self._append(self._file, {"phase": phase, "epoch": epoch, "said": said, "sure": sure, "true": true})

    def _answers(self, logits: Tensor) -> list[list[int]]:
        """Class, its probability and that of the true class, in thousandths; brought from the device in one piece."""
        if len(self._places) < len(logits):
            logits = logits[torch.tensor(self._places, device=logits.device)]
        self._targets = self._targets.to(logits.device)
        said = logits.argmax(dim=1)  # as the accuracy is counted
        both = torch.stack([said, self._targets], dim=1)
        shares = logits.softmax(dim=1).gather(1, both).nan_to_num(nan=0.0)  # infinite logits have none
        thousandths = (shares * UNIT).round().to(said.dtype)
        return torch.cat([said[None], thousandths.T]).tolist()

    def _open(self, said: list[int]) -> BufferedWriter:
        """Go on where the file is about the same photos, and begin it otherwise."""
        if self._begun_before():
            end_torn_line(self._path)
            return self._path.open("ab")
        shown = choose(self._targets.tolist(), said, self._seed)
        file = self._path.open("wb")
        self._append(file, {**self._photos.to_json(), "shown": list(shown)})
        return file

    def _begun_before(self) -> bool:
        try:
            with self._path.open("rb") as file:
                known = photos_of(file.readline())
        except FileNotFoundError:
            return False
        return known is not None and {**known.to_json(), "shown": []} == self._photos.to_json()

    @staticmethod
    def _append(file: BufferedWriter, line: dict[str, object]) -> None:
        file.write(ENCODER.encode(line).encode() + b"\n")
        file.flush()
