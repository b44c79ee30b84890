"""Two thousand photos through a real browser: seconds, and what the server's memory does meanwhile.

    python -m benchmarks.upload [--files 2000] [--kilobytes 95] [--zip] [--repeat 3]

Prints one JSON object a run, and one with the median as the last line.
"""

import argparse
import json
import os
import platform
import random
import statistics
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from benchmarks.results import write
from tests.browser.serving import CHROMIUM_FLAGS, STAGE, Server, find_chromium, settled


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        photos = make_photos(Path(folder) / "photos", options.files, options.kilobytes * 1000)
        if options.zip:
            photos = _zipped(photos)
        runs: list[dict[str, Any]] = []
        for number in range(options.repeat):
            runs.append(measure(photos, Path(folder) / f"workspace-{number}"))
            print(json.dumps(runs[-1]), flush=True)
    seconds = [run["seconds"] for run in runs]
    result = {
        "command": f"python -m benchmarks.upload --files {options.files} --kilobytes {options.kilobytes}"
        f"{' --zip' if options.zip else ''} --repeat {options.repeat}",
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}",
        "files": options.files,
        "megabytes": runs[0]["megabytes"],
        "runs": len(runs),
        "median_seconds": statistics.median(seconds),
        "spread_seconds": [min(seconds), max(seconds)],
        "median_ready_seconds": statistics.median(run["ready_seconds"] for run in runs),
        "rss_when_ready_megabytes": max(run["rss_when_ready"] for run in runs),
        "received": [run["received"] for run in runs],
        "largest_growth_megabytes": round(max(run["rss_peak"] - run["rss_before"] for run in runs), 1),
        "date": time.strftime("%Y-%m-%d"),
    }
    print(json.dumps(result))
    write("upload", result)


def make_photos(folder: Path, files: int, size: int) -> Path:
    """JPEG headers before noise: nothing on the way can be compressed, and no two files are the same."""
    noise = random.Random(0)
    for number in range(files):
        path = folder / f"class-{number % 10}" / f"photo-{number:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\xff\xd8\xff\xe0" + noise.randbytes(noise.randint(size // 2, size * 3 // 2)))
    return folder


def measure(photos: Path, workspace: Path) -> dict[str, Any]:
    """Choose ``photos`` in the folder picker, or the zip in the file picker, and wait for the result."""
    chromium = find_chromium()
    if chromium is None:
        raise SystemExit("No Chromium was found. Install one, or name it in GRAFT_CHROMIUM.")
    server = Server(workspace, app=STAGE, environment={"GRAFT_STAGE": "uploading.py"}).start()
    ready = server.rss_megabytes()
    try:
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=chromium, args=list(CHROMIUM_FLAGS))
            page = browser.new_page()
            page.goto(server.url)
            settled(page)
            picker = page.locator(".pick-folder" if photos.is_dir() else ".pick-files")
            before = server.rss_megabytes()
            server.forget_peak()
            began = time.perf_counter()
            picker.set_input_files(str(photos))
            page.get_by_text("result 1:").wait_for(timeout=600_000)
            seconds = time.perf_counter() - began
            told = dict(pair.split("=") for pair in page.get_by_text("result 1:").inner_text().split()[2:])
            browser.close()
        stored = [path for path in workspace.glob("*/uploads/*/photos/**/*") if path.is_file()]
        return {
            "seconds": round(seconds, 2),
            "sent": int(told["sent"]),
            "received": int(told["received"]),
            "on_disk": len(stored),
            "megabytes": round(sum(path.stat().st_size for path in stored) / 1e6, 1),
            "ready_seconds": round(server.ready_seconds, 2),
            "rss_when_ready": round(ready, 1),
            "rss_before": round(before, 1),
            "rss_peak": round(server.peak_rss_megabytes(), 1),
            "rss_after": round(server.rss_megabytes(), 1),
        }
    finally:
        server.stop()


def _zipped(photos: Path) -> Path:
    archive = photos.with_suffix(".zip")
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as writer:
        for path in sorted(photos.rglob("*.jpg")):
            writer.write(path, path.relative_to(photos.parent).as_posix())
    return archive


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--kilobytes", type=int, default=95, help="average size of a photo")
    parser.add_argument("--zip", action="store_true", help="send them as one zip")
    parser.add_argument("--repeat", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
