"""The doctor's deep findings: wrong labels, strangers, guesses, speed."""

from benchmarks.sections import met, table, where

RECALL, PRECISION = 0.8, 0.5
GOAL_SETS = ("hymenoptera", "trash")  # a set whose folder is called something with this
SECONDS_OF_THOUSAND = 2.0


def deep_doctor(found: dict | None) -> str:
    if found is None:
        return ""
    sets = found["sets"]
    flipped = table(
        "| set | photos, classes | recall | precision | goal | told of the set as it is |",
        [_flips(one) for one in sets],
    )
    return f"""## Wrong labels

5 % of the labels of each set exchanged at random, all of its photos used; means over {found["seeds"]} seeds (the least of any seed).
The figures are lower bounds: the sets have wrong labels of their own, which count as told wrongly. {where(found)}

{flipped}

{_confidence(sets)}
{_beside(sets)}
## Strangers

2 % of each set planted from the other sets, under labels drawn at random.

{table("| set | recall | precision | told of the set as it is |", [_strange(one) for one in sets])}

## Labels for unlabelled photos

{table("| set | labelled of each class | guessed right | scikit-learn's LabelSpreading | certainty claimed, mean | photos claimed at 90 % and more | of these right |", [row for one in sets for row in _guesses(one)])}

## The deep look's speed

{_speed(found)}

`{found["command"]}`
"""


def _flips(one: dict) -> str:
    row = one["flips"]["methods"]["graft"]
    goal = ""
    if any(name in one["name"] for name in GOAL_SETS):
        goal = f"{RECALL:g} and {PRECISION:g}: {met(row['recall'] >= RECALL and row['precision'] >= PRECISION)}"
    told = one["clean"]["found"].get("label_error", 0)
    return (
        f"| {one['name']} | {one['photos']}, {one['classes']} | {row['recall']:.3f} ({row['least_recall']:.2f}) "
        f"| {row['precision']:.3f} ({row['least_precision']:.2f}) | {goal} | {told} |"
    )


def _confidence(sets: list[dict]) -> str:
    told = []
    lows = list(sets[0]["flips"]["confidence"])
    for low, high in zip(lows, [*lows[1:], "1"], strict=True):
        count = sum(one["flips"]["confidence"][low][0] for one in sets)
        right = sum(one["flips"]["confidence"][low][1] for one in sets)
        told.append(f"{low if float(low) else 'below'} to {high}: {right / max(count, 1):.0%} of {count:,}")
    return f"Planted among the cases, by the confidence told: {'; '.join(told)}.\n".replace("below to", "below")


def _beside(sets: list[dict]) -> str:
    names = [name for name in sets[0]["flips"]["methods"] if name != "graft"]
    if not names:
        return ""
    rows = []
    for name in ("graft", *names):
        cells = [one["flips"]["methods"][name] for one in sets]
        rows.append(
            f"| {name} | " + " | ".join(f"{cell['recall']:.2f} / {cell['precision']:.2f}" for cell in cells) + " |"
        )
    head = "| recall / precision | " + " | ".join(one["name"] for one in sets) + " |"
    return f"\nBeside cleanlab 2.9 on the same planted labels:\n\n{table(head, rows)}\n"


def _strange(one: dict) -> str:
    row = one["strange"]
    told = one["clean"]["found"].get("outlier", 0)
    return f"| {one['name']} | {row['recall']:.2f} | {row['precision']:.2f} | {told} |"


def _guesses(one: dict) -> list[str]:
    rows = []
    for count, row in one["guesses"].items():
        share = row["sure"] / row["asked"]
        right = f"{row['sure_right'] / row['sure']:.1%}" if row["sure"] else ""
        rows.append(
            f"| {one['name']} | {count} | {row['right']:.1%} | {row['label_spreading']:.1%} | {row['claimed']:.1%} "
            f"| {share:.0%} | {right} |"
        )
    return rows


def _speed(found: dict) -> str:
    of_thousand = [1000 * one["clean"]["seconds"] / one["photos"] for one in found["sets"]]
    drawn = found["many"]
    many = 1000 * drawn["seconds"] / drawn["photos"]
    worst = max(*of_thousand, many)
    return (
        f"On kept features, processor time for 1,000 photos: {min(of_thousand):.1f} to {max(of_thousand):.1f} s on the sets above, "
        f"{many:.1f} s where there are {drawn['photos']:,}\n(goal {SECONDS_OF_THOUSAND:g} s: {met(worst < SECONDS_OF_THOUSAND)}). "
        f"Memory for {drawn['photos']:,} photos: {drawn['before']:.0f} MB before, {drawn['peak']:.0f} MB at most; all their "
        f"features would take {drawn['photos'] * 1280 * 4 / 1e6:.0f} MB."
    )
