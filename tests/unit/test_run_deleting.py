"""Deleting a run: all of it goes, nothing else does, and never under whoever works with it."""

import os
from dataclasses import dataclass

import pytest

from core.config import TrainConfig
from core.data.report import Split
from core.errors import RunError
from core.events import Ended, Started
from core.runs import deleting, list_runs, notes, store
from core.runs.executor import worker_lock
from core.runs.store import EventWriter, RunDirectory

SPLIT = Split(("a", "b"), (), (), (), "/photos")


@dataclass
class Known:
    """An executor that is told which runs live."""

    alive: tuple[str, ...] = ()

    def start(self, run: RunDirectory) -> None:
        raise AssertionError("nothing is started here")

    def died(self, run: RunDirectory) -> bool:
        return run.id not in self.alive


def made(parent, *, ended=True, **settings) -> RunDirectory:
    run = store.create(parent, TrainConfig(**settings), SPLIT, title="leaves", dataset={})
    writer = EventWriter(run)
    writer.append(Started())
    if ended:
        writer.append(Ended())
    writer.close()
    return run


def test_everything_of_a_run_goes_and_its_neighbours_stay(tmp_path):
    run, other = made(tmp_path), made(tmp_path)
    run.model.write_bytes(b"x" * 5000)
    (run.path / "kept").mkdir()
    (run.path / "kept" / "features").write_bytes(b"y" * 300)
    notes.change(run, name="gone soon")
    deleting.delete(run, Known())
    assert [path.name for path in tmp_path.iterdir()] == [other.id]
    assert [one.id for one, _ in list_runs(tmp_path)] == [other.id]


def test_what_deleting_frees_is_what_its_files_take(tmp_path):
    run = made(tmp_path)
    before = deleting.size_bytes(run)
    run.model.write_bytes(b"x" * 5000)
    (run.path / "kept").mkdir()
    (run.path / "kept" / "features").write_bytes(b"y" * 300)
    assert deleting.size_bytes(run) - before == 5300


def test_a_link_out_of_the_run_is_cut_and_what_it_leads_to_stays(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "photo.jpg").write_bytes(b"mine")
    run = made(tmp_path / "runs")
    os.symlink(elsewhere, run.path / "link", target_is_directory=True)
    deleting.delete(run, Known())
    assert (elsewhere / "photo.jpg").read_bytes() == b"mine"


def test_a_run_whose_worker_lives_is_refused(tmp_path):
    run = made(tmp_path, ended=False)
    with pytest.raises(RunError) as told:
        deleting.delete(run, Known(alive=(run.id,)))
    assert told.value.key == "compare.working"
    assert run.events.exists()
    deleting.delete(run, Known())  # its worker is gone: there is nobody to disturb
    assert not run.path.exists()


def test_a_worker_that_has_said_its_last_word_but_still_writes_is_waited_for(tmp_path):
    run = made(tmp_path)
    with worker_lock(run), pytest.raises(RunError) as told:
        deleting.delete(run, Known())
    assert told.value.key == "compare.working"
    deleting.delete(run, Known())
    assert not run.path.exists()


def test_what_started_from_it_is_known_by_id_and_by_folder(tmp_path):
    run = made(tmp_path)
    by_id, by_folder = made(tmp_path, start_from=run.id), made(tmp_path, start_from=str(run.path))
    made(tmp_path, start_from="\x00"), made(tmp_path, start_from=by_id.id), made(tmp_path)
    assert {one.id for one, _ in deleting.dependants(run)} == {by_id.id, by_folder.id}


def test_a_model_that_a_working_run_starts_from_is_not_taken_away(tmp_path):
    run = made(tmp_path)
    user = made(tmp_path, ended=False, start_from=run.id)
    with pytest.raises(RunError) as told:
        deleting.delete(run, Known(alive=(user.id,)))
    assert told.value.key == "compare.in_use"
    assert run.path.is_dir()
    deleting.delete(run, Known())
    assert user.path.is_dir()


def test_what_a_crash_left_of_a_deletion_is_no_run_and_goes_with_the_next(tmp_path):
    half_gone, run = made(tmp_path), made(tmp_path)
    half_gone.path.rename(tmp_path / f".deleting-{half_gone.id}")
    assert [one.id for one, _ in list_runs(tmp_path)] == [run.id]
    deleting.delete(run, Known())
    assert list(tmp_path.iterdir()) == []


def test_deleting_twice_says_that_it_is_gone(tmp_path):
    run = made(tmp_path)
    deleting.delete(run, Known())
    with pytest.raises(RunError) as told:
        deleting.delete(run, Known())
    assert told.value.key == "runs.unknown"
    assert list(tmp_path.iterdir()) == []
