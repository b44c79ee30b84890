"""A real server and a real browser for tests and benchmarks."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
STAGE = Path(__file__).parent / "stage" / "server.py"
CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class Server:
    """``streamlit run app.py`` on a free port, on a workspace of its own."""

    def __init__(self, workspace: Path, *, app: Path = ROOT / "app.py", environment: Mapping[str, str] | None = None):
        self.workspace, self.app = workspace, app
        self.environment = {**os.environ, **(environment or {}), "GRAFT_WORKSPACE": str(workspace)}
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.ready_seconds = 0.0
        self._process: subprocess.Popen[bytes] | None = None
        self.log = workspace.parent / f"{workspace.name}.server.log"

    def start(self) -> "Server":
        """Start it, and wait until it answers; ``ready_seconds`` says how long that took."""
        command = [sys.executable, "-m", "streamlit", "run", str(self.app)]
        command += ["--server.port", str(self.port), "--server.headless", "true"]
        began = time.monotonic()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() - began > 60:
                raise RuntimeError(f"the server didn't start:\n{self.log.read_text('utf-8')}")
            time.sleep(0.02)
        self.ready_seconds = time.monotonic() - began
        return self

    def kill(self) -> None:
        """End it as a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def restart(self) -> None:
        """Kill it and start it again at the same address, on the same workspace."""
        self.kill()
        self.start()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def rss_megabytes(self) -> float:
        return self._status_kilobytes("VmRSS") / 1000

    def peak_rss_megabytes(self) -> float:
        """The most it ever held, or since ``forget_peak``."""
        return self._status_kilobytes("VmHWM") / 1000

    def forget_peak(self) -> None:
        # Source: proc(5), /proc/PID/clear_refs: 5 resets the peak of the resident set.
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def _status_kilobytes(self, name: str) -> int:
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(rf"^{name}:\s+(\d+) kB", status, re.MULTILINE)
        assert found is not None
        return int(found[1])

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False


def find_chromium() -> str | None:
    """Path of a Chromium or Chrome: ``$GRAFT_CHROMIUM``, or the first one that is installed."""
    given = os.environ.get("GRAFT_CHROMIUM")
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
    return given or next((path for path in map(shutil.which, names) if path), None)


def settled(page: Any, timeout: float = 30_000) -> None:
    """Wait until Streamlit is connected and its script has run to the end."""
    page.locator(
        "[data-testid='stApp'][data-test-script-state='notRunning'][data-test-connection-state='CONNECTED']"
    ).wait_for(timeout=timeout)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
