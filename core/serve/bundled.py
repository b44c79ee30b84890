"""A bundle with its page for the browser: what pages and terminal call to export a run."""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from core.export.bundle import Tell, export
from core.export.parity import Parity
from core.runs.store import RunDirectory
from core.serve.browser_page import browser_page
from core.serve.runtime import find
from core.words import say


def export_with_page(
    run: RunDirectory,
    out: Path,
    tell: Tell = lambda step, done, total: None,
    should_stop: Callable[[], bool] = lambda: False,
    *,
    samples: bool = True,
) -> Parity:
    """``core.export.bundle.export``, with the page where the files of ONNX Runtime Web are on this computer."""
    runtime = find()
    page = partial(browser_page, runtime=runtime) if runtime is not None else None
    return export(run, out, tell, should_stop, samples=samples, page=page)


def export_told(run: Path, out: Path, *, samples: bool) -> dict[str, Any]:
    """The terminal's form: progress on stderr, and what came of it as one flat object."""
    parity = export_with_page(RunDirectory(run), out.absolute(), _tell, samples=samples)
    sys.stderr.write("\n")
    reasons = {name: why.message for name, why in parity.left_out.items()}
    return {"run": str(run), "bundle": str(out), "left_out": reasons, "parity": parity.to_json()}


def _tell(step: str, done: int, total: int) -> None:
    line = say("terminal.progress", phase=say(f"export.step.{step}"), done=done, total=total)
    sys.stderr.write(f"\r\x1b[K{line}")
    sys.stderr.flush()
