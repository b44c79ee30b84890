"""Time from the command to a scored model: Graft's Fast preset against the PyTorch tutorial's fixed-feature loop.

    python -m benchmarks.first_model FOLDER [--graft-runs 3] [--epochs 25]

FOLDER holds train/ and val/ with a folder a class (hymenoptera_data of the tutorial, for example). Both are timed as
whole processes, from a cold start of Python, one after the other on the same machine; Graft keeps nothing between runs.
The result goes to benchmarks/measured/, from which ``python -m benchmarks.table`` makes the table.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.results import machine, write


def graft(folder: Path, seed: int) -> dict:
    with tempfile.TemporaryDirectory() as scratch:
        command = [
            sys.executable, "-m", "core", "train", str(folder / "train"), "--test", str(folder / "val"),
            "--out", f"{scratch}/run", "--seed", str(seed),
        ]  # fmt: skip
        seconds, answer = timed(command)
    return {"seconds": seconds, "accuracy": answer["test_accuracy"], "phases": answer["seconds_by_phase"]}


def tutorial(folder: Path, epochs: int) -> dict:
    command = [sys.executable, "-m", "benchmarks.tutorial_loop", str(folder), "--epochs", str(epochs)]
    seconds, answer = timed(command)
    return {"seconds": seconds, "accuracy": answer["accuracy"], "epochs": epochs}


def timed(command: list[str]) -> tuple[float, dict]:
    began = time.monotonic()
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return time.monotonic() - began, json.loads(answer.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--graft-runs", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=25)
    options = parser.parse_args()
    runs = []
    for seed in range(options.graft_runs):
        runs.append(graft(options.folder, seed))
        print(f"Graft Fast, seed {seed}: {runs[-1]['seconds']:.1f} s, {runs[-1]['accuracy']:.4f}", flush=True)
    loop = tutorial(options.folder, options.epochs)
    print(f"tutorial loop: {loop['seconds']:.1f} s, {loop['accuracy']:.4f}", flush=True)
    median = statistics.median(run["seconds"] for run in runs)
    write("first_model", {
        "command": f"python -m benchmarks.first_model {options.folder.name}",
        "machine": machine(), "graft": runs, "tutorial": loop, "ratio": loop["seconds"] / median,
    })  # fmt: skip
    print(f"ratio {loop['seconds'] / median:.1f}")


if __name__ == "__main__":
    main()
