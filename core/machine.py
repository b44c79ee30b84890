"""What this computer is, told without importing torch: a page asks this before anything was computed."""

import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ASK_SECONDS = 3.0


@dataclass(frozen=True)
class Machine:
    """The processor and, where the driver names one, the GPU. ``gpu_megabytes`` is its whole memory."""

    processor: str
    cores: int
    gpu: str | None
    gpu_megabytes: int | None


@cache
def machine() -> Machine:
    """Asked once a process: the answer doesn't change while it runs."""
    gpu, megabytes = _nvidia()
    if gpu is None and platform.system() == "Darwin" and platform.machine() == "arm64":
        gpu = processor_name()  # Apple's chips compute on their own GPU, with shared memory
    return Machine(processor_name(), os.cpu_count() or 1, gpu, megabytes)


def processor_name() -> str:
    """As its maker calls it, as far as the system tells."""
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _nvidia() -> tuple[str | None, int | None]:
    """Name and memory of the first NVIDIA GPU, from the driver's own tool."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None, None
    try:
        answer = subprocess.run(
            [tool, "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"],
            capture_output=True, text=True, timeout=ASK_SECONDS, check=True,
        )  # fmt: skip
        name, megabytes = answer.stdout.splitlines()[0].rsplit(",", 1)
        return name.strip(), int(megabytes)
    except (subprocess.SubprocessError, OSError, ValueError, IndexError):
        return None, None
