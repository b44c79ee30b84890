"""Graft beside other tools: seconds from a cold start to a scored model, and its accuracy on photos never trained on.

    python -m benchmarks.compare --data NAME=FOLDER … --weights FOLDER [--methods METHOD[=SEEDS] …] [--seeds 3]
        [--peers-python PYTHON] [--autogluon-python PYTHON] [--tutorial-epochs 25] [--resume] [--again [METHOD …]]

FOLDER holds train/ and val/ with a folder a class (``benchmarks.datasets`` makes such). Each figure is one whole
process, started after the one before it has ended; Graft gets an empty run directory and an empty workspace each time.
The other Pythons: one with ``pip install fastai`` beside the very torch that Graft uses, and one of its own with ``pip
install autogluon.multimodal``, which accepts older versions only.
All methods but those with ``-default`` in their name start from one and the same file, ResNet-18's in the weights
folder. A row is written after each process: ``--resume`` goes on after the last one, ``--again`` starts over, and
``--again METHOD …`` drops those methods' rows alone.
"""

import argparse
import datetime
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.results import machine, read, write
from core.models.files import hashed

PROJECT = Path(__file__).parent.parent
PRESETS = ("fast", "balanced", "best")
GRAFT = tuple(f"graft-{preset}{backbone}" for backbone in ("", "-default") for preset in PRESETS)
TUTORIAL = ("tutorial-fixed", "tutorial-finetune")
FASTAI = {"fastai": 64, "fastai-16": 16}  # photos a batch
METHODS = (*GRAFT, *TUTORIAL, *FASTAI, "autogluon")
Row = dict[str, Any]


@dataclass(frozen=True)
class Job:
    data: str
    folder: Path
    method: str
    seed: int
    epochs: int | None  # of the tutorial's loops, which may be cut short

    def matches(self, row: Row) -> bool:
        same = (row["data"], row["method"], row["seed"]) == (self.data, self.method, self.seed)
        return same and (self.epochs is None or row.get("epochs") == self.epochs)


