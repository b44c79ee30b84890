"""What the web server costs: ready time, memory, page answers while a run trains, and the live panel per open tab.

    python -m benchmarks.server [--seconds 20] [--tabs 2] [--chromium /usr/bin/chromium]

Starts the real server on a workspace of its own, draws the demo photos, starts a long run, and opens pages in headless
Chromium. CPU is the server process's own time from /proc, so this runs on Linux.
"""

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import closing
from pathlib import Path
from statistics import median

from playwright.sync_api import Page, sync_playwright

from benchmarks.results import machine, write
from core import runs
from core.config import TrainConfig
from core.data import datasets
from core.data.split import split
from core.workspace import Workspace

PROJECT = Path(__file__).parent.parent
CHROMIUM = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
# The last stage for a day: the run must not end while it is being watched.
LONG = TrainConfig(freeze_depth=7, epochs=10_000, patience=10_000, head_epochs=3, augment="none", batch_size=32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--tabs", type=int, default=2)
    parser.add_argument("--chromium", default=shutil.which("chromium"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        workspace = Workspace(Path(scratch), "me")
        with closing(socket.socket()) as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        began = time.monotonic()
        server = start(port, scratch)
        ready = time.monotonic() - began
        try:
            result = {"ready_seconds": ready, "rss_at_start_megabytes": rss(server.pid)}
            run = long_run(workspace)
            result |= watch(options, server.pid, f"http://127.0.0.1:{port}", run.id)
            runs.stop(run)
        finally:
            server.terminate()
            server.wait()
    write("server", {"command": "python -m benchmarks.server", "machine": machine(), **result})
    for name, value in result.items():
        print(f"{name}: {value:.2f}")


def start(port: int, workspace: str) -> subprocess.Popen:
    settings = ["--server.port", str(port), "--server.headless", "true"]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", *settings]
    server = subprocess.Popen(
        command, cwd=PROJECT, env={**os.environ, "GRAFT_WORKSPACE": workspace}, stdout=subprocess.DEVNULL
    )
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=1)
            return server
        except OSError:
            time.sleep(0.02)


def long_run(workspace: Workspace) -> runs.RunDirectory:
    dataset = datasets.make_demo(workspace)
    while (state := datasets.watch(dataset)).report is None:
        time.sleep(0.2)
    run = runs.submit(workspace.runs, LONG, split(state.report), title="benchmark", dataset={"id": dataset.id})
    while not any(epoch.phase == "finetune" for epoch in runs.watch(run).epochs):
        time.sleep(0.2)
    return run


def watch(options: argparse.Namespace, pid: int, address: str, run: str) -> dict[str, float]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=options.chromium, args=CHROMIUM)
        pages = [browser.new_page() for _ in range(options.tabs)]
        for page in pages:
            page.goto(f"{address}/train?run={run}")
            page.locator(".graft-plot-node").first.wait_for()
        time.sleep(3)
        tabs = cpu_share(pid, options.seconds) / len(pages)
        for page in pages[1:]:
            page.close()
        answers = answer_times(pages[0], 12)
        browser.close()
    return {
        "live_panel_cpu_percent_per_tab": 100 * tabs,
        "page_answer_median_ms": 1000 * median(answers),
        "page_answer_slowest_ms": 1000 * max(answers),
        "rss_before_a_prediction_megabytes": rss(pid),
    }


def answer_times(page: Page, count: int) -> list[float]:
    """From the click on a step in the sidebar to the end of the script's run, while the run trains."""
    times = []
    for number in range(count):
        step = ("Photos", "Results")[number % 2]
        began = time.monotonic()
        page.locator("[data-testid=stSidebar]").get_by_role("link", name=step).click()
        page.wait_for_url(lambda url, step=step: step.lower() in url)
        page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
        times.append(time.monotonic() - began)
        time.sleep(0.5)
    return times


def cpu_share(pid: int, seconds: float) -> float:
    before, began = cpu_seconds(pid), time.monotonic()
    time.sleep(seconds)
    return (cpu_seconds(pid) - before) / (time.monotonic() - began)


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text("utf-8").splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


if __name__ == "__main__":
    main()
