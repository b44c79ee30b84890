"""Whether photos unlike anything seen are told apart, and how many known ones are refused with them.

    python -m benchmarks.unknown SET [SET ...] [--seeds 3] [--tuned NAME ...] [--cache FOLDER]

Each SET is a folder with ``train`` and ``val`` (python -m benchmarks.datasets makes one). Graft learns from one set's
``train`` with the Fast preset, and is shown its ``val`` and that of every other set, which it can't know. From the
sets named after --tuned it learns once more, the last two stages for ten epochs as well as the head.

AUROC is how often an unknown photo is stranger than a known one: by Graft's distance, by one minus the largest
probability (Hendrycks and Gimpel 2017), by energy (Liu et al. 2020), and by distance and a little energy.
"""

import argparse
import hashlib
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from sklearn.metrics import roc_auc_score

from benchmarks.results import machine, write
from core import recipes
from core.config import TrainConfig
from core.data.pixels import centre, squares
from core.data.scan import scan
from core.data.split import split
from core.inference.predictor import Predictor
from core.models import registry
from core.runs import store
from core.runs.store import RunDirectory
from core.training.fit import fit
from core.training.kept import normalised
from core.training.run import Folders

BATCH = 32
ENERGY_SHARES = (0.1, 0.3, 1.0)
Features = dict[tuple[str, str], torch.Tensor]


@dataclass(frozen=True)
class Said:
    """What one model says about the photos of one set."""

    strangeness: NDArray[np.float32]
    logits: torch.Tensor

    @property
    def energy(self) -> NDArray[np.float32]:
        return -self.logits.logsumexp(dim=1).numpy()

    @property
    def doubt(self) -> NDArray[np.float32]:
        return 1 - self.logits.softmax(dim=1).max(dim=1).values.numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", type=Path, nargs="+", metavar="SET")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--tuned", nargs="*", default=[], metavar="NAME", help="of sets, to fine-tune on as well")
    parser.add_argument("--cache", type=Path, help="of kept features; else they are made and forgotten")
    options = parser.parse_args()
    sets = {path.name: path for path in options.sets}
    jobs = [("fast", name, seed) for name in sets for seed in range(options.seeds)]
    jobs += [(refit, name, 0) for name in options.tuned for refit in ("none", "all")]
    rows: list[dict[str, object]] = []
    features: Features = {}
    with tempfile.TemporaryDirectory(prefix="graft-unknown-") as scratch:
        for kind, name, seed in jobs:
            run = learn(sets[name], kind, seed, Path(scratch), options.cache or Path(scratch, "kept"))
            rows.append({"data": name, "kind": kind, "seed": seed, **measure(run, name, sets, features)})
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
            note(options, rows)


def note(options: argparse.Namespace, rows: list[dict[str, object]]) -> None:
    """Write down what is known so far."""
    named = f" --tuned {' '.join(options.tuned)}" if options.tuned else ""
    write("unknown", {
        "command": f"python -m benchmarks.unknown SETS --seeds {options.seeds}{named}",
        "machine": machine(), "backbone": TrainConfig().backbone, "seeds": options.seeds, "rows": rows,
    })  # fmt: skip


def learn(folder: Path, kind: str, seed: int, scratch: Path, cache: Path) -> RunDirectory:
    divided = split(scan(folder / "train"), seed=seed, test=scan(folder / "val"))
    run = store.create(scratch / "runs", settings(kind, seed), divided, title=folder.name, dataset={})
    for _ in fit(run.info().config, divided, run, Folders(scratch / "weights", cache)):
        pass
    return run


def settings(kind: str, seed: int) -> TrainConfig:
    """ "fast", or what is learnt once more at the end of fine-tuning."""
    backbone = TrainConfig().backbone
    stages = len(registry.backbone(backbone).stages)
    if kind == "fast":
        return recipes.recipe("fast", recipes.Facts(100, 2, stages, False), seed=seed).config
    # Without the head's phase before, fine-tuning is what the model comes of, be it better than a head alone or not.
    tuned = {"freeze_depth": str(stages - 2), "epochs": "10", "learning_rate": "3e-4", "head_first": "false"}
    return TrainConfig(seed=seed).with_settings({**tuned, "augment": "none", "views": "1", "refit": kind})


def measure(run: RunDirectory, own: str, sets: dict[str, Path], features: Features) -> dict[str, object]:
    predictor = Predictor.load(run)
    detector = predictor.detector
    if detector is None:
        sys.exit(f"The run on {own} has no detector.")
    said = {name: look(predictor, run, path / "val", features) for name, path in sets.items()}
    known = said.pop(own)
    info = run.split()
    return {
        "training": len(info.train),
        "validation": len(info.val),
        "limit": detector.limit,
        "file_megabytes": run.known.stat().st_size / 1e6,
        "known": [int((known.strangeness > detector.limit).sum()), len(known.strangeness)],
        "others": {name: beside(known, other, detector.limit) for name, other in said.items()},
    }


def beside(known: Said, other: Said, limit: float) -> dict[str, object]:
    """How well one set's photos are told from the known ones."""
    told = {
        "distance": (known.strangeness, other.strangeness),
        "softmax": (known.doubt, other.doubt),
        "energy": (known.energy, other.energy),
    }
    for share in ENERGY_SHARES:
        distance, energy = known.strangeness.std(), share / known.energy.std()
        told[f"distance + {share:g} energy"] = (
            known.strangeness / distance + known.energy * energy,
            other.strangeness / distance + other.energy * energy,
        )
    truth = [0] * len(known.strangeness) + [1] * len(other.strangeness)
    return {
        "refused": [int((other.strangeness > limit).sum()), len(other.strangeness)],
        "auroc": {name: float(roc_auc_score(truth, np.concatenate(pair))) for name, pair in told.items()},
    }


def look(predictor: Predictor, run: RunDirectory, folder: Path, features: Features) -> Said:
    """Through the parts of the predictor; features of equal bodies are computed once."""
    key = (body_digest(run), str(folder))
    if key not in features:
        features[key] = looked(predictor, sorted(path for path in folder.rglob("*") if path.is_file()))
    assert predictor.detector is not None
    with torch.inference_mode():
        logits = predictor._head(features[key])
        return Said(predictor.detector(features[key], logits).numpy(), logits)


def looked(predictor: Predictor, paths: list[Path]) -> torch.Tensor:
    look, made = predictor.card.preprocessing, list[torch.Tensor]()
    decoded = squares(paths, look.resize, look.interpolation)
    crops = [centre(square, look.crop) for square in decoded if isinstance(square, np.ndarray)]  # else it is no photo
    with torch.inference_mode():
        for start in range(0, len(crops), BATCH):
            pixels = torch.from_numpy(np.stack(crops[start : start + BATCH])).permute(0, 3, 1, 2)
            made.append(predictor._body(normalised(pixels, look)))
    return torch.cat(made).clone()


def body_digest(run: RunDirectory) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(load_file(run.model).items()):
        if name.startswith("stages."):
            digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


if __name__ == "__main__":
    main()
