"""A process that stands by takes a run as a worker would, works ahead until then, and never outlives its server."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core import runs
from core.config import TrainConfig
from core.data import datasets, scanning
from core.data.datasets import Dataset
from core.data.split import split
from core.data.store import read_report
from core.events import EpochEnded
from core.runs import RunDirectory, reserve
from core.runs.executor import LocalExecutor
from core.runs.reserve import Reserve, Standby
from core.runs.store import read_events
from core.workspace import Workspace
from tests.photos import make_folder

PROJECT = Path(__file__).parent.parent.parent
SECONDS = 60.0
BACKBONE = "efficientnet_lite0"
FAST = TrainConfig(head_epochs=5, freeze_depth="all", augment="none", device="cpu")


@pytest.fixture
def standbys(monkeypatch: pytest.MonkeyPatch) -> Iterator[Reserve]:
    """A reserve of the test's own, which every executor takes from."""
    monkeypatch.setenv("GRAFT_STANDBY", "1")
    monkeypatch.setattr(reserve, "available_memory_bytes", lambda: float("inf"))
    made = Reserve()
    monkeypatch.setattr(reserve, "take", made.take)
    yield made
    made.let_go()


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace", "me")


def wait_for(true: Callable[[], object], why: str) -> None:
    until = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < until, why
        time.sleep(0.02)


def ready(standbys: Reserve, home: Path) -> Standby:
    standby = standbys.warm(home)
    assert standby is not None
    wait_for(lambda: standby.ready, (home / "cache" / "standby.log").read_text)
    return standby


def photos(workspace: Workspace, per_class: int = 12, seed: int = 0) -> Dataset:
    """A scanned data set of small pictures."""
    made = datasets.create(workspace, "shapes", "upload")
    make_folder(made.root, per_class=per_class, seed=seed)
    scanning.work(made)
    return made


def submit(workspace: Workspace, chosen: Dataset, config: TrainConfig = FAST) -> RunDirectory:
    dataset = {"id": chosen.id, "name": chosen.name}
    return runs.submit(workspace.runs, config, split(read_report(chosen)), title="shapes", dataset=dataset)


def finished(run: RunDirectory) -> RunDirectory:
    wait_for(lambda: not runs.watch(run).open, f"still {runs.watch(run).status}: {run.log_tail()}")
    assert runs.watch(run).status == "finished", run.log_tail()
    return run


def told(run: RunDirectory) -> list[object]:
    """The kinds of the events in order, and the numbers of the epochs."""
    events = read_events(run)[0]
    return [
        (type(e).__name__, getattr(e, "phase", ""), e.train_loss if isinstance(e, EpochEnded) else 0) for e in events
    ]


def worker_pid(run: RunDirectory) -> int:
    return int(run.log.read_text("utf-8").split(" worker ")[1].split()[0])


def store_sizes(home: Path) -> dict[str, int]:
    return {f"{path.parent.name}/{path.name}": path.stat().st_size for path in home.glob("cache/kept/*/data")}


def kept_keys(home: Path) -> set[str]:
    """The hashes of all photos that have kept features."""
    raw = b"".join(path.read_bytes() for path in home.glob("cache/kept/*features*/keys"))
    return {raw[start : start + 32].hex() for start in range(0, len(raw), 32)}


def work_ahead(standbys: Reserve, workspace: Workspace, chosen: Dataset) -> Standby:
    """Wait until the features of every photo of a data set are kept, and nothing more is done."""
    standby = ready(standbys, workspace.home)
    standbys.ahead(workspace.home, chosen.folder, BACKBONE)
    wanted = {photo.sha256 for photo in read_report(chosen).photos}
    wait_for(lambda: kept_keys(workspace.home) >= wanted, "the photos weren't kept")
    wait_for(lambda: not standby.busy, "it went on working")
    return standby


@pytest.mark.slow
def test_a_standby_takes_a_run_and_tells_what_an_ordinary_worker_tells(standbys: Reserve, workspace: Workspace) -> None:
    chosen = photos(workspace)
    ordinary = finished(submit(workspace, chosen))  # nothing stands by yet; it keeps the features for both
    standby = ready(standbys, workspace.home)
    taken = finished(submit(workspace, chosen))
    assert worker_pid(taken) == standby._process.pid
    assert worker_pid(ordinary) != standby._process.pid
    without_progress = [row for row in told(ordinary) if row[0] != "Progress"]
    assert [row for row in told(taken) if row[0] != "Progress"] == without_progress
    wait_for(standby.over.is_set, "it should end with its run")


@pytest.mark.slow
def test_what_was_computed_ahead_is_not_computed_again(standbys: Reserve, workspace: Workspace) -> None:
    chosen = photos(workspace)
    work_ahead(standbys, workspace, chosen)
    before = store_sizes(workspace.home)
    run = finished(submit(workspace, chosen))
    speeds = [
        event.per_second
        for event in read_events(run)[0]
        if getattr(event, "phase", "") == "photos" and hasattr(event, "per_second")
    ]
    assert store_sizes(workspace.home) == before
    assert set(speeds) == {0.0}  # none was computed


@pytest.mark.slow
def test_a_run_that_comes_while_it_works_ahead_computes_the_rest(standbys: Reserve, workspace: Workspace) -> None:
    chosen = photos(workspace, per_class=60)
    standby = ready(standbys, workspace.home)
    standbys.ahead(workspace.home, chosen.folder, BACKBONE)
    wait_for(lambda: standby.busy, "it never began")
    run = finished(submit(workspace, chosen))
    assert worker_pid(run) == standby._process.pid
    divided = run.split()
    assert kept_keys(workspace.home) >= {sample.sha256 for sample in (*divided.train, *divided.val)}


