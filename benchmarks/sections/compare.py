"""Graft beside other tools: a table a data set, one over all of them, and the goals."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import mean, median
from typing import Any

from benchmarks.sections import met, table, where

TITLES = {
    "graft-fast": "Graft, Fast",
    "graft-balanced": "Graft, Balanced",
    "graft-best": "Graft, Best",
    "graft-fast-default": "Graft, Fast, on its own default network",
    "graft-balanced-default": "Graft, Balanced, on its own default network",
    "graft-best-default": "Graft, Best, on its own default network",
    "fastai": "fastai, `fine_tune(3)`",
    "fastai-16": "fastai, `fine_tune(3)`, batches of 16",
    "autogluon": "AutoGluon MultiModal, `fit(train)`",
    "tutorial-fixed": "the PyTorch tutorial, fixed features",
    "tutorial-finetune": "the PyTorch tutorial, fine-tuning",
}
PEERS = ("fastai", "fastai-16")
FAST_TIMES, BALANCED_TIMES = 15, 3


@dataclass(frozen=True)
class Cell:
    """One method on one data set, over all seeds."""

    seconds: tuple[float, ...]
    accuracies: tuple[float, ...]
    rows: tuple[dict[str, Any], ...]


Cells = dict[str, dict[str, Cell]]  # by data set, then by method


def compare(found: dict | None) -> str:
    if found is None or not found["rows"]:
        return ""
    cells = gathered(found["rows"])
    parts = [introduction(found), *(data_table(name, methods) for name, methods in cells.items())]
    parts += [over_all(cells), goals(cells), REMARKS, f"`{found['command']}`\n"]
    return "\n\n".join(part for part in parts if part)


def gathered(rows: list[dict[str, Any]]) -> Cells:
    cells: Cells = {}
    for name in dict.fromkeys(row["data"] for row in rows):
        cells[name] = {}
        for method in TITLES:
            chosen = [row for row in rows if (row["data"], row["method"]) == (name, method)]
            if chosen:
                seconds, accuracies = ([row[key] for row in chosen] for key in ("seconds", "accuracy"))
                cells[name][method] = Cell(tuple(seconds), tuple(accuracies), tuple(chosen))
    return cells


def introduction(found: dict) -> str:
    versions = sorted({row["version"] for row in found["rows"] if "version" in row})
    return f"""## Beside other tools: time to a scored model

