"""Do time per photo and memory stay the same from 1,000 to 50,000 photos?

    python -m benchmarks.growth [--photos 1000 10000 50000] [--backbone efficientnet_lite0]

Photos are 40 drawn pictures in 10 classes, repeated with another comment in each file: every one has a hash of its own
and is decoded and computed for itself. For each number of photos the Fast preset trains through the terminal, in a
process and with a cache of its own. Memory is read from /proc ten times a second: the most that was resident, and the
most of it that is the process's own (not files that the system holds for it and may drop).
"""

import argparse
import io
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from benchmarks.results import machine, write

CLASSES = 10
PICTURES = 40
WIDTH, HEIGHT = 400, 300
LOOK_SECONDS = 0.1
STATUS = re.compile(r"^(VmHWM|RssAnon):\s+(\d+) kB", re.MULTILINE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, nargs="+", default=[1000, 10_000, 50_000])
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--preset", default="fast", choices=("fast", "balanced", "best"))
    options = parser.parse_args()
    runs = []
    for photos in options.photos:
        runs.append(grown(photos, options.backbone, options.preset))
        print(json.dumps(runs[-1]), flush=True)
    numbers = " ".join(str(photos) for photos in options.photos)
    write("growth", {
        "command": f"python -m benchmarks.growth --photos {numbers} --backbone {options.backbone} "
                   f"--preset {options.preset}",
        "backbone": options.backbone, "preset": options.preset, "machine": machine(), "runs": runs,
    })  # fmt: skip


def grown(photos: int, backbone: str, preset: str) -> dict:
    """Draw that many, train once, and tell what it took."""
    with tempfile.TemporaryDirectory(prefix="graft-growth-") as scratch:
        folder, out = Path(scratch) / "photos", Path(scratch) / "run"
        draw(folder, photos)
        command = [
            sys.executable, "-m", "core", "train", str(folder), "--out", str(out),
            "--backbone", backbone, "--preset", preset,
        ]  # fmt: skip
        seconds, peak, answer = watched(command)
        kept = feature_megabytes(out, answer)
    read = answer["images"] - answer["test_total"]  # training and validation photos; the test part is scored apart
    phases = answer["seconds_by_phase"]
    return {
        "photos": answer["images"],
        "seconds": seconds,
        "seconds_by_phase": phases,
        "feature_milliseconds_per_photo": 1000 * phases["photos"] / read,
        "test_milliseconds_per_photo": 1000 * phases["test"] / answer["test_total"],
        "head_seconds": phases["head"],
        "head_epochs": answer["epochs"],
        "feature_megabytes": kept,
        "peak_resident_megabytes": peak["VmHWM"],
        "peak_anonymous_megabytes": peak["RssAnon"],
    }


def draw(folder: Path, photos: int) -> None:
    """``photos`` JPEGs below ``folder``, one folder a class."""
    pictures = [picture(number) for number in range(PICTURES)]
    for place in range(CLASSES):
        (folder / f"class-{place}").mkdir(parents=True)
    for number in range(photos):
        comment = f"photo {number}".encode()
        # A comment segment right after the start of the file (ITU-T T.81, B.2.4.5).
        marked = b"\xff\xd8\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + pictures[number % PICTURES][2:]
        (folder / f"class-{number % CLASSES}" / f"{number:06}.jpg").write_bytes(marked)


def picture(number: int) -> bytes:
    """One JPEG: a blurred pattern whose colours depend on its class, under noise."""
    random = np.random.default_rng(number)
    colour = np.random.default_rng(number % CLASSES).integers(40, 215, size=3)
    coarse = np.clip(colour + random.normal(0, 40, size=(6, 8, 3)), 0, 255).astype(np.uint8)
    smooth = Image.fromarray(coarse).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
    noise = np.asarray(smooth.filter(ImageFilter.GaussianBlur(2)), np.int16) + random.integers(
        -12, 12, (HEIGHT, WIDTH, 1)
    )
    file = io.BytesIO()
    Image.fromarray(np.clip(noise, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=85)
    return file.getvalue()


def watched(command: list[str]) -> tuple[float, dict[str, float], dict]:
    """Run a command to its end: seconds, the most memory it had in 10⁶ bytes, and the JSON on its last line."""
    peak = {"VmHWM": 0.0, "RssAnon": 0.0}
    began = time.monotonic()
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.DEVNULL)
        status = Path(f"/proc/{process.pid}/status")
        while process.poll() is None:
            for name, kilobytes in STATUS.findall(status.read_text()):  # a process that just ended has no such lines
                peak[name] = max(peak[name], int(kilobytes) * 1024 / 1e6)
            time.sleep(LOOK_SECONDS)
        seconds = time.monotonic() - began
        said.seek(0)
        lines = said.read().splitlines()
    if process.returncode:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}: {lines[-1:]}")
    return seconds, peak, json.loads(lines[-1])


def feature_megabytes(out: Path, answer: dict) -> float:
    """What the features that the head learns on take, once: they are held in memory while it learns."""
    from core.models.registry import backbone
    from core.runs import RunDirectory
    from core.training.augment import distinct_views

    run = RunDirectory(out)
    config, split = run.info().config, run.split()
    rows = len(split.train) * distinct_views(config.augment, config.views) + len(split.val)
    return rows * backbone(answer["backbone"]).feature_width * 4 / 1e6


if __name__ == "__main__":
    main()
