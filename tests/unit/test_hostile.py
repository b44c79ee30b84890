"""The hostile corpus goes through every way in: no traceback, no hang, little memory, each piece accounted for."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests import corpus
from tests.unit.test_architecture import PROJECT

HANG_SECONDS = 10  # for one piece: a photo, a zip, a table
MEGABYTES = 1500
# What becomes of the 202 broken and odd files, whichever way they come. None that was cut off is used.
USED = 59
REASONS = {
    "cut_off": 77, "damaged": 23, "empty": 7, "film": 1, "heic": 1, "no_memory": 1, "not_a_picture": 16,
    "other_kind": 3, "too_large": 9, "too_many_scans": 1, "too_narrow": 1, "too_small": 2, "web_page": 1,
}  # fmt: skip


def sent(way: str, folder: Path, most_seconds: float = HANG_SECONDS) -> Mapping[str, Any]:
    """What came of the corpus by this way, in a process whose memory is its own. Warnings are errors there as well."""
    environment = {**os.environ, "GRAFT_WORKSPACE": str(folder), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "error", "-m", "tests.corpus", way, str(folder)]
    done = subprocess.run(
        command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["longest"] < most_seconds
    assert told["megabytes"] < MEGABYTES
    return told


def test_the_corpus_is_what_its_counts_say():
    assert len(corpus.photos()) == USED + sum(REASONS.values()) == 202


@pytest.mark.parametrize("way", ["folder", "zip", "upload", "classes"])
def test_every_broken_photo_is_accounted_for_by_every_way_in(tmp_path, way):
    report = sent(way, tmp_path)["report"]
    assert report["counts"] == {"broken": USED, "sound": 3}
    assert report["reasons"] == REASONS
    assert report["cut but used"] == []


def test_hostile_names_stay_inside_and_lose_no_photo(tmp_path):
    told = sent("names", tmp_path)
    assert told["outside"] == []
    assert told["answers"] == {"received": 35, "refused": 4, "bad request": 1}
    uploaded = told["uploaded"]
    assert sum(uploaded["counts"].values()) - 3 + uploaded["unlabelled"] + sum(uploaded["reasons"].values()) == 35 - 2
    scanned = told["scanned"]
    assert scanned["counts"]["named"] + sum(scanned["reasons"].values()) == told["on disk"] - 2


@pytest.mark.slow
def test_hostile_zips_end_as_data_sets_or_with_a_reason(tmp_path):
    outcomes = sent("archives", tmp_path)["outcomes"]
    assert len(outcomes) == 29
    assert outcomes.pop("cut 00.zip") == "data.archive.not_a_zip"
    assert {outcomes.pop(f"cut {piece:02}.zip") for piece in range(1, corpus.PIECES)} == {"data.archive.cut_off"}
    assert outcomes == {
        "plain.zip": "2 photos, 0 to label, 0 left out",
        "in itself.zip": "data.archive.no_photos",
        "zip in zip.zip": "1 photos, 0 to label, 1 left out",
        "links.zip": "1 photos, 0 to label, 1 left out",
        "locked.zip": "data.archive.no_photos",
        "bomb.zip": "data.archive.bomb",
        "empty.zip": "data.archive.empty",
        "names.zip": "16 photos, 11 to label, 10 left out",
        "nul.zip": "3 photos, 0 to label, 1 left out",
        "twice.zip": "3 photos, 0 to label, 0 left out",
        "text.zip": "data.archive.not_a_zip",
        "rar.zip": "data.archive.other_kind",
        "only a table.zip": "data.archive.no_photos",
    }


@pytest.mark.slow
def test_hostile_tables_are_read_within_limits_or_left_out(tmp_path):
    outcomes = sent("tables", tmp_path)["outcomes"]
    assert len(outcomes) == 18
    read = {name for name, told in outcomes.items() if told == "4 photos, 0 to label, 0 left out"}
    assert read == {
        "plain.csv", "formulas.csv", "nul.csv", "paths.csv", "many rows.csv", "half utf-16.csv", "markup.csv"
    }  # fmt: skip
    assert outcomes.pop("same name twice.csv") == "3 photos, 1 to label, 0 left out"
    unread = {told for name, told in outcomes.items() if name not in read}
    assert unread == {"0 photos, 4 to label, 1 left out"}


@pytest.mark.slow
def test_ten_thousand_tiny_photos_and_deep_folders_are_all_found(tmp_path):
    told = sent("many", tmp_path, most_seconds=120)  # of all ten thousand together
    assert told["report"]["counts"] == {"cat": 5000, "dog": 5000, "deep": 3}
    assert told["report"]["reasons"] == {}