Each figure is a whole process from a cold start, one after the other, seed by seed, nothing kept in between; seconds are
medians with the least and the most, accuracies are means over seeds on the photos of `val`, which nobody trained on. All
start from the same file, {found["weights"]}, but for the rows with Graft's own default network.
{"; ".join(versions) + "." if versions else ""} {found.get("note", "")} {where(found)}"""


def data_table(name: str, methods: dict[str, Cell]) -> str:
    tested = next(iter(methods.values())).rows[0]["photos"]
    against = median(methods["fastai"].seconds) if "fastai" in methods else None
    rows: list[str] = []
    for method, cell in methods.items():
        seconds, (low, high) = median(cell.seconds), (min(cell.seconds), max(cell.seconds))
        ratio = "" if against is None else f"{against / seconds:.1f}"
        each = ", ".join(f"{value:.3f}" for value in cell.accuracies)
        rows.append(
            f"| {title(method, cell)} | {seconds:.1f} ({low:.1f} to {high:.1f}) | {ratio} "
            f"| {mean(cell.accuracies):.4f} ({each}) |"
        )
    head = "| | seconds | times faster than fastai | accuracy |"
    return f"### {name}: scored on {tested} photos\n\n" + table(head, rows)


def title(method: str, cell: Cell) -> str:
    epochs = sorted({row["epochs"] for row in cell.rows})
    shown = f", {epochs[0]} epoch{'s' * (epochs[0] > 1)}" if method.startswith("tutorial") else ""
    return TITLES[method] + shown


def over_all(cells: Cells) -> str:
    """Means over the data sets that a method was measured on, and how many those are."""
    rows: list[str] = []
    for method in TITLES:
        names = [name for name, methods in cells.items() if method in methods]
        if names:
            ratios = times_faster(cells, method, "fastai")
            shown = f"{median(ratios):.1f}" if ratios else ""
            rows.append(f"| {TITLES[method]} | {len(names)} | {accuracy(cells, method, names):.4f} | {shown} |")
    head = "| | data sets | mean accuracy | times faster than fastai, median of the sets |"
    return "### Over all data sets\n\n" + table(head, rows)


def goals(cells: Cells) -> str:
    rows: list[str] = []
    for peer in PEERS:
        rows += times_goal(cells, "graft-fast", peer, FAST_TIMES) + accuracy_goal(cells, "graft-fast", peer, "no lower")
        rows += times_goal(cells, "graft-balanced", peer, BALANCED_TIMES)
        rows += accuracy_goal(cells, "graft-balanced", peer, "higher")
    rows += best_goal(cells)
    return "### Goals\n\n" + table("| goal | measured | |", rows) if rows else ""


def times_goal(cells: Cells, method: str, peer: str, wanted: float) -> list[str]:
    ratios = times_faster(cells, method, peer)
    if not ratios:
        return []
    reached = sum(ratio >= wanted for ratio in ratios)
    goal = f"{TITLES[method]} at least {wanted} times faster than {TITLES[peer]}"
    spread = f"{median(ratios):.1f} times in the median of {len(ratios)} sets ({min(ratios):.1f} to {max(ratios):.1f})"
    return [f"| {goal} | {spread}; reached on {reached} | {met(median(ratios) >= wanted)} |"]


def accuracy_goal(cells: Cells, method: str, peer: str, word: str) -> list[str]:
    names = shared(cells, method, peer)
    if not names:
        return []
    ours, theirs = accuracy(cells, method, names), accuracy(cells, peer, names)
    reached = ours >= theirs if word == "no lower" else ours > theirs
    goal = f"{TITLES[method]}: {word} mean accuracy than {TITLES[peer]}"
    return [f"| {goal} | {ours:.4f} against {theirs:.4f} over {len(names)} sets | {met(reached)} |"]


def best_goal(cells: Cells) -> list[str]:
    """Against each other method on the sets both have; Graft's rows on another network start from other weights."""
    pairs: list[tuple[float, float, str]] = []
    for other in TITLES:
        names = shared(cells, "graft-best", other)
        if other != "graft-best" and not other.endswith("-default") and names:
            pairs.append((accuracy(cells, "graft-best", names), accuracy(cells, other, names), other))
    if not pairs:
        return []
    ours, theirs, other = min(pairs, key=lambda pair: pair[0] - pair[1])
    shown = f"{ours:.4f}; the closest is {TITLES[other]} with {theirs:.4f}"
    return [f"| {TITLES['graft-best']}: the highest mean accuracy of all | {shown} | {met(ours >= theirs)} |"]


def times_faster(cells: Cells, method: str, peer: str) -> list[float]:
    """A ratio of medians for each data set that both were measured on."""
    names = shared(cells, method, peer)
    return [median(cells[name][peer].seconds) / median(cells[name][method].seconds) for name in names]


def shared(cells: Cells, one: str, other: str) -> list[str]:
    return [name for name, methods in cells.items() if one in methods and other in methods]


def accuracy(cells: Cells, method: str, names: Iterable[str]) -> float:
    return mean(mean(cells[name][method].accuracies) for name in names)


REMARKS = """fastai is used as its quick start has it (`ImageDataLoaders.from_folder(train, valid_pct=0.2, item_tfms=Resize(224))`,
then `vision_learner(dls, resnet18).fine_tune(3)`). Its batches of 64 mean one to three steps an epoch on sets this small, so
there is a second row with batches of 16, and a goal counts against both. The tutorial takes the best of its epochs by
these very photos; all others look at them once. AutoGluon 1.6.3 accepts torch below 2.14 and Pillow below 13, so it runs
in an environment of its own with torch 2.13. torchvision's and timm's reference scripts are not measured: neither package
carries its script, and torchvision's refuses pretrained weights with another number of classes."""
