"""How fast and how lean a scan is: ``python -m benchmarks.scan --photos 10000`` (or ``--folder`` with photos of yours).

Without a folder it draws 10,000 different JPEGs of 500 × 375 pixels and 60 to 100 KB, as photos of that size have, in
10 classes. They are read once before the clock starts, so that the disk isn't what is measured. Each repetition is a
fresh process; the last line on stdout is one JSON object.
"""

import argparse
import io
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter
from PIL import __version__ as pillow_version

from benchmarks.results import write

PROJECT = Path(__file__).parent.parent
WIDTH, HEIGHT = 500, 375
CLASSES = 10

ONE_SCAN = """
import json, re, sys, time
from pathlib import Path
from core.data.scan import scan
def megabytes(what):  # getrusage would count the process that started this one
    status = Path("/proc/self/status")
    return int(re.search(what + r":\\s+(\\d+)", status.read_text())[1]) * 1024 / 1e6 if status.exists() else 0
before = megabytes("VmRSS")
start = time.perf_counter()
report = scan(Path(sys.argv[1]))
seconds = time.perf_counter() - start
print(json.dumps([seconds, before, megabytes("VmHWM"), len(report.photos), len(report.left_out), time.process_time()]))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=10_000, help="how many to draw")
    parser.add_argument("--folder", type=Path, help="scan this folder instead of drawn photos")
    parser.add_argument("--repetitions", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="graft-scan-") as scratch:
        folder = options.folder or draw_photos(Path(scratch), options.photos)
        files, size = warm(folder)
        print(f"{files} files, {size / max(files, 1) / 1000:.0f} KB each on average", file=sys.stderr)
        runs = [one_scan(folder) for _ in range(options.repetitions)]
    speeds = [run[3] / run[0] for run in runs]
    result = {
        "photos": runs[0][3],
        "left_out": runs[0][4],
        "mean_kilobytes": round(size / max(files, 1) / 1000, 1),
        "photos_per_second": round(statistics.median(speeds)),
        "photos_per_second_all": [round(speed) for speed in speeds],
        "seconds": round(statistics.median(run[0] for run in runs), 2),
        # Of all cores together: says the same on a busy machine as on an idle one.
        "cpu_milliseconds_per_photo": round(1000 * statistics.median(run[5] / run[3] for run in runs), 2),
        "resident_megabytes_before": round(statistics.median(run[1] for run in runs)),
        "resident_megabytes_peak": round(max(run[2] for run in runs)),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "python": platform.python_version(),
        "pillow": pillow_version,
        "date": time.strftime("%Y-%m-%d"),
    }
    print(f"{result['photos_per_second']} photos/s, {result['resident_megabytes_peak']} MB at most", file=sys.stderr)
    print(json.dumps(result))
    write("scan", result)


def one_scan(folder: Path) -> list[float]:
    command = [sys.executable, "-c", ONE_SCAN, str(folder)]
    done = subprocess.run(command, cwd=PROJECT, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def warm(folder: Path) -> tuple[int, int]:
    """Read everything once; the number of files and their bytes."""
    sizes = [len(path.read_bytes()) for path in folder.rglob("*") if path.is_file()]
    return len(sizes), sum(sizes)


def draw_photos(folder: Path, count: int) -> Path:
    start = time.perf_counter()
    for label in range(CLASSES):
        (folder / f"class {label}").mkdir()
    with ProcessPoolExecutor() as pool:
        for done in pool.map(draw_one, [str(folder)] * count, range(count), chunksize=64):
            if done % 1000 == 999:
                print(f"\r{done + 1} drawn", end="", file=sys.stderr)
    print(f"\r{count} drawn in {time.perf_counter() - start:.0f} s", file=sys.stderr)
    return folder


def draw_one(folder: str, seed: int) -> int:
    """Soft shapes under grain: as hard to pack as a photo, so that the file has a photo's size."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (12, 16, 3), dtype=np.uint8))
    soft = np.asarray(coarse.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)).astype(np.int16)
    grain = Image.fromarray(random.integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)).filter(ImageFilter.BoxBlur(1))
    strength = random.uniform(0.5, 1.1)
    noisy = soft + (strength * (np.asarray(grain).astype(np.float32)[..., None] - 128)).astype(np.int16)
    file = io.BytesIO()
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
    Path(folder, f"class {seed % CLASSES}", f"{seed:06}.jpg").write_bytes(file.getvalue())
    return seed


if __name__ == "__main__":
    main()
