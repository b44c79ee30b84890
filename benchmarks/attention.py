"""Whether the heat lies where a class is: photos of several classes put side by side, asked about one of them.

    python -m core train SET/train --test SET/val --out RUN_DIR
    python -m benchmarks.attention RUN_DIR … [--mosaics 100]

The grid pointing game (Source: Böhle, Fritz and Schiele 2021, "Convolutional Dynamic Alignment Networks"):
of test photos that a run recognised with 80 % or more, four of different classes (of two classes, two) are put
together, each at the size at which the network sees photos, so that its maps become twice as wide. The share of the
heat for one of the classes that lies on its own photo is 1 at best; heat that knows nothing of the class has a
quarter (of two photos a half). *Activations* is such heat: how strongly the last maps react, whatever the class.

The same for tokens, where no such mosaic fits in: a small ViT is taught to name the colour of a patch that lies at one
of 16 places, and then asked where it looked, by all its blocks and by the last one alone.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torchvision import models

from benchmarks.results import machine, write
from core.data.pixels import centre, square
from core.inference import evidence
from core.inference.attention import Explainer
from core.inference.evidence import Evidence
from core.inference.metrics import Answer, Results
from core.models import registry
from core.models.build import Network
from core.models.head import Head, HeadSpec
from core.models.stages import split
from core.runs.store import RunDirectory
from core.training.kept import normalised

LEAST_SURE = 0.8
PATCH_TRIALS = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN_DIR")
    parser.add_argument("--mosaics", type=int, default=100)
    options = parser.parse_args()
    rows = [pointing(RunDirectory(path), options.mosaics) for path in options.runs]
    write("attention", {
        "command": "python -m benchmarks.attention RUN_DIR …", "machine": machine(), "torch": torch.__version__,
        "rows": rows, "patches": patches(),
    })  # fmt: skip


def pointing(run: RunDirectory, count: int) -> dict[str, object]:
    """The mean share of the heat that lies on the photo of the class that was asked about."""
    found = Results.from_json(run.results() or {})
    explainer = Explainer.load(run)
    root = Path(run.split().root_of("test"))
    sure = [answer for answer in found.answers if answer.right and answer.confidence >= LEAST_SURE]
    random = np.random.default_rng(0)
    shares: dict[str, list[float]] = {"graft": [], "activations": []}
    columns = 2
    for _ in range(count):
        chosen = different(sure, random)
        photos = [pixels(explainer, root / answer.path) for answer in chosen]
        rows = [torch.cat(photos[at : at + columns], dim=-1) for at in range(0, len(photos), columns)]
        looked = Evidence(explainer._network, torch.cat(rows, dim=-2))
        place = int(random.integers(len(chosen)))
        heats = {
            "graft": looked.of(chosen[place].target).clamp(min=0),
            "activations": looked._places[0].detach().abs().sum(dim=1)[0],
        }
        for name, heat in heats.items():
            cells = nn.functional.adaptive_avg_pool2d(heat[None, None], (len(rows), columns)).flatten()
            shares[name].append(float(cells[place] / cells.sum().clamp(min=1e-12)))
    means = {name: float(np.mean(values)) for name, values in shares.items()}
    return {
        "data": run.id, "backbone": explainer.card.backbone, "classes": len(found.classes),
        "photos": len(sure), "mosaics": count, "chance": 0.25 if len(found.classes) >= 4 else 0.5,
        "share": means, "standard_error": float(np.std(shares["graft"]) / count**0.5),
    }  # fmt: skip


def different(answers: list[Answer], random: np.random.Generator) -> list[Answer]:
    """Four photos of different classes; two where there are fewer than four classes."""
    targets = sorted({answer.target for answer in answers})
    asked = random.permutation(targets)[: 4 if len(targets) >= 4 else 2]
    return [random.choice([answer for answer in answers if answer.target == target]) for target in asked]


def pixels(explainer: Explainer, photo: Path) -> Tensor:
    wanted = explainer.card.preprocessing
    seen = centre(square(photo, wanted.resize, wanted.interpolation), wanted.crop)
    return normalised(torch.from_numpy(np.ascontiguousarray(seen)).permute(2, 0, 1)[None], wanted)


def patches() -> dict[str, object]:
    """How often the strongest place of a small ViT is the patch that decided."""
    torch.manual_seed(0)
    model = models.VisionTransformer(32, 8, num_layers=6, num_heads=2, hidden_dim=16, mlp_dim=32)
    stages = list(split(model, "vit").values())
    network = Network(registry.backbone("vit_b_32"), stages, Head(HeadSpec(), 16, 2)).train()
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    random = torch.Generator().manual_seed(1)
    for _ in range(200):
        photos, targets, _ = patched(16, random)
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(photos), targets).backward()
        optimizer.step()
    network.eval()
    photos, targets, places = patched(PATCH_TRIALS, torch.Generator().manual_seed(2))
    right = int((network(photos).argmax(dim=1) == targets).sum())
    everything = evidence.MOST_ATTENTION_BYTES
    hits: dict[str, int] = {}
    for name, allowed in (("all", everything), ("last", 1)):
        evidence.MOST_ATTENTION_BYTES = allowed  # 1: no more than one block
        strongest = [
            int(Evidence(network, photo[None]).of(int(target)).argmax())
            for photo, target in zip(photos, targets, strict=True)
        ]
        hits[name] = sum(ours == wanted for ours, wanted in zip(strongest, places, strict=True))
    evidence.MOST_ATTENTION_BYTES = everything
    return {"trials": PATCH_TRIALS, "recognised": right, "strongest_is_patch": hits}


def patched(count: int, random: torch.Generator) -> tuple[Tensor, Tensor, list[int]]:
    """Noise of 32 × 32 pixels with a patch of 8 × 8 in red or blue, the classes, and where among 16 places it lies."""
    photos = 0.5 * torch.randn(count, 3, 32, 32, generator=random)
    targets = torch.randint(2, (count,), generator=random)
    places = torch.randint(16, (count,), generator=random).tolist()
    for photo, target, place in zip(photos, targets.tolist(), places, strict=True):
        row, column = divmod(place, 4)
        photo[2 * target, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8] += 3
    return photos, targets, places


if __name__ == "__main__":
    main()
