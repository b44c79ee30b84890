"""A zip of 50,000 photos becomes a data set: photos a second, and the most memory that takes.

    python -m benchmarks.large_zip [--photos 50000] [--scratch FOLDER]

Draws different JPEGs of 320 × 240 pixels in 20 classes, straight into a zip, and hands it over as if it had just been
uploaded. What is timed is what the page then waits for: unpacking, and the scan, which decodes and measures each photo
and finds those that look alike. The last line on stdout is one JSON object.
"""

import argparse
import io
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import zipfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image
from PIL import __version__ as pillow_version

from benchmarks.results import write

PROJECT = Path(__file__).parent.parent
WIDTH, HEIGHT = 320, 240
CLASSES = 20

ONE_SET = """
import json, os, re, sys, threading, time
from pathlib import Path
from core.data import datasets, intake, scanning
from core.data.store import read_report
from core.workspace import Workspace
archive, home = Path(sys.argv[1]), Path(sys.argv[2])
upload = intake.begin(Workspace(home), purpose="dataset")
os.rename(archive, upload.photos / archive.name)
datasets.start_scan = lambda dataset: True
dataset = datasets.adopt(upload.workspace, upload)
phases, over = {}, threading.Event()
def look():
    while not over.wait(0.2):
        try:
            phase = json.loads(dataset.progress.read_bytes()).get("phase")
        except (OSError, ValueError):
            continue
        phases.setdefault(phase, time.perf_counter() - start)
start = time.perf_counter()
watcher = threading.Thread(target=look)
watcher.start()
scanning.work(dataset)
seconds = time.perf_counter() - start
processor = time.process_time()
over.set()
watcher.join()
state = datasets.watch(dataset)
assert state.report is not None, (state.error, state.log)
status = Path("/proc/self/status")
peak = int(re.search(r"VmHWM:\\s+(\\d+)", status.read_text())[1]) * 1024 / 1e6 if status.exists() else 0
print(json.dumps({
    "seconds": seconds, "scan_began": phases.get("scan", 0), "peak": peak, "photos": len(state.report.photos),
    "left_out": len(state.report.left_out), "processor": processor, "together": len(state.report.together),
}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=50_000)
    parser.add_argument("--scratch", type=Path, help="where to draw; it takes three times the zip's size")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="graft-large-", dir=options.scratch) as scratch:
        archive = draw_zip(Path(scratch) / "photos.zip", options.photos)
        size = archive.stat().st_size
        command = [sys.executable, "-c", ONE_SET, str(archive), str(Path(scratch) / "workspace")]
        done = subprocess.run(command, cwd=PROJECT, check=True, capture_output=True, text=True)
    told = json.loads(done.stdout.splitlines()[-1])
    result = {
        "command": f"python -m benchmarks.large_zip --photos {options.photos}",
        "photos": told["photos"],
        "left_out": told["left_out"],
        "groups_that_look_alike": told["together"],
        "zip_megabytes": round(size / 1e6),
        "seconds": round(told["seconds"], 1),
        "seconds_unpacking": round(told["scan_began"], 1),
        "photos_per_second": round(told["photos"] / told["seconds"]),
        # Of all cores together: says the same on a busy machine as on an idle one.
        "cpu_milliseconds_per_photo": round(1000 * told["processor"] / told["photos"], 2),
        "resident_megabytes_peak": round(told["peak"]),
        "load_average": round(os.getloadavg()[0], 1),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "python": platform.python_version(),
        "pillow": pillow_version,
        "date": time.strftime("%Y-%m-%d"),
    }
    print(json.dumps(result))
    write("large_zip", result)


def draw_zip(archive: Path, count: int) -> Path:
    start = time.perf_counter()
    with ProcessPoolExecutor() as pool, zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as packed:
        for number, data in enumerate(pool.map(draw_one, range(count), chunksize=128)):
            packed.writestr(f"photos/class {number % CLASSES:02}/{number:06}.jpg", data)
            if number % 5000 == 4999:
                print(f"\r{number + 1} drawn", end="", file=sys.stderr)
    print(f"\r{count} drawn in {time.perf_counter() - start:.0f} s", file=sys.stderr)
    return archive


def draw_one(seed: int) -> bytes:
    """Soft shapes of its own under grain."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (9, 12, 3), dtype=np.uint8))
    soft = np.asarray(coarse.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)).astype(np.int16)
    noisy = soft + random.integers(-12, 13, (HEIGHT, WIDTH, 1), dtype=np.int16)
    file = io.BytesIO()
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=85)
    return file.getvalue()


if __name__ == "__main__":
    main()
