"""Where each second of a preset goes: phases, imports, and the functions of Graft that hold the time.

    python -m benchmarks.profile --data FOLDER [--preset fast|balanced|best …] [--backbone NAME]

FOLDER has a folder a class, or train/ and val/ with such. Each preset runs twice as a whole process from a cold start,
with nothing kept: once undisturbed, for the wall clock and the run's own phases, and once under cProfile, which slows
Python down and sees the main thread only (photos are decoded by others): read its rows as shares. Imports are what
``python -X importtime`` tells of the run's modules. Presets measured before stay in measured/profile.json.
"""

import argparse
import json
import os
import pstats
import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from benchmarks.results import machine, read, write

PROJECT = Path(__file__).parent.parent
PRESETS = ("fast", "balanced", "best")
# What a run imports, by the modules that the terminal's ``train`` comes to.
RUN = "import core.__main__, core.training.fit, core.inference.predictor"
IMPORT_LINE = re.compile(r"import time:\s+(\d+) \|\s+(\d+) \| (\s*)(\S+)")
ROWS = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--preset", nargs="+", default=list(PRESETS), choices=PRESETS)
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--into", default="profile", metavar="NAME", help="of the file below measured/")
    options = parser.parse_args()
    found = read(options.into) or {"presets": {}}
    found |= {"command": "python -m benchmarks.profile --data FOLDER", "machine": machine()}
    found["imports"] = imports()
    for preset in options.preset:
        found["presets"][preset] = {"backbone": options.backbone, **whole(options, preset), **profiled(options, preset)}
        print(json.dumps({preset: found["presets"][preset]}, indent=1), flush=True)
        write(options.into, found)


def train(options: argparse.Namespace, preset: str, scratch: Path) -> list[str]:
    parts = options.data / "train", options.data / "val"
    source = [str(parts[0]), "--test", str(parts[1])] if all(part.is_dir() for part in parts) else [str(options.data)]
    return ["-m", "core", "train", *source, "--out", str(scratch / "run"), "--preset", preset,
            "--backbone", options.backbone]  # fmt: skip


def whole(options: argparse.Namespace, preset: str) -> dict[str, Any]:
    """The wall clock, the phases the run told, and what no phase accounts for: start, imports, the scan, the end."""
    with tempfile.TemporaryDirectory(prefix="graft-profile-") as scratch:
        began = time.monotonic()
        answer = json.loads(python(train(options, preset, Path(scratch))).stdout.splitlines()[-1])
        seconds = time.monotonic() - began
    phases = answer["seconds_by_phase"]
    return {
        "seconds": round(seconds, 2),
        "phases": phases,
        "outside_phases": round(seconds - sum(phases.values()), 2),
        "photos": answer["images"],
        "epochs": answer["epochs"],
        "test_accuracy": answer["test_accuracy"],
    }


def profiled(options: argparse.Namespace, preset: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="graft-profile-") as scratch:
        file = Path(scratch, "profile")
        python(["-m", "cProfile", "-o", str(file), *train(options, preset, Path(scratch))])
        stats = pstats.Stats(str(file))
    rows = [
        {"name": name_of(path, function), "calls": calls, "own": round(own, 3), "cumulative": round(total, 3)}
        for (path, _, function), (_, calls, own, total, _) in stats.stats.items()  # type: ignore[attr-defined]
    ]
    ours = [row for row in rows if row["name"].startswith("core/") and not row["name"].endswith("<module>")]
    return {
        "profiled_seconds": round(stats.total_tt, 2),  # type: ignore[attr-defined]
        "ours": sorted(ours, key=lambda row: -row["cumulative"])[:ROWS],
        "own": sorted(rows, key=lambda row: -row["own"])[:ROWS],
    }


def name_of(path: str, function: str) -> str:
    """``core/training/fit.py:fit``; a package's file without the folder it is installed in; built-ins as they are."""
    if path == "~":
        return function.strip("<>")
    file = Path(path)
    if file.is_relative_to(PROJECT):
        return f"{file.relative_to(PROJECT).as_posix()}:{function}"
    parts = file.parts
    for marker in ("site-packages", f"python{sys.version_info[0]}.{sys.version_info[1]}"):
        if marker in parts:
            return f"{'/'.join(parts[parts.index(marker) + 1 :])}:{function}"
    return f"{file.name}:{function}"


def imports() -> dict[str, Any]:
    """Seconds of importing all that a run needs: bare Python, the whole, and each package's own share of it."""
    bare = min(timed(["-c", "pass"]) for _ in range(3))
    everything = min(timed(["-c", RUN]) for _ in range(3))
    own: defaultdict[str, float] = defaultdict(float)
    for line in python(["-X", "importtime", "-c", RUN]).stderr.splitlines():
        if match := IMPORT_LINE.match(line):
            own[match[4].split(".")[0]] += int(match[1]) / 1e6
    largest = sorted(own.items(), key=lambda row: -row[1])[:8]
    return {
        "python_seconds": round(bare, 3),
        "seconds": round(everything, 3),
        "own_seconds": {name: round(seconds, 3) for name, seconds in largest},
    }


def timed(words: list[str]) -> float:
    began = time.monotonic()
    python(words)
    return time.monotonic() - began


def python(words: list[str]) -> subprocess.CompletedProcess[str]:
    with tempfile.TemporaryDirectory(prefix="graft-workspace-") as workspace:
        environment = {**os.environ, "GRAFT_WORKSPACE": workspace}
        done = subprocess.run([sys.executable, *words], cwd=PROJECT, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr[-2000:])
    return done


if __name__ == "__main__":
    main()
