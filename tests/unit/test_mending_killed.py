"""A process that mends is killed at any moment: the data set opens, and every step it told of is there."""

import os
import signal
import subprocess
import sys
import time

import pytest

from core.data import datasets, mending, scanning
from core.data.store import read_report
from core.workspace import Workspace
from tests.photos import make_folder

MENDER = """
import sys
from itertools import cycle
from pathlib import Path
from core.data import mending
from core.data.store import read_dataset, read_report
dataset = read_dataset(Path(sys.argv[1]))
paths = [photo.path for photo in read_report(dataset).photos]
for place, label in zip(cycle(range(len(paths))), cycle(["one", "two", "three"])):
    step = mending.move(dataset, paths[place:], label)
    print(step.number, step.fingerprint, flush=True)
"""


@pytest.mark.parametrize("seconds", [0.02, 0.05, 0.11, 0.2])
def test_a_killed_mend_leaves_a_set_that_opens_with_every_step_that_was_told(tmp_path, seconds):
    dataset = datasets.create(Workspace(tmp_path), "shapes", "upload")
    make_folder(dataset.root, per_class=4)
    scanning.work(dataset)
    mender = subprocess.Popen(
        [sys.executable, "-c", MENDER, str(dataset.folder)], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert mender.stdout is not None
    told = [mender.stdout.readline()]
    time.sleep(seconds)
    os.killpg(mender.pid, signal.SIGKILL)
    told += mender.stdout.readlines()
    mender.stdout.close()
    mender.wait()
    steps = mending.history(dataset).steps
    whole = [line.split() for line in told if line.endswith("\n")]
    assert len(steps) in (len(whole), len(whole) + 1)  # the last one may have been written and not told
    assert [[str(step.number), step.fingerprint] for step in steps[: len(whole)]] == whole
    state = datasets.watch(dataset)
    assert state.status == "ready"
    assert state.report is not None
    assert state.report.fingerprint == steps[-1].fingerprint
    undone = mending.undo(dataset)
    assert undone.fingerprint == (steps[-2].fingerprint if len(steps) > 1 else read_report(dataset).fingerprint)
