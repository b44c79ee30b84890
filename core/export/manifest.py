"""``graft.json``: all that a program needs to use a bundle's model, as data, and a hash of every file. Torch-free."""

import hashlib
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

import core
from core.data.image import MAX_ASPECT, MIN_SIDE
from core.data.report import Split
from core.inference.calibration import fit_temperature
from core.models.registry import Preprocessing
from core.runs.store import RunDirectory
from core.workspace import write_atomically

FORMAT = 1
NAME = "graft.json"
HASH_BYTES = 1 << 20
# Pillow's names of what makes a photo upright. Source: Exif 2.32, 4.6.4, tag 0x0112 Orientation.
EXIF_TURNS = {
    "2": "FLIP_LEFT_RIGHT",
    "3": "ROTATE_180",
    "4": "FLIP_TOP_BOTTOM",
    "5": "TRANSPOSE",
    "6": "ROTATE_270",
    "7": "TRANSVERSE",
    "8": "ROTATE_90",
}
# What core/data/image.py and pixels.py do, for whoever writes it once more in another language.
STEPS = (
    "refuse a photo with a side below min_side pixels, or longer than max_aspect times its shorter side",
    "decode the first frame; a JPEG at 1/2, 1/4 or 1/8 of its size where its shorter side stays at least resize",
    "16 bits a channel: multiply by 255/65535; other deep greys by 255 over the first of 1, 255, 65535 not exceeded",
    "lay what is transparent over white",
    "convert to RGB without applying colour profiles",
    "turn upright by exif_turns[EXIF orientation]",
    "cut the largest square from the middle and scale it to resize x resize with interpolation and antialiasing",
    "cut crop x crop pixels from the middle",
    "divide by 255, subtract mean, divide by std, each for red, green and blue",
    "lay out as (photos, 3, crop, crop), 32-bit floats",
)


def preprocessing(how: Preprocessing) -> dict[str, Any]:
    limits = {"min_side": MIN_SIDE, "max_aspect": MAX_ASPECT}
    return {**how.to_json(), **limits, "exif_turns": EXIF_TURNS, "steps": list(STEPS)}


def temperature_of(run: RunDirectory) -> float | None:
    """As it was fitted on the validation photos; None where they don't tell it."""
    if (results := run.results()) is not None and results.get("temperature"):
        return float(str(results["temperature"]))
    if not run.validation.exists():
        return None
    kept = json.loads(run.validation.read_text("utf-8"))
    return fit_temperature(np.asarray(kept["logits"], np.float64), kept["targets"])


def origin(run: RunDirectory) -> dict[str, Any]:
    """Where the model comes from: what another Graft needs to show the run."""
    info, split = run.info(), run.split()
    return {
        "run": run.id,
        "title": info.title,
        "created": info.created,
        "dataset": {name: info.dataset.get(name) for name in ("name", "fingerprint", "photos", "skipped")},
        "settings": info.config.to_json(),
        "photos": counts(split),
    }


def counts(split: Split) -> dict[str, dict[str, int]]:
    """Photos by part and class."""
    parts = {"training": split.train, "validation": split.val, "test": split.test}
    counted = {name: Counter(sample.target for sample in samples) for name, samples in parts.items()}
    return {
        name: {label: of_part[place] for place, label in enumerate(split.classes)} for name, of_part in counted.items()
    }


def made() -> dict[str, Any]:
    return {"format": FORMAT, "graft": core.__version__, "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}


def write(folder: Path, data: dict[str, Any]) -> None:
    write_atomically(folder / NAME, json.dumps(data, ensure_ascii=False, indent=1, allow_nan=False).encode())


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below ``folder`` but the manifest itself, by its path with "/"."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / NAME)
    return {path.relative_to(folder).as_posix(): sha256(path) for path in files}


def sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(HASH_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
