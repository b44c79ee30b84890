"""Kept rows survive being killed and being written by several processes at once, and never mix up photos."""

import errno
import hashlib
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from core.errors import DataError
from core.training import rows as rows_module
from core.training.rows import KEY_BYTES, RowStore

PROJECT = Path(__file__).parent.parent.parent
KEYS = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(8)]
ROWS = np.arange(8 * 6, dtype=np.float32).reshape(8, 2, 3)

# Appends rows of 3 KB that hold their own number, in batches of overlapping numbers, and says when it began.
WRITER = """
import hashlib, sys
import numpy as np
from pathlib import Path
from core.training.rows import RowStore
store = RowStore(Path(sys.argv[1]), (768,), "float32")
print("ready", flush=True)
for first in range(int(sys.argv[2]), int(sys.argv[3]), 8):
    numbers = list(range(first, first + 12))
    keys = [hashlib.sha256(str(n).encode()).hexdigest() for n in numbers]
    store.append(keys, np.repeat(np.array(numbers, np.float32)[:, None], 768, 1))
"""


def open_store(folder) -> RowStore:
    return RowStore(folder, (2, 3), "float32")


def writer(folder: Path, first: int, last: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(folder), str(first), str(last)]
    return subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True)


def assert_each_row_holds_its_own_number(folder: Path, numbers: range) -> None:
    store = RowStore(folder, (768,), "float32")
    read = store.rows([hashlib.sha256(str(n).encode()).hexdigest() for n in numbers])[:]
    assert np.array_equal(read, np.repeat(np.array(numbers, np.float32)[:, None], 768, 1))


def test_rows_come_back_in_the_order_they_are_asked_for(tmp_path):
    store = open_store(tmp_path / "kept")
    store.append(KEYS, ROWS)
    asked = [3, 0, 3, 4, 5, 6, 1]
    rows = store.rows([KEYS[i] for i in asked])
    assert np.array_equal(rows[:], ROWS[asked])
    assert np.array_equal(rows[np.array([6, 2, 3])], ROWS[[1, 3, 4]])
    assert np.array_equal(rows[2:4], ROWS[[3, 4]])
    assert rows[np.array([], np.int64)].shape == (0, 2, 3)


def test_only_what_is_missing_is_computed_and_equal_photos_once(tmp_path):
    open_store(tmp_path).append(KEYS[:2], ROWS[:2])
    store = open_store(tmp_path)
    assert store.missing([KEYS[2], KEYS[0], KEYS[2], KEYS[3]]) == [0, 3]
    store.append([KEYS[2], KEYS[2]], ROWS[[2, 2]])
    assert len(store) == 3


def test_what_is_there_already_is_neither_written_twice_nor_changed(tmp_path):
    first, second = open_store(tmp_path), open_store(tmp_path)
    assert second.missing(KEYS[:3]) == [0, 1, 2]
    first.append(KEYS[:3], ROWS[:3])
    second.append(KEYS[1:5], ROWS[1:5] + 100)
    assert np.array_equal(first.rows(KEYS[:5])[:], np.concatenate([ROWS[:3], ROWS[3:5] + 100]))
    assert (tmp_path / "data").stat().st_size == 5 * 24


def test_another_process_s_rows_are_seen_without_opening_anew(tmp_path):
    reader = open_store(tmp_path)
    assert reader.missing(KEYS[:1]) == [0]
    for count in (1, 4, 8):
        open_store(tmp_path).append(KEYS[:count], ROWS[:count])
        assert reader.missing(KEYS) == list(range(count, 8))
    assert np.array_equal(reader.rows(KEYS)[:], ROWS)