def main() -> None:
    options = parse()
    found = read(options.into)
    if found and not options.resume and options.again is None:
        sys.exit(f"{options.into}.json holds {len(found['rows'])} rows: go on with --resume, start over with --again.")
    rows: list[Row] = found["rows"] if found else []
    if options.again is not None:
        rows = [row for row in rows if options.again and row["method"] not in options.again]
    todo = [job for job in jobs(options) if not any(job.matches(row) for row in rows)]
    failed = 0
    for number, job in enumerate(todo, 1):
        print(f"{number} of {len(todo)}: {job.data}, {job.method}, seed {job.seed}", file=sys.stderr, flush=True)
        try:
            rows.append(measure(job, options))
        except subprocess.CalledProcessError as error:
            failed += 1
            print(f"failed:\n{(error.stderr or '')[-1500:]}", file=sys.stderr)
            continue
        keep(options, rows)
        print(f"  {rows[-1]['seconds']:.1f} s, accuracy {rows[-1]['accuracy']:.4f}", file=sys.stderr, flush=True)
    sys.exit(f"{failed} of {len(todo)} failed." if failed else 0)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", required=True, metavar="NAME=FOLDER")
    parser.add_argument(
        "--methods", nargs="+", default=list(METHODS), metavar="METHOD[=SEEDS]", help=", ".join(METHODS)
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--weights", type=Path, required=True, metavar="FOLDER", help="holds resnet18….pth")
    parser.add_argument("--peers-python", metavar="PYTHON", help="one that has fastai")
    parser.add_argument("--autogluon-python", metavar="PYTHON", help="one that has autogluon.multimodal")
    parser.add_argument("--tutorial-epochs", type=int, default=25)
    parser.add_argument("--into", default="compare", metavar="NAME", help="of the file below measured/")
    parser.add_argument("--resume", action="store_true", help="keep the rows there are")
    parser.add_argument(
        "--again", nargs="*", choices=METHODS, metavar="METHOD", help="measure anew; all without a name"
    )
    options = parser.parse_args()
    options.data = [(name, Path(folder)) for name, _, folder in (text.partition("=") for text in options.data)]
    seeds = (text.partition("=") for text in options.methods)
    options.methods = {name: int(count) if count else options.seeds for name, _, count in seeds}
    if unknown := [name for name in options.methods if name not in METHODS]:
        parser.error(f"there is no method {unknown[0]}; there are {', '.join(METHODS)}")
    files = sorted(options.weights.glob("resnet18*.pth"))
    if len(files) != 1:
        parser.error(f"{options.weights} should hold one file named resnet18….pth, and holds {len(files)}")
    options.file = files[0].absolute()
    needs = {"autogluon": options.autogluon_python, **dict.fromkeys(FASTAI, options.peers_python)}
    for name in [name for name in options.methods if name in needs and not needs[name]]:
        print(f"{name} is left out: no Python for it was named.", file=sys.stderr)
        del options.methods[name]
    return options


def jobs(options: argparse.Namespace) -> Iterator[Job]:
    """Seed by seed, so that an interrupted run has every method and a slow hour of the machine meets all of them."""
    for seed in range(max(options.methods.values())):
        for data, folder in options.data:
            for method, seeds in options.methods.items():
                if seed < seeds:
                    epochs = options.tutorial_epochs if method in TUTORIAL else None
                    yield Job(data, folder, method, seed, epochs)


def measure(job: Job, options: argparse.Namespace) -> Row:
    with tempfile.TemporaryDirectory(prefix="graft-compare-") as scratch:
        environment = {**os.environ, "GRAFT_WORKSPACE": f"{scratch}/workspace", "PYTHONWARNINGS": "ignore"}
        if job.method.startswith("graft") and not job.method.endswith("-default"):
            import_weights(options.file, environment)
        # What was written before must not be written back to disk while the clock runs.
        os.sync()
        seconds, answer = timed(command(job, options, Path(scratch)), environment)
    row = {"data": job.data, "method": job.method, "seed": job.seed, "seconds": round(seconds, 2)}
    if job.method in GRAFT:
        row |= {"accuracy": answer["test_accuracy"], "photos": answer["test_total"], "epochs": answer["epochs"]}
        row |= {"phases": answer["seconds_by_phase"], "backbone": answer["backbone"]}
    else:
        row |= {name: value for name, value in answer.items() if name != "seconds"} | {"backbone": "resnet18"}
    return {**row, "date": datetime.date.today().isoformat()}


def command(job: Job, options: argparse.Namespace, scratch: Path) -> list[str]:
    folder, seed = str(job.folder), ["--seed", str(job.seed)]
    file = ["--weights", str(options.file)]
    if job.method in GRAFT:
        _, preset, *default = job.method.split("-")
        train = [sys.executable, "-m", "core", "train", f"{folder}/train", "--test", f"{folder}/val"]
        backbone = [] if default else ["--backbone", "resnet18"]
        return [*train, "--out", f"{scratch}/run", "--preset", preset, *backbone, *seed]
    if job.method in TUTORIAL:
        loop = [sys.executable, "-m", "benchmarks.tutorial_loop", folder, "--backbone", "resnet18", *file, *seed]
        return [*loop, "--epochs", str(job.epochs), *(["--finetune"] if job.method == "tutorial-finetune" else [])]
    if job.method in FASTAI:
        learner = [options.peers_python, "-m", "benchmarks.peers.fastai_learner", folder, *file, *seed]
        return [*learner, "--batch", str(FASTAI[job.method])]
    return [options.autogluon_python, "-m", "benchmarks.peers.autogluon_predictor", folder, *file, *seed]


def import_weights(file: Path, environment: dict[str, str]) -> None:
    """As the page's "import weights" does, before the clock starts: the others have their file at hand as well."""
    script = """
import sys
from pathlib import Path
from core.models import registry
from core.models.weights import import_file
from core.workspace import default_root
import_file(Path(sys.argv[1]), registry.backbone("resnet18"), default_root() / "weights")
"""
    subprocess.run([sys.executable, "-c", script, str(file)], cwd=PROJECT, env=environment, check=True)


def timed(words: list[str], environment: dict[str, str]) -> tuple[float, Row]:
    """Seconds of the whole process, and the JSON object it printed last."""
    began = time.monotonic()
    done = subprocess.run(words, cwd=PROJECT, env=environment, check=True, capture_output=True, text=True)
    seconds = time.monotonic() - began
    return seconds, json.loads([line for line in done.stdout.splitlines() if line.startswith("{")][-1])


def keep(options: argparse.Namespace, rows: list[Row]) -> None:
    names = " ".join(f"{name}=FOLDER" for name in dict.fromkeys(row["data"] for row in rows))
    methods = {row["method"] for row in rows}
    peers = " --peers-python PYTHON" if methods & FASTAI.keys() else ""
    peers += " --autogluon-python PYTHON" if "autogluon" in methods else ""
    write(options.into, {
        "command": f"python -m benchmarks.compare --data {names} --weights FOLDER{peers}",
        "weights": f"ResNet-18, ImageNet, SHA-256 {hashed(options.file)[:12]}…", "machine": machine(), "rows": rows,
    })  # fmt: skip


if __name__ == "__main__":
    main()
