"""Kept rows survive being killed, and never mix up photos."""

import hashlib

import numpy as np
import pytest

from core.training.rows import RowStore

KEYS = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(8)]
ROWS = np.arange(8 * 6, dtype=np.float32).reshape(8, 2, 3)


def open_store(folder) -> RowStore:
    return RowStore(folder, (2, 3), "float32")


def test_rows_come_back_in_the_order_they_are_asked_for(tmp_path):
    with open_store(tmp_path / "kept") as store:
        store.append(KEYS[:5], ROWS[:5])
        asked = [3, 0, 3]
        assert np.array_equal(store.rows([KEYS[i] for i in asked])[:], ROWS[asked])


def test_only_what_is_missing_is_computed_and_equal_photos_once(tmp_path):
    with open_store(tmp_path) as store:
        store.append(KEYS[:2], ROWS[:2])
        assert store.missing([KEYS[2], KEYS[0], KEYS[2], KEYS[3]]) == [0, 3]
    with open_store(tmp_path) as store:
        assert store.missing(KEYS[:2]) == []


@pytest.mark.parametrize("lost_bytes", [1, 4, 23, 24, 25])
def test_a_torn_end_is_cut_off_and_written_again(tmp_path, lost_bytes):
    with open_store(tmp_path) as store:
        store.append(KEYS[:4], ROWS[:4])
    data = tmp_path / "data"
    data.write_bytes(data.read_bytes()[:-lost_bytes])
    with open_store(tmp_path) as store:
        missing = store.missing(KEYS[:4])
        assert missing == list(range(4 - -(-lost_bytes // 24), 4))
        store.append([KEYS[i] for i in missing], ROWS[missing])
        assert np.array_equal(store.rows(KEYS[:4])[:], ROWS[:4])


def test_rows_whose_keys_were_not_written_do_not_count(tmp_path):
    with open_store(tmp_path) as store:
        store.append(KEYS[:3], ROWS[:3])
    keys = tmp_path / "keys"
    keys.write_bytes(keys.read_bytes()[:-5])
    with open_store(tmp_path) as store:
        assert store.missing(KEYS[:3]) == [2]
        store.append([KEYS[5]], ROWS[5:6])
        assert np.array_equal(store.rows([KEYS[5], KEYS[1]])[:], ROWS[[5, 1]])


def test_rows_of_the_wrong_shape_are_refused(tmp_path):
    with open_store(tmp_path) as store, pytest.raises(ValueError, match="shape"):
        store.append(KEYS[:2], ROWS[:3])


def test_a_photo_that_was_never_kept_is_a_key_error(tmp_path):
    with open_store(tmp_path) as store, pytest.raises(KeyError):
        store.rows([KEYS[0]])
