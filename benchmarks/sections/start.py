"""From the press on Start to a scored model in the page."""

from benchmarks.sections import table, where

# Of the median turn: what is measured, its name in the file, its goal in seconds.
ROWS = (
    (
        "features kept, a process stands by: click on Start → the page says it is finished",
        "pressed_to_shown_seconds",
        1.0,
    ),
    ("… click → the run is written", "pressed_to_created_seconds", None),
    ("… the run is written → scored", "created_to_scored_seconds", None),
    ("… scored → the page shows it", "scored_to_shown_seconds", None),
    ("last photo uploaded → Start pressed, as soon as it can be", "uploaded_to_pressed_seconds", None),
    ("last photo uploaded → scored", "uploaded_to_scored_seconds", None),
    ("last photo uploaded → the page says it is finished", "uploaded_to_shown_seconds", None),
)


def start(found: dict | None) -> str:
    if found is None:
        return ""
    turns = found["turns"]
    rows: list[str] = []
    for text, name, goal in ROWS:
        seconds = found["median"][name]
        spread = f"{min(turn[name] for turn in turns):.2f} to {max(turn[name] for turn in turns):.2f}"
        judged = "" if goal is None else f"{goal:g} s: {'met' if seconds <= goal else 'not met'}"
        rows.append(f"| {text} | {seconds:.2f} ({spread}) | {judged} |")
    spent = ", ".join(f"{phase} {seconds:.2f}" for phase, seconds in turns[0]["phases"].items())
    upload = found["median"]["upload_seconds"]
    return f"""## Start, in the page

{found["photos"]} drawn photos, EfficientNet-Lite0, the Fast preset, headless Chromium on the same machine; median of
{len(turns)} turns, each with a server and a workspace of its own. {where(found)}

{table("| from → to | seconds (spread) | goal |", rows)}

The upload itself took {upload:.1f} s. The first turn's run with kept features spent, in seconds: {spent}. A process that
stands by takes {found["median"]["standby_megabytes"]:.0f} MB.

`{found["command"]}`
"""
