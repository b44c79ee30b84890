"""Frames a second that a camera on Try it gets answered, and how long each takes, over HTTP on loopback.

    python -m benchmarks.live RUN_DIR --photos FOLDER [--frames 300] [--viewers 1]

The run must lie in ``…/<owner>/runs/``. Each viewer sends its next frame when the last is answered, as the page does,
without the page's limit of 12 a second. Frames are the folder's photos, scaled as the browser scales them.
"""

import argparse
import http.client
import io
import itertools
import json
import os
import statistics
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
import uvicorn
from PIL import Image, ImageOps
from starlette.applications import Starlette

from benchmarks.results import machine, write
from core.inference.batch import folder_photos
from core.runs import RunDirectory
from core.workspace import Workspace
from pages.server.guard import TOKEN_HEADER
from pages.server.live import live_address, live_routes, live_token

WARM = 10  # frames that aren't counted
QUALITY = 85  # as live_camera.js has it


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, metavar="RUN_DIR")
    parser.add_argument("--photos", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--viewers", type=int, default=1)
    parser.add_argument("--into", default="live", metavar="NAME", help="of the file below measured/")
    options = parser.parse_args()
    run = RunDirectory(options.run.resolve())
    home = run.path.parent.parent
    os.environ["GRAFT_WORKSPACE"] = str(home.parent)
    token = live_token(Workspace(home.parent, home.name), run)
    side = json.loads(run.model_card.read_text("utf-8"))["preprocessing"]["resize"]
    frames = [frame(source.file, side) for source in itertools.islice(folder_photos(options.photos), 40) if source.file]
    server = uvicorn.Server(
        uvicorn.Config(Starlette(routes=live_routes("/graft", lambda _: home.name)), port=0, log_level="error")
    )
    threading.Thread(target=server.run, daemon=True).start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]

    def view(count: int) -> tuple[list[float], int]:
        return watch(port, live_address("/graft", run), token, itertools.islice(itertools.cycle(frames), count))

    view(WARM)
    began = time.perf_counter()
    with ThreadPoolExecutor(options.viewers) as pool:
        told = list(pool.map(view, [options.frames] * options.viewers))
    seconds = time.perf_counter() - began
    server.should_exit = True
    taken = sorted(one for times, _ in told for one in times)
    found = {
        "command": "python -m benchmarks.live", "machine": machine(), "torch": torch.__version__,
        "backbone": json.loads(run.model_card.read_text("utf-8"))["backbone"], "frames": options.frames,
        "viewers": options.viewers, "frame_kilobytes": statistics.mean(map(len, frames)) / 1000,
        "answers_per_second": len(taken) / seconds, "turned_away": sum(away for _, away in told),
        "milliseconds_median": 1000 * statistics.median(taken),
        "milliseconds_95th": 1000 * taken[int(0.95 * len(taken))],
    }  # fmt: skip
    write(options.into, found)
    print(json.dumps(found, indent=1), file=sys.stderr)


def frame(photo: Path, side: int) -> bytes:
    """The square that the browser would send."""
    with Image.open(photo) as opened:
        square = ImageOps.fit(opened.convert("RGB"), (side, side))
    file = io.BytesIO()
    square.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def watch(port: int, address: str, token: str, frames: "itertools.islice[bytes]") -> tuple[list[float], int]:
    """Seconds that each answered frame took, and how many were turned away."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    times: list[float] = []
    away = 0
    for data in frames:
        began = time.perf_counter()
        connection.request("POST", address, data, {TOKEN_HEADER: token})
        answer = connection.getresponse()
        answer.read()
        if answer.status == 200:
            times.append(time.perf_counter() - began)
        elif answer.status == 429:
            away += 1
        else:
            raise SystemExit(f"the server answered {answer.status}")
    return times, away


if __name__ == "__main__":
    main()
