"""How long Start takes in the page: right after an upload, and with a process standing by and features that are kept.

    python -m benchmarks.start [--photos 500] [--repeat 3]

Draws the photos, and for each turn starts the real server on a workspace of its own, uploads them in headless
Chromium, presses every button as soon as it is there, and starts a second run with another learning rate once nothing
works any more. Processes are watched through /proc, so this runs on Linux.
"""

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from benchmarks.results import machine, write
from core.data import demo
from core.events import Ended, Evaluated
from core.runs import RunDirectory
from core.runs.store import read_events
from core.words import say
from tests.browser.serving import CHROMIUM_FLAGS, Server, find_chromium
from tests.browser.walking import button, owner, press, run_in_address, visit, wait_until

QUIET_SECONDS = 1.5  # so long no process of the server's may compute before features count as there
TICK = os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=500)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        photos = demo.make(Path(folder) / "leaves", per_class=options.photos // len(demo.CLASSES))
        turns = []
        for number in range(options.repeat):
            turns.append(measure(photos, Path(folder) / f"workspace-{number}", number))
            print(json.dumps(turns[-1]), flush=True)
    result = {
        "command": f"python -m benchmarks.start --photos {options.photos} --repeat {options.repeat}",
        "machine": machine(),
        "photos": options.photos // len(demo.CLASSES) * len(demo.CLASSES),
        "turns": turns,
        "median": {name: statistics.median(turn[name] for turn in turns) for name in turns[0] if "phases" not in name},
    }
    print(json.dumps(result["median"], indent=1))
    write("start", result)


def measure(photos: Path, workspace: Path, number: int) -> dict[str, Any]:
    """One upload and the run after it, then a run whose features are there."""
    server = Server(workspace, environment={"GRAFT_STANDBY": "1"}).start()
    try:
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=find_chromium(), args=list(CHROMIUM_FLAGS))
            page = browser.new_page()
            found = after_upload(page, server, photos)
            found |= with_features(page, server, number)
            browser.close()
        return found
    finally:
        server.stop()
        shutil.rmtree(workspace, ignore_errors=True)


def after_upload(page: Any, server: Server, photos: Path) -> dict[str, Any]:
    """From the last byte of the last photo to a scored model, pressing on as soon as there is something to press."""
    sent: list[float] = []

    def note(request: Any) -> None:
        if request.method == "POST" and "/uploads/" in request.url:
            sent.append((request.timing["startTime"] + request.timing["responseEnd"]) / 1000)  # from milliseconds

    page.on("requestfinished", note)
    visit(page, server, "photos")
    chosen = time.time()
    page.locator(".pick-folder").set_input_files(str(photos))
    press(page, "next_model")
    press(page, "start_training")
    pressed = time.time()
    run = opened_run(page, server)
    button(page, "next_results").wait_for(timeout=600_000)
    shown = time.time()
    scored = time_of(run, Evaluated)
    return {
        "upload_seconds": max(sent) - chosen,
        "uploaded_to_pressed_seconds": pressed - max(sent),
        "uploaded_to_scored_seconds": scored - max(sent),
        "uploaded_to_shown_seconds": shown - max(sent),
        "first_phases": phases(run),
    }


def with_features(page: Any, server: Server, number: int) -> dict[str, Any]:
    """From the click on Start to the finished run on the page; nothing but kept features is there from before."""
    visit(page, server, f"model?set={next(owner(server).datasets.iterdir()).name}")
    page.get_by_text(say("model.all_settings")).first.click()
    rate = page.locator("[class*='st-key-set_head_learning_rate_'] input").first
    rate.fill(f"{(number + 2) * 3e-4:.1e}")
    rate.press("Enter")
    wait_for_quiet(server)
    memory = sum(megabytes(pid) for pid in children(server.pid, "core.runs.standby"))
    start = button(page, "start_training")
    start.wait_for()
    before = time.time()
    start.click()
    button(page, "next_results").wait_for(timeout=600_000)
    shown = time.time()
    run = opened_run(page, server)
    created = run.info().created
    return {
        "pressed_to_shown_seconds": shown - before,
        "pressed_to_created_seconds": created - before,
        "created_to_scored_seconds": time_of(run, Evaluated) - created,
        "scored_to_shown_seconds": shown - time_of(run, Evaluated),
        "standby_megabytes": memory,
        "phases": phases(run),
    }


def opened_run(page: Any, server: Server) -> RunDirectory:
    return RunDirectory(owner(server).runs / run_in_address(page))


def phases(run: RunDirectory) -> dict[str, float]:
    """Where the seconds of a run went, as it told at its end."""
    told = wait_until(lambda: next((event for event in read_events(run)[0] if isinstance(event, Ended)), None))
    return dict(told.seconds or {})


def time_of(run: RunDirectory, kind: type) -> float:
    return wait_until(lambda: next((event.at for event in read_events(run)[0] if isinstance(event, kind)), None))


# What the server's processes do, from /proc


def wait_for_quiet(server: Server) -> None:
    """Until a process stands by, and neither it nor another one of the server's has computed for a while."""
    wait_until(lambda: children(server.pid, "core.runs.standby"), "nothing stands by")
    while True:
        before = sum(map(processor_seconds, children(server.pid, "core.")))
        time.sleep(QUIET_SECONDS)
        if abs(sum(map(processor_seconds, children(server.pid, "core."))) - before) < 0.05:
            return


def children(parent: int, word: str) -> list[int]:
    """The processes that ``parent`` started and whose command has ``word`` in it."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            above = int((folder / "stat").read_text("utf-8").rsplit(")", 1)[1].split()[1])
            if above == parent and word in (folder / "cmdline").read_text("utf-8"):
                found.append(int(folder.name))
        except (OSError, UnicodeDecodeError):  # ended meanwhile
            continue
    return found


def processor_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICK


def megabytes(pid: int) -> float:
    """What a process takes of memory that it shares with no other, and its part of what it shares."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text("utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("Pss:"))


if __name__ == "__main__":
    main()