@pytest.mark.slow
def test_a_killed_standby_keeps_no_run_from_starting(standbys: Reserve, workspace: Workspace) -> None:
    standby = ready(standbys, workspace.home)
    os.kill(standby._process.pid, signal.SIGKILL)
    run = finished(submit(workspace, photos(workspace)))
    assert worker_pid(run) != standby._process.pid


@pytest.mark.slow
def test_a_standby_that_never_takes_its_run_is_replaced_in_time(standbys: Reserve, workspace: Workspace) -> None:
    standby = ready(standbys, workspace.home)
    os.kill(standby._process.pid, signal.SIGSTOP)
    run = submit(workspace, photos(workspace))
    until = time.monotonic() + SECONDS
    while runs.watch(run).open and time.monotonic() < until:
        assert runs.watch(run).status != "lost"
        time.sleep(0.05)
    assert worker_pid(finished(run)) != standby._process.pid
    assert standby.over.is_set()


@pytest.mark.slow
def test_a_standby_ends_with_the_server_that_started_it(workspace: Workspace) -> None:
    code = f"""
import time
from pathlib import Path
from core.runs import reserve
standby = reserve.warm(Path({str(workspace.home)!r}))
print(standby._process.pid, flush=True)
time.sleep(600)
"""
    environment = {**os.environ, "GRAFT_STANDBY": "1"}
    server = subprocess.Popen(
        [sys.executable, "-c", code], cwd=PROJECT, env=environment, stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    with server.stdout:
        pid = int(server.stdout.readline())
        assert is_running(pid)
        server.kill()
        server.wait()
    wait_for(lambda: not is_running(pid), "the standby outlived its server")


def is_running(pid: int) -> bool:
    """By its name: after a kill the process may stay in the table for a while as a zombie, without one."""
    try:
        return b"core.runs.standby" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


@pytest.mark.slow
def test_a_standby_that_nobody_wants_ends_by_itself(workspace: Workspace) -> None:
    code = "from core.runs import standby; standby.IDLE_SECONDS = 0.5; standby.main()"
    command = [sys.executable, "-c", code, str(workspace.home)]
    with subprocess.Popen(command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        assert process.wait(SECONDS) == 0  # with its stdin still open


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a thread has no priority of its own")
def test_working_ahead_has_less_priority_than_a_run(standbys: Reserve, workspace: Workspace) -> None:
    standby = work_ahead(standbys, workspace, photos(workspace, 4))
    pid = standby._process.pid
    base = os.getpriority(os.PRIO_PROCESS, 0)
    priorities = {
        int(task.name): os.getpriority(os.PRIO_PROCESS, int(task.name)) for task in Path(f"/proc/{pid}/task").iterdir()
    }
    assert priorities.pop(pid) == base + 5  # its first thread, which will run the run
    assert max(10, base + 5) in priorities.values()


@pytest.mark.slow
def test_two_owners_have_two_standbys_that_never_touch_each_others_photos(standbys: Reserve, tmp_path: Path) -> None:
    mine, yours = Workspace(tmp_path, "mine"), Workspace(tmp_path, "yours")
    my_photos, your_photos = photos(mine, 4, seed=1), photos(yours, 4, seed=2)
    first, second = ready(standbys, mine.home), ready(standbys, yours.home)
    assert first._process.pid != second._process.pid
    first.ahead(your_photos.folder, BACKBONE)  # even if it is told to
    work_ahead(standbys, yours, your_photos)
    work_ahead(standbys, mine, my_photos)
    assert kept_keys(mine.home) == {photo.sha256 for photo in read_report(my_photos).photos}
    assert kept_keys(yours.home) == {photo.sha256 for photo in read_report(your_photos).photos}


@pytest.mark.slow
def test_the_next_standby_waits_until_the_run_has_begun(standbys: Reserve, workspace: Workspace) -> None:
    first = ready(standbys, workspace.home)
    run = submit(workspace, photos(workspace))
    while standbys.warm(workspace.home) is None:
        assert not first.taken.is_set()
    assert first.taken.is_set()
    second = standbys.warm(workspace.home)
    assert second is not None
    assert second is not first
    finished(run)


def test_asking_again_for_the_same_costs_nothing_and_says_nothing(
    workspace: Workspace, standbys: Reserve, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(Standby, "_say", lambda self, command: said.append(json.dumps(command)) or True)
    for _ in range(1000):
        standbys.ahead(workspace.home, workspace.home / "datasets" / "one", BACKBONE)
    began = time.perf_counter()
    standbys.ahead(workspace.home, workspace.home / "datasets" / "one", BACKBONE)
    assert time.perf_counter() - began < 0.002
    assert len(said) == 1
    standbys.ahead(workspace.home, workspace.home / "datasets" / "two", BACKBONE)
    assert len(said) == 2


def test_no_standby_starts_where_it_is_switched_off_or_memory_is_short(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAFT_STANDBY", "0")
    assert Reserve().warm(workspace.home) is None
    monkeypatch.setenv("GRAFT_STANDBY", "1")
    monkeypatch.setattr(reserve, "available_memory_bytes", lambda: 1.4e9)
    assert Reserve().warm(workspace.home) is None


def test_without_a_standby_a_run_starts_in_the_ordinary_way(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[RunDirectory] = []
    monkeypatch.setattr("core.runs.executor.start_worker", started.append)
    run = RunDirectory(workspace.runs / "one")
    run.path.mkdir(parents=True)
    LocalExecutor().start(run)
    assert started == [run]
    assert run.heartbeat.exists()
