"""Make benchmarks/README.md out of what was measured: ``python -m benchmarks.table``."""

import statistics
from pathlib import Path

from benchmarks.results import read
from benchmarks.sections import where
from benchmarks.sections.attention import attention
from benchmarks.sections.compare import compare
from benchmarks.sections.deep_doctor import deep_doctor
from benchmarks.sections.doctor import copies, fast_doctor
from benchmarks.sections.engine import depths, forward, gpu
from benchmarks.sections.growth import growth
from benchmarks.sections.parity import parity
from benchmarks.sections.profile import profile
from benchmarks.sections.start import start
from benchmarks.sections.unknown import unknown

README = Path(__file__).parent / "README.md"
INTRODUCTION = """# What was measured

Made by `python -m benchmarks.table` from `benchmarks/measured/*.json`; each part names the command that measures it again.
Figures are of the machine and day given; read ratios rather than seconds, for other machines differ.
"""


def main() -> None:
    parts = [INTRODUCTION, first_model(read("first_model")), server(read("server")), scan(read("scan"))]
    parts.append(upload(read("upload")))
    parts += [copies(read("copies")), fast_doctor(read("fast_doctor")), deep_doctor(read("deep_doctor"))]
    parts += [compare(read("compare")), depths(read("depths")), forward(read("forward")), gpu(read("gpu"))]
    parts += [profile(read("profile")), growth(read("growth")), start(read("start"))]
    parts.append(attention(read("attention")))
    parts.append(unknown(read("unknown")))
    parts.append(parity(read("parity")))
    README.write_text("\n".join(part for part in parts if part), "utf-8")


def first_model(found: dict | None) -> str:
    if found is None:
        return ""
    runs, loop = found["graft"], found["tutorial"]
    seconds = statistics.median(run["seconds"] for run in runs)
    accuracy = statistics.median(run["accuracy"] for run in runs)
    phases = {name: statistics.median(run["phases"][name] for run in runs) for name in runs[0]["phases"]}
    spent = ", ".join(f"{name} {value:.1f}" for name, value in phases.items())
    spread = ", ".join(f"{run['accuracy']:.4f}" for run in runs)
    met = "met" if found["ratio"] >= 30 else "not met"
    equal = "met" if accuracy >= loop["accuracy"] else "not met"
    return f"""## From the command to a scored model

Ants and bees of the PyTorch transfer-learning tutorial (245 training, 153 validation photos), EfficientNet-Lite0, whole
processes from a cold start, one after the other. {where(found)}

| | seconds | accuracy on the 153 photos |
|---|---|---|
| Graft, Fast preset, median of {len(runs)} seeds | {seconds:.1f} | {accuracy:.4f} ({spread}) |
| the tutorial's fixed-feature loop, {loop["epochs"]} epochs, batch 4, best epoch | {loop["seconds"]:.0f} | {loop["accuracy"]:.4f} |

**{found["ratio"]:.0f} times faster** (goal 30: {met}). Accuracy at least the loop's (goal: {equal}). The tutorial publishes
0.9477 for ResNet-18. Graft scores once, at the end; the loop's figure is the best of {loop["epochs"]} looks at the same photos.
Graft's seconds by phase: {spent}; the rest is starting Python and scanning.

`python -m benchmarks.first_model FOLDER`
"""


def server(found: dict | None) -> str:
    if found is None:
        return ""
    rows = [
        ("ready to serve", "ready_seconds", "s", 2.0),
        ("memory when ready", "rss_at_start_megabytes", "MB", 250.0),
        ("memory with pages open, before a prediction", "rss_before_a_prediction_megabytes", "MB", 250.0),
        ("a page's answer while a run trains, median", "page_answer_median_ms", "ms", 300.0),
        ("the slowest of 12 answers", "page_answer_slowest_ms", "ms", None),
        ("live panel, of one core, per open tab", "live_panel_cpu_percent_per_tab", "%", 5.0),
    ]
    lines = [
        f"| {name} | {found[key]:.1f} {unit} | {'' if goal is None else f'{goal:g} {unit}: ' + ('met' if found[key] <= goal else 'not met')} |"
        for name, key, unit, goal in rows
    ]
    return f"""## The web server

{where(found)} The run takes both cores while the pages are asked, and the browser draws on the same machine.

| | measured | goal |
|---|---|---|
{chr(10).join(lines)}

`{found["command"]}`
"""


def scan(found: dict | None) -> str:
    if found is None:
        return ""
    met = "met" if found["photos_per_second"] >= 500 else "not met"
    every = ", ".join(str(value) for value in found["photos_per_second_all"])
    return f"""## Scanning

{found["photos"]:,} JPEGs of 500 × 375 pixels, {found["mean_kilobytes"]:.0f} KB each, {found["cores"]} cores, {found["date"]}.

| | measured |
|---|---|
| photos a second, median of {len(found["photos_per_second_all"])} | {found["photos_per_second"]} ({every}); goal 500: {met} |
| processor time a photo | {found["cpu_milliseconds_per_photo"]} ms |
| resident memory, before and at most | {found["resident_megabytes_before"]} and {found["resident_megabytes_peak"]} MB |

`python -m benchmarks.scan --photos {found["photos"]}`
"""


def upload(found: dict | None) -> str:
    if found is None:
        return ""
    whole = all(received == found["files"] for received in found["received"])
    met = "met" if found["median_seconds"] <= 10 and whole else "not met"
    low, high = found["spread_seconds"]
    return f"""## Uploading a folder

{found["files"]:,} photos, {found["megabytes"]:.0f} MB, through the folder picker of headless Chromium, on loopback, {found["date"]}.

| | measured |
|---|---|
| until the page shows the result, median of {found["runs"]} | {found["median_seconds"]:.1f} s ({low:.1f} to {high:.1f}); goal 10 s: {met} |
| arrived | {", ".join(f"{received:,}" for received in found["received"])} of {found["files"]:,} |
| the server's memory: growth at most | {found["largest_growth_megabytes"]:.0f} MB |

`{found["command"]}`
"""


if __name__ == "__main__":
    main()
