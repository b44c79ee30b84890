"""The benchmark's table on unknown photos: counts of several seeds go together, and verdicts follow from them."""

from benchmarks.sections.unknown import unknown


def row(seed: int, known: int, trash: int, auroc: float) -> dict:
    told = {"distance": auroc, "softmax": 0.5}
    others = {"trash": {"refused": [trash, 100], "auroc": told}, "textures": {"refused": [99, 100], "auroc": told}}
    return {
        "data": "hymenoptera", "kind": "fast", "seed": seed, "training": 200, "file_megabytes": 0.5,
        "known": [known, 50], "others": others,
    }  # fmt: skip


def written(*rows: dict) -> str:
    machine = {"processor": "test", "cores": 2, "date": "2026-01-01"}
    return unknown({"command": "none", "machine": machine, "backbone": "b", "seeds": len(rows), "rows": list(rows)})


def test_counts_of_all_seeds_are_added_up_and_the_goals_are_judged_by_them():
    text = written(row(0, 2, 90, 0.9), row(1, 4, 80, 1.0))
    assert "| hymenoptera | head only | 6.0% | trash 85.0%; textures 99.0% | 0.950 (0.950) | 0.500 (0.500) |" in text
    assert "6.0% of known photos refused (goal 7 %: met), at least 85.0% of trash and textures (goal 80 %: met)" in text


def test_a_goal_that_is_missed_is_said_to_be():
    text = written(row(0, 4, 70, 0.9))
    assert "8.0% of known photos refused (goal 7 %: **not met**)" in text
    assert "at least 70.0% of trash and textures (goal 80 %: **not met**)" in text


def test_where_nothing_was_measured_nothing_is_told():
    assert unknown(None) == ""