@pytest.mark.parametrize("lost_bytes", [1, 4, 23, 24, 25])
def test_a_torn_end_is_cut_off_and_written_again(tmp_path, lost_bytes):
    open_store(tmp_path).append(KEYS[:4], ROWS[:4])
    data = tmp_path / "data"
    data.write_bytes(data.read_bytes()[:-lost_bytes])
    store = open_store(tmp_path)
    missing = store.missing(KEYS[:4])
    assert missing == list(range(4 - -(-lost_bytes // 24), 4))
    store.append([KEYS[i] for i in missing], ROWS[missing])
    assert np.array_equal(store.rows(KEYS[:4])[:], ROWS[:4])


@pytest.mark.parametrize("key_bytes", [0, 1, KEY_BYTES, KEY_BYTES + 7])
def test_data_without_whole_keys_does_not_count_and_is_cut_off_by_the_next_writer(tmp_path, key_bytes):
    store = open_store(tmp_path)
    store.append(KEYS[:3], ROWS[:3])
    with (tmp_path / "data").open("ab") as data, (tmp_path / "keys").open("ab") as keys:
        data.write(ROWS[3:5].tobytes() + b"half")  # a writer that was killed
        keys.write(bytes.fromhex(KEYS[3] + KEYS[4])[:key_bytes])
    whole = 3 + key_bytes // KEY_BYTES
    assert store.missing(KEYS[:5]) == list(range(whole, 5))
    store.append([KEYS[5]], ROWS[5:6])
    wanted = [*range(whole), 5]
    for each in (store, open_store(tmp_path)):
        assert np.array_equal(each.rows([KEYS[i] for i in wanted])[:], ROWS[wanted])


def test_two_processes_that_write_the_same_photos_at_once_keep_each_row_once(tmp_path):
    writers = [writer(tmp_path, 0, 1600), writer(tmp_path, 0, 1600), writer(tmp_path, 800, 2400)]
    assert [process.wait(60) for process in writers] == [0, 0, 0]
    for process in writers:
        process.stdout.close()
    assert_each_row_holds_its_own_number(tmp_path, range(2404))
    assert (tmp_path / "keys").stat().st_size == 2404 * KEY_BYTES
    assert (tmp_path / "data").stat().st_size == 2404 * 768 * 4


def test_writers_that_are_killed_in_the_middle_leave_whole_rows_to_those_who_go_on(tmp_path):
    for turn in range(6):
        process = writer(tmp_path, turn * 200, 100_000)
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.02 + 0.013 * turn)
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        process.stdout.close()
    last = writer(tmp_path, 0, 2000)
    assert last.wait(60) == 0
    last.stdout.close()
    assert_each_row_holds_its_own_number(tmp_path, range(2004))
    keys = (tmp_path / "keys").read_bytes()
    each = [keys[i : i + KEY_BYTES] for i in range(0, len(keys), KEY_BYTES)]
    assert len(set(each)) == len(each)


def test_rows_can_be_read_on_after_the_store_was_pruned_and_begun_anew(tmp_path):
    store = open_store(tmp_path)
    store.append(KEYS[:4], ROWS[:4])
    rows = store.rows(KEYS[:4])
    assert rows_module.forget(tmp_path, unless_used_since=float("inf"))
    assert store.missing(KEYS[:2]) == [0, 1]
    open_store(tmp_path).append(KEYS[::-1], ROWS[::-1])
    assert np.array_equal(rows[:], ROWS[:4])
    assert np.array_equal(store.rows(KEYS)[:], ROWS)


def test_a_full_disk_is_told_kindly_and_leaves_the_store_whole(tmp_path, monkeypatch):
    store = open_store(tmp_path)
    store.append(KEYS[:2], ROWS[:2])
    write = rows_module._write

    def half(path: Path, block: np.ndarray) -> None:
        write(path, block[:1])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(rows_module, "_write", half)
    with pytest.raises(DataError, match="full") as told:
        store.append(KEYS[2:5], ROWS[2:5])
    assert str(tmp_path.parent) in told.value.message
    monkeypatch.undo()
    assert (tmp_path / "data").stat().st_size == 2 * 24
    store.append(KEYS[2:5], ROWS[2:5])
    assert np.array_equal(store.rows(KEYS[:5])[:], ROWS[:5])


def test_rows_of_the_wrong_shape_are_refused(tmp_path):
    with pytest.raises(ValueError, match="shape"):
        open_store(tmp_path).append(KEYS[:2], ROWS[:3])


def test_a_photo_that_was_never_kept_is_a_key_error(tmp_path):
    with pytest.raises(KeyError):
        open_store(tmp_path).rows([KEYS[0]])


def test_no_rows_can_be_asked_for_as_well(tmp_path):
    rows = open_store(tmp_path / "nothing").rows([])
    assert (len(rows), rows[:].shape) == (0, (0, 2, 3))
