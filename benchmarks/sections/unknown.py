"""Photos unlike anything seen."""

import statistics

from benchmarks.sections import met, table, where

MOST_KNOWN, LEAST_OTHERS = 0.07, 0.8
GOAL = ("hymenoptera", ("trash", "textures"))
KINDS = {"fast": "head only", "none": "fine-tuned", "all": "fine-tuned, then again with the validation photos"}


def unknown(found: dict | None) -> str:
    if found is None:
        return ""
    rows = found["rows"]
    return f"""## “I don't know”

{found["backbone"]}; learnt from one set, shown its own test photos and those of the other sets. Head only: {found["seeds"]} seeds
together. Refused: stranger than the limit that a run finds for itself; goal: at most 7 % of known photos, and from ants and bees
(hymenoptera) at least 80 % of trash and textures. AUROC in the mean over the other sets, the worst of them in brackets.
{where(found)}

{table("| learnt from | how | known photos refused | others refused | AUROC | by the largest probability |", refusals(rows))}

{_goal(rows)} `known.safetensors` takes {_size(rows)}.

Mean AUROC of all pairs of sets, head only, by what strangeness is made of (energy in deviations of the known photos, beside one of
distance): {_made_of(rows)}.

`{found["command"]}`
"""


def refusals(rows: list[dict]) -> list[str]:
    lines = []
    for kind, how in KINDS.items():
        for name in dict.fromkeys(row["data"] for row in rows if row["kind"] == kind):
            same = [row for row in rows if (row["kind"], row["data"]) == (kind, name)]
            others = "; ".join(
                f"{other} {_share([row['others'][other]['refused'] for row in same])}" for other in same[0]["others"]
            )
            lines.append(
                f"| {name} | {how} | {_share([row['known'] for row in same])} | {others} "
                f"| {_auroc(same, 'distance')} | {_auroc(same, 'softmax')} |"
            )
    return lines


def _share(counts: list[list[int]]) -> str:
    return f"{sum(part for part, _ in counts) / sum(whole for _, whole in counts):.1%}"


def _auroc(rows: list[dict], method: str) -> str:
    by_set: dict[str, list[float]] = {}
    for row in rows:
        for name, told in row["others"].items():
            by_set.setdefault(name, []).append(told["auroc"][method])
    means = [statistics.mean(values) for values in by_set.values()]
    return f"{statistics.mean(means):.3f} ({min(means):.3f})"


def _goal(rows: list[dict]) -> str:
    name, others = GOAL
    same = [row for row in rows if (row["kind"], row["data"]) == ("fast", name)]
    if not same or not all(other in same[0]["others"] for other in others):
        return ""
    known = sum(row["known"][0] for row in same) / sum(row["known"][1] for row in same)
    told = {other: [row["others"][other]["refused"] for row in same] for other in others}
    least = min(sum(part for part, _ in counts) / sum(whole for _, whole in counts) for counts in told.values())
    return (
        f"Ants and bees, head only: {known:.1%} of known photos refused (goal 7 %: {met(known <= MOST_KNOWN)}), "
        f"at least {least:.1%} of trash and textures (goal 80 %: {met(least >= LEAST_OTHERS)})."
    )


def _size(rows: list[dict]) -> str:
    largest = max(rows, key=lambda row: row["file_megabytes"])
    return f"{largest['file_megabytes']:.1f} MB for {largest['training']} training photos; 5,000, the most that are kept, would take 13 MB"


def _made_of(rows: list[dict]) -> str:
    fast = [told["auroc"] for row in rows if row["kind"] == "fast" for told in row["others"].values()]
    return ", ".join(f"{name} {statistics.mean(auroc[name] for auroc in fast):.4f}" for name in fast[0])
