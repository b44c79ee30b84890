"""Where benchmark results are kept, and on what they were measured."""

import datetime
import json
import os
from pathlib import Path

from core.machine import processor_name

FOLDER = Path(__file__).parent / "measured"


def machine() -> dict[str, object]:
    return {"processor": processor_name(), "cores": os.cpu_count(), "date": datetime.date.today().isoformat()}


def write(name: str, result: dict) -> None:
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n", "utf-8")


def read(name: str) -> dict | None:
    path = FOLDER / f"{name}.json"
    return json.loads(path.read_text("utf-8")) if path.exists() else None
