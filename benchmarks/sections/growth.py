"""Time per photo and memory from few photos to many."""

from benchmarks.sections import met, table, where

TIME_SPREAD = 1.1  # the slowest time per photo over the quickest
# Beyond features, what may grow is the index: a hash, a path and a place for each photo, and sums over all of them.
BYTES_PER_PHOTO = 4000


def growth(found: dict | None) -> str:
    if found is None:
        return ""
    runs = sorted(found["runs"], key=lambda run: run["photos"])
    rows = [
        f"| {run['photos']:,} | {run['seconds']:.0f} | {run['feature_milliseconds_per_photo']:.2f} "
        f"| {run['test_milliseconds_per_photo']:.2f} | {run['head_seconds']:.1f} | {run['head_epochs']} "
        f"| {run['feature_megabytes']:.0f} | {run['peak_resident_megabytes']:.0f} "
        f"| {run['peak_anonymous_megabytes']:.0f} |"
        for run in runs
    ]
    head = (
        "| photos | seconds in all | features, ms a photo | test, ms a photo | head, s | its epochs | features, MB "
        "| resident at most, MB | of that its own, MB |"
    )
    times = [run["feature_milliseconds_per_photo"] for run in runs]
    constant = max(times) / min(times)
    first, last = runs[0], runs[-1]
    memory = "peak_resident_megabytes"
    more = last[memory] - first[memory]
    features = last["feature_megabytes"] - first["feature_megabytes"]
    index = (last["photos"] - first["photos"]) * BYTES_PER_PHOTO / 1e6
    # The features as they were computed, and once more as the head takes them, centred and scaled.
    budget = 2 * features + index
    return f"""## From {first["photos"]:,} to {last["photos"]:,} photos

{found["backbone"]}, preset {found["preset"]}, drawn photos of 400 × 300 pixels, each number in a process and with a cache of its
own. {where(found)}

{table(head, rows)}

Features, time per photo: at most {constant:.2f} times the quickest (goal {TIME_SPREAD:g}: {met(constant <= TIME_SPREAD)}). Memory grew by {more:.0f} MB; the
budget for it is {budget:.0f} MB, twice the features that the head learns on and {BYTES_PER_PHOTO:,} bytes a photo for names and
hashes (goal: {met(more <= budget)}). Rows on disk are read as they are asked for and don't stay in memory.

`{found["command"]}`
"""
