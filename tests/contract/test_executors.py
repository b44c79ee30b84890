"""What every executor owes a run: the same states whatever happens, nothing lost, nothing told twice."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from core import runs
from core.config import TrainConfig
from core.data.scan import scan
from core.data.split import split
from core.errors import RunError
from core.runs import RunDirectory, reserve, watch
from core.runs.executor import Executor, InlineExecutor, LocalExecutor
from core.runs.reserve import Reserve
from tests.photos import make_folder

SECONDS = 90.0
pytestmark = pytest.mark.slow  # real workers, killed and resumed
QUICK = TrainConfig(head_epochs=5, freeze_depth="all", device="cpu")
# Long enough to be caught in the middle: the last stage trains for many epochs.
LONG = TrainConfig(head_epochs=3, freeze_depth=7, epochs=60, patience=1000, augment="none", device="cpu", batch_size=8)


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    return make_folder(tmp_path_factory.mktemp("photos"))


class StandbyExecutor(LocalExecutor):
    """The same with a process that stood by for every run."""

    def __init__(self) -> None:
        self.reserve = Reserve()

    def start(self, run: RunDirectory) -> None:
        standby = self.reserve.warm(reserve.home_of(run))
        assert standby is not None
        until = time.monotonic() + SECONDS
        while not standby.ready:
            assert time.monotonic() < until, "it never got ready"
            time.sleep(0.02)
        super().start(run)
        assert standby.run == run


@pytest.fixture(params=[InlineExecutor, LocalExecutor, StandbyExecutor], ids=lambda kind: kind.__name__)
def executor(request, monkeypatch) -> Iterator[Executor]:
    made = request.param()
    if isinstance(made, StandbyExecutor):
        monkeypatch.setenv("GRAFT_STANDBY", "1")
        monkeypatch.setattr(reserve, "take", made.reserve.take)
    yield made
    if isinstance(made, StandbyExecutor):
        made.reserve.let_go()


def submit(folder: Path, photos: Path, config: TrainConfig, executor: Executor) -> RunDirectory:
    report = scan(photos)
    dataset = {"name": "shapes", "fingerprint": report.fingerprint, "photos": len(report.photos), "skipped": 0}
    parent = folder / "me" / "runs"
    return runs.submit(parent, config, split(report), title="shapes", dataset=dataset, executor=executor)


def wait_until(run: RunDirectory, executor: Executor, reached, seconds: float = SECONDS):
    until = time.monotonic() + seconds
    while not reached(state := watch(run, executor)):
        assert time.monotonic() < until, f"still {state.status}, {state.phase}: {run.log_tail()}"
        time.sleep(0.1)
    return state


def epochs_of(state, phase: str) -> list[int]:
    return [epoch.epoch for epoch in state.epochs if epoch.phase == phase]


def test_a_run_finishes_with_a_model_and_a_score(tmp_path, photos, executor):
    run = submit(tmp_path, photos, QUICK, executor)
    state = wait_until(run, executor, lambda state: not state.open)
    assert state.status == "finished", run.log_tail()
    assert state.evaluated is not None
    assert state.evaluated.total == len(run.split().test)
    assert run.has_model
    assert epochs_of(state, "head") == list(range(1, len(state.epochs) + 1))


def test_a_lost_photo_fails_the_run_with_its_name_and_a_hint(tmp_path, executor):
    photos = make_folder(tmp_path / "photos", per_class=4)
    report = scan(photos)
    gone = report.photos[0].path
    divided = split(report)
    (photos / gone).unlink()
    run = runs.submit(tmp_path / "me" / "runs", QUICK, divided, title="t", dataset={}, executor=executor)
    state = wait_until(run, executor, lambda state: not state.open)
    assert state.status == "failed"
    assert state.failed is not None
    assert gone in str(state.failed.error)


def test_a_stop_keeps_the_best_so_far_and_the_run_can_go_on(tmp_path, photos):
    executor = LocalExecutor()
    run = submit(tmp_path, photos, LONG, executor)
    wait_until(run, executor, lambda state: len(epochs_of(state, "finetune")) >= 2)
    runs.stop(run)
    state = wait_until(run, executor, lambda state: not state.open)
    assert (state.status, run.has_model) == ("stopped", True)
    told = epochs_of(state, "finetune")
    runs.resume(run, executor)
    state = wait_until(run, executor, lambda state: len(epochs_of(state, "finetune")) > len(told))
    assert epochs_of(state, "finetune") == list(range(1, len(epochs_of(state, "finetune")) + 1))
    runs.stop(run)
    wait_until(run, executor, lambda state: not state.open)


def test_a_killed_worker_is_lost_and_resumes_without_a_gap(tmp_path, photos):
    executor = LocalExecutor()
    run = submit(tmp_path, photos, LONG, executor)
    wait_until(run, executor, lambda state: len(epochs_of(state, "finetune")) >= 2)
    os.kill(worker_pid(run), signal.SIGKILL)
    lost = wait_until(run, executor, lambda state: state.status == "lost", seconds=20)
    runs.resume(run, executor)
    state = wait_until(
        run, executor, lambda state: len(epochs_of(state, "finetune")) > len(epochs_of(lost, "finetune"))
    )
    assert epochs_of(state, "finetune") == list(range(1, len(epochs_of(state, "finetune")) + 1))
    runs.stop(run)
    assert wait_until(run, executor, lambda state: not state.open).status == "stopped"


def test_a_stopped_run_that_goes_on_is_open_before_its_worker_says_so(tmp_path, photos):
    executor = LocalExecutor()
    run = submit(tmp_path, photos, LONG, executor)
    wait_until(run, executor, lambda state: len(state.epochs) >= 1)
    runs.stop(run)
    wait_until(run, executor, lambda state: state.status == "stopped")
    runs.resume(run, executor)
    state = watch(run, executor)
    assert (state.open, state.ended) == (True, None)
    with pytest.raises(RunError, match="still working"):
        runs.resume(run, executor)
    wait_until(run, executor, lambda state: state.status == "running")
    runs.stop(run)
    assert wait_until(run, executor, lambda state: not state.open).status == "stopped"


def test_a_working_run_is_not_started_twice(tmp_path, photos):
    executor = LocalExecutor()
    run = submit(tmp_path, photos, LONG, executor)
    wait_until(run, executor, lambda state: state.status == "running")
    with pytest.raises(RunError, match="still working"):
        runs.resume(run, executor)
    executor.start(run)  # and even a second worker finds the lock taken and leaves
    wait_until(run, executor, lambda state: len(epochs_of(state, "finetune")) >= 3)
    runs.stop(run)
    state = wait_until(run, executor, lambda state: not state.open)
    assert epochs_of(state, "finetune") == list(range(1, len(epochs_of(state, "finetune")) + 1))


def test_a_finished_run_has_nothing_to_resume(tmp_path, photos):
    run = submit(tmp_path, photos, QUICK, InlineExecutor())
    with pytest.raises(RunError, match="finished"):
        runs.resume(run, InlineExecutor())


def test_a_worker_that_never_came_alive_is_lost(tmp_path, photos):
    report = scan(photos)
    from core.runs import store

    run = store.create(tmp_path, QUICK, split(report), title="t", dataset={})
    assert watch(run, LocalExecutor()).status == "lost"


def worker_pid(run: RunDirectory) -> int:
    """From the first line of the log of the latest start."""
    lines = [line for line in run.log.read_text("utf-8").splitlines() if " worker " in line]
    return int(lines[-1].split(" worker ")[1].split()[0])
