"""A run's directory: whole lines only, nothing overwritten, no id that leads elsewhere."""

import json

import pytest

from core.config import TrainConfig
from core.data.report import Sample, Split
from core.errors import CoreError, RunError
from core.events import EpochEnded, Progress
from core.runs import list_runs, store
from core.runs.store import EventWriter, RunDirectory, open_run, read_events

SPLIT = Split(("bee", "ant"), (Sample("bee/1.jpg", 0, "00" * 32),), (), (), root="photos")


@pytest.fixture
def run(tmp_path) -> RunDirectory:
    return store.create(
        tmp_path, TrainConfig(seed=3), SPLIT, title="蜂 & ants", dataset={"name": "x", "fingerprint": "f"}
    )


def test_what_is_fixed_before_the_start_comes_back(run):
    assert run.info().config == TrainConfig(seed=3)
    assert run.info().title == "蜂 & ants"
    assert run.split() == SPLIT


def test_two_runs_never_share_a_directory(tmp_path, run):
    other = store.create(tmp_path, TrainConfig(), SPLIT, title="b", dataset={})
    assert other.path != run.path
    assert [listed.id for listed, _ in list_runs(tmp_path)] == sorted([run.id, other.id], reverse=True)


def test_torn_last_line_is_read_once_it_is_whole(run):
    writer = EventWriter(run)
    writer.append(Progress(done=1))
    writer.close()
    with run.events.open("a") as file:
        file.write('{"kind": "Progress", "do')
    events, offset = read_events(run)
    assert [event.done for event in events] == [1]
    with run.events.open("a") as file:
        file.write('ne": 2}\n')
    events, offset = read_events(run, offset)
    assert [event.done for event in events] == [2]
    assert read_events(run, offset) == ([], offset)


def test_a_line_torn_by_a_kill_does_not_swallow_the_next_event(run):
    run.events.write_text('{"kind": "Progress", "done": 1}\n{"kind": "Prog')
    writer = EventWriter(run)
    writer.append(EpochEnded(epoch=7))
    writer.close()
    events, _ = read_events(run)
    assert [type(event).__name__ for event in events] == ["Progress", "EpochEnded"]


@pytest.mark.parametrize(
    "identifier", ["", "..", "../../etc", "20261121-051543-d0bbc0de/../x", "x" * 500, "20261121-051543-d0bbc0d\n"]
)
def test_an_id_that_is_not_ours_opens_nothing(tmp_path, run, identifier):
    with pytest.raises(RunError):
        open_run(tmp_path, identifier)


def test_a_directory_without_settings_is_no_run_and_a_broken_one_hides_no_other(tmp_path, run):
    (tmp_path / "20200101-000000-00000000").mkdir()
    broken = store.create(tmp_path, TrainConfig(), SPLIT, title="b", dataset={})
    (broken.path / "config.json").write_text("{")
    assert [listed.id for listed, _ in list_runs(tmp_path)] == [run.id]
    with pytest.raises(RunError, match=broken.id):
        broken.info()


def test_errors_are_stored_by_key_and_speak_again_when_read():
    error = RunError("runs.unknown", run="x")
    assert CoreError.from_json(json.loads(json.dumps(error.to_json()))).message == error.message
