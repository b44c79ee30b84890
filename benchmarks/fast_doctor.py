"""The doctor's fast findings, planted and not: ``python -m benchmarks.fast_doctor FOLDER [FOLDER …]``.

Shortcuts: each class in turn is brightened by 15 %, and the others are saved again as it is, so that only the light
differs; a class of fewer than 40 photos is judged all the same. Blur: 5 % of the photos blurred by a Gaussian of 0.5,
1 and 2 % of their shorter side. Speed: reading, hashing and decoding a photo as before facts were measured, and all of
``check``, in turns in one process, in processor time; grouping and examining 50,000 photos drawn at random.
"""

import argparse
import hashlib
import io
import json
import random
import resource
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from benchmarks.results import machine, write
from core.data.alike import find_together
from core.data.facts import SIDE, Facts, measure, read_facts, write_facts
from core.data.image import open_photo, open_rgb, read_file
from core.data.report import DatasetReport, Photo
from core.data.scan import check, scan
from core.data.store import Dataset
from core.doctor.fast import examine_fast

BLURS = (0.005, 0.01, 0.02)
MANY = 50_000
REPETITIONS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    options = parser.parse_args()
    sets = []
    for folder in options.folders:
        facts: dict[str, Facts] = {}
        report = scan(folder, facts=facts)
        row = {"name": folder.name, "photos": len(report.photos), "found": kinds(report, facts)}
        sets.append({**row, "shortcut": shortcuts(report, facts), "blur": blurs(report, facts)})
        print(json.dumps(sets[-1]), flush=True)
    command = "python -m benchmarks.fast_doctor FOLDER …"
    speed = {"scan": speed_of_scan(options.folders[0]), "many": many()}
    result = {"machine": machine(), "command": command, "sets": sets, **speed}
    write("fast_doctor", result)
    print(json.dumps(result))


def kinds(report: DatasetReport, facts: dict[str, Facts]) -> dict[str, int]:
    return {one.kind: len(one.cases) for one in examine_fast(report, facts)}


def told(report: DatasetReport, facts: dict[str, Facts], kind: str) -> set[str]:
    return {path for one in examine_fast(report, facts) if one.kind == kind for path in one.paths}


def saved_again(image: Image.Image, kind: str) -> Facts:
    file = io.BytesIO()
    image.save(file, kind, quality=92)
    return measure(open_photo(file.getvalue(), SIDE))


def shortcuts(report: DatasetReport, facts: dict[str, Facts]) -> dict[str, object]:
    plain, bright = {}, {}
    for photo in report.photos:
        image = open_rgb(Path(report.root) / photo.path)
        kind = "PNG" if facts[photo.sha256].kind == "PNG" else "JPEG"
        plain[photo.sha256] = saved_again(image, kind)
        bright[photo.sha256] = saved_again(ImageEnhance.Brightness(image).enhance(1.15), kind)
    found = []
    for label in report.classes:
        of_class = {photo.sha256 for photo in report.photos if photo.label == label}
        mixed = {sha256: (bright if sha256 in of_class else plain)[sha256] for sha256 in plain}
        cases = [case for one in examine_fast(report, mixed) if one.kind == "shortcut" for case in one.cases]
        if any(case.values["told_by"] == "light" and case.values["name"] == label for case in cases):
            found.append(label)
    clean = [dict(case.values) for one in examine_fast(report, plain) if one.kind == "shortcut" for case in one.cases]
    return {"classes": len(report.classes), "least": min(report.counts.values()), "found": found, "clean": clean}


def blurs(report: DatasetReport, facts: dict[str, Facts]) -> dict[str, list[int]]:
    """Per radius: planted, found, and wrongly told."""
    rows: dict[str, list[int]] = {}
    for radius in BLURS:
        chosen = random.Random(radius).sample(report.photos, max(1, len(report.photos) // 20))
        mixed = dict(facts)
        for photo in chosen:
            image = open_rgb(Path(report.root) / photo.path)
            soft = image.filter(ImageFilter.GaussianBlur(radius * min(image.size)))
            mixed[photo.sha256] = saved_again(soft, "JPEG")
        planted, found = {photo.path for photo in chosen}, told(report, mixed, "blurred")
        rows[f"{radius:g}"] = [len(planted), len(planted & found), len(found - planted)]
    return rows


def speed_of_scan(folder: Path) -> dict[str, object]:
    """Milliseconds of processor time a photo."""
    paths = [Path(folder) / photo.path for photo in scan(folder).photos]
    seconds: dict[str, list[float]] = {"before": [], "now": []}
    for _ in range(REPETITIONS):
        for name, look in (("before", _decode_only), ("now", check)):
            begun = time.process_time()
            for path in paths:
                look(path)
            seconds[name].append((time.process_time() - begun) / len(paths) * 1000)
    size = statistics.mean(path.stat().st_size for path in paths)
    return {"photos": len(paths), "kilobytes": size / 1000, **{k: statistics.median(v) for k, v in seconds.items()}}


def _decode_only(path: Path) -> None:
    data = read_file(path)
    hashlib.sha256(data).hexdigest()
    open_photo(data, shorter_side=1)


def many() -> dict[str, object]:
    """Processor seconds and the growth of resident memory for MANY different photos."""
    chance = np.random.default_rng(0)
    facts: dict[str, Facts] = {}
    one = saved_again(Image.fromarray(chance.integers(0, 256, (200, 200, 3), dtype=np.uint8)), "JPEG")
    for place in range(MANY):
        look, mirrored = (f"{value:016x}" for value in chance.integers(0, 2**63, 2).tolist())
        facts[f"{place:064x}"] = replace(
            one, look=look, mirrored=mirrored, small=chance.bytes(384), white=chance.random()
        )
    photos = tuple(Photo(f"c/{n}.jpg", f"{n % 10}", None, f"{n:064x}", 500, 375, 90_000) for n in range(MANY))
    report = DatasetReport(".", photos, (), (), "classes")
    row: dict[str, object] = {"photos": MANY}
    with tempfile.TemporaryDirectory() as scratch:
        dataset = Dataset(Path(scratch), "many", "upload", 0.0, Path(scratch))
        steps = {
            "group": lambda: find_together(photos, facts),
            "examine": lambda: examine_fast(report, facts),
            "write": lambda: write_facts(dataset, facts),
            "read": lambda: read_facts(dataset),
        }
        for name, step in steps.items():
            before, begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
            step()
            row[name] = time.process_time() - begun
            row[f"{name}_megabytes"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1000
        row["file_megabytes"] = (Path(scratch) / "facts.json").stat().st_size / 1e6
    return row


if __name__ == "__main__":
    main()
