"""What is kept stays within its budget, and what makes way is what nobody needs."""

import hashlib
import os
import time
from collections import namedtuple

import numpy as np
import pytest
from filelock import FileLock

from core.training import budget
from core.training.budget import fitting_views, make_room, prune, room, used
from core.training.rows import KEY_BYTES, RowStore

ROW = 1000 + KEY_BYTES
HOUR = 3600
Usage = namedtuple("Usage", "total used free")


def store(cache, name: str, rows: int, *, hours_ago: float) -> RowStore:
    made = RowStore(cache / name, (1000,), "uint8")
    keys = [hashlib.sha256(f"{name} {i}".encode()).hexdigest() for i in range(rows)]
    made.append(keys, np.zeros((rows, 1000), np.uint8))
    made.touch()
    then = time.time() - hours_ago * HOUR
    for file in ("keys", "used"):
        os.utime(cache / name / file, (then, then))
    return made


@pytest.fixture
def cache(tmp_path):
    """Four stores of 10,320 bytes each, the first unused for longest."""
    for place, hours in enumerate((48, 24, 5, 0.5)):
        store(tmp_path, f"store-{place}", 10, hours_ago=hours)
    (tmp_path / "mix.json").write_text("{}")
    return tmp_path


def left(cache) -> list[str]:
    return sorted(path.parent.name for path in cache.glob("*/data"))


@pytest.mark.parametrize(("room_bytes", "views"), [(0, 1), (99, 1), (100, 2), (149, 2), (150, 3), (1_000_000, 4)])
def test_views_fit_from_the_first_on_and_what_is_kept_already_costs_nothing(room_bytes, views):
    assert fitting_views([0, 100, 50, 1000], room_bytes) == views


@pytest.mark.parametrize(
    ("budget_bytes", "names"),
    [
        (4 * 10 * ROW, ["store-0", "store-1", "store-2", "store-3"]),
        (4 * 10 * ROW - 1, ["store-1", "store-2", "store-3"]),
        (2 * 10 * ROW, ["store-2", "store-3"]),
        (0, ["store-3"]),  # used within the hour
    ],
)
def test_the_store_that_was_unused_for_longest_goes_first(cache, budget_bytes, names):
    removed = prune(cache, budget_bytes, set())
    assert left(cache) == names
    assert sorted(path.name for path in removed) == sorted({f"store-{i}" for i in range(4)} - set(names))
    assert used(cache) == len(names) * 10 * ROW
    assert (cache / "mix.json").exists()


def test_a_store_in_use_or_being_written_stays(cache):
    with FileLock(cache / "store-1" / "lock"):
        prune(cache, 0, {cache / "store-0"})
    assert left(cache) == ["store-0", "store-1", "store-3"]


def test_asking_for_rows_counts_as_use(cache):
    RowStore(cache / "store-0", (1000,), "uint8").rows([hashlib.sha256(b"store-0 3").hexdigest()])
    prune(cache, 0, set())
    assert left(cache) == ["store-0", "store-3"]


def test_room_is_what_the_budget_leaves_but_never_more_than_half_of_what_is_free(cache, monkeypatch):
    held = 4 * 10 * ROW
    monkeypatch.setattr(budget.shutil, "disk_usage", lambda _: Usage(10**9, 0, 50_000))
    assert room(cache, None) == 25_000
    assert room(cache, held + 700) == 700
    assert room(cache, held + 30_000) == 25_000
    assert room(cache, 5) == 0


@pytest.mark.parametrize("budget_bytes", [None, 25 * ROW])
def test_a_run_that_is_started_again_has_room_for_as_many_views_as_at_first(tmp_path, monkeypatch, budget_bytes):
    disk = 50 * ROW
    monkeypatch.setattr(budget.shutil, "disk_usage", lambda cache: Usage(disk, 0, disk - used(cache)))
    own = [tmp_path / f"view-{view}" for view in range(4)]
    found = []
    for kept in range(3):
        found.append(make_room(tmp_path, budget_bytes, [0] * kept + [10 * ROW] * (4 - kept), own))
        store(tmp_path, f"view-{kept}", 10, hours_ago=5)
    assert found == [2, 2, 2]


def test_old_stores_make_way_for_new_rows_and_stay_where_those_could_never_fit(cache):
    fits = make_room(cache, 5 * 10 * ROW, [20 * ROW, 20 * ROW], [cache / "new"])
    assert (fits, left(cache)) == (2, ["store-3"])
    assert make_room(cache, 10 * ROW + 5, [20 * ROW], [cache / "new"]) == 0
    assert left(cache) == ["store-3"]


def test_what_a_run_holds_already_is_not_pruned_to_make_way_for_its_own(cache):
    fits = make_room(cache, 3 * 10 * ROW, [10 * ROW, 10 * ROW, 10 * ROW], [cache / "store-0"])
    assert (fits, left(cache)) == (1, ["store-0", "store-3"])


def test_what_is_kept_in_any_case_leaves_less_room_but_takes_none_from_what_is_there(tmp_path):
    need = [0, 10 * ROW, 10 * ROW]
    assert make_room(tmp_path, 25 * ROW, need, [], always_bytes=10 * ROW) == 2
    assert make_room(tmp_path, 25 * ROW, need, [], always_bytes=1000 * ROW) == 1


def test_without_a_budget_nothing_is_removed(cache):
    assert make_room(cache, None, [5, 5], []) == 2
    assert len(left(cache)) == 4
