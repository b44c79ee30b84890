"""Epoch by epoch on the Train page: while a run trains its newest epoch, afterwards any of them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from streamlit.testing.v1 import AppTest

from core import runs
from core.config import TrainConfig
from core.data.scan import scan
from core.data.split import split
from core.events import Ended, EpochEnded, Event, PhaseStarted, Started
from core.runs import RunDirectory
from core.runs.store import EventWriter
from core.training.run import Folders, Run
from core.training.watched import Watched
from core.words import say
from core.workspace import Workspace
from tests.app.conftest import Recorder, finish, make_photos, make_run
from tests.app.test_pages import nodes, texts
from tests.photos import make_folder

Visit = Callable[..., AppTest]
PHASES = (("head", 1), ("head", 2), ("finetune", 1))


@pytest.fixture
def run(workspace: Workspace, recorder: Recorder) -> RunDirectory:
    return make_run(workspace, make_photos(workspace), recorder)


def tell(run: RunDirectory, *, ended: bool = True, written: bool = True) -> None:
    """Three epochs: all photos are taken for class 0, then for class 1, then for what they are."""
    targets = torch.tensor([sample.target for sample in run.split().val])
    right = torch.nn.functional.one_hot(targets, 3).float() * 5
    logits = [torch.eye(3)[0].repeat(len(targets), 1), torch.eye(3)[1].repeat(len(targets), 1), right]
    made = Run(run.info().config, run.split(), run, Folders(run.path, run.path), lambda: False, torch.device("cpu"))
    writer = EventWriter(run)
    writer.append(Started(device="cpu"))
    with Watched(made) as watched:
        for (phase, epoch), said in zip(PHASES, logits, strict=True):
            if epoch == 1:
                writer.append(PhaseStarted(phase=phase, total=9))
            if written:
                watched.tell(phase, epoch, said)
            accuracy = float((said.argmax(dim=1) == targets).float().mean())
            best = (phase, epoch) != ("head", 2)
            writer.append(EpochEnded(phase=phase, epoch=epoch, of=9, val_loss=1.0, val_accuracy=accuracy, best=best))
    if ended:
        writer.append(Ended(reason="complete", best_phase="finetune", best_epoch=1))
    writer.close()


def add(run: RunDirectory, *events: Event) -> None:
    writer = EventWriter(run)
    for event in events:
        writer.append(event)
    writer.close()


def drawn(page: AppTest) -> dict[str, Any]:
    """What the element was given."""
    assert not page.exception
    found = [
        json.loads(node.proto.json) for node in nodes(page._tree) if getattr(getattr(node, "proto", None), "json", "")
    ]
    return next(data for data in found if "epochs" in data)


def draws_nothing(page: AppTest) -> bool:
    assert not page.exception
    return say("epochs.title") not in texts(page)


def test_while_it_trains_the_newest_epoch_is_shown(visit: Visit, run: RunDirectory) -> None:
    assert draws_nothing(visit("train", run=run.id))
    tell(run, ended=False)
    data = drawn(visit("train", run=run.id))
    assert data["live"]
    assert [(one["phase"], one["epoch"]) for one in data["epochs"]] == [("finetune", 1)]
    photos = run.split().val
    assert data["epochs"][0]["cells"] == [[label, label, sum(p.target == label for p in photos)] for label in range(3)]
    chosen = {photo["name"]: photo["target"] for photo in data["photos"]}
    assert chosen.items() <= {sample.path: sample.target for sample in photos}.items()
    assert [said for said, _ in data["epochs"][0]["answers"]] == list(chosen.values())
    assert all(run.info().dataset["id"] in photo["source"] for photo in data["photos"])


def test_afterwards_every_epoch_can_be_looked_at_and_the_best_is_known(visit: Visit, run: RunDirectory) -> None:
    tell(run)
    page = visit("train", run=run.id)
    data = drawn(page)
    assert not data["live"]
    assert [(one["phase"], one["epoch"], one["of"]) for one in data["epochs"]] == [
        ("head", 1, 2), ("head", 2, 2), ("finetune", 1, 1)
    ]  # fmt: skip
    assert data["best"] == 2
    for column, one in enumerate(data["epochs"][:2]):
        assert {(true, said) for true, said, _ in one["cells"]} == {(label, column) for label in range(3)}
    assert say("epochs.how") in texts(page)
    assert say("epochs.refit") not in texts(page)


def test_it_says_that_the_model_learnt_once_more_where_it_did(visit: Visit, run: RunDirectory) -> None:
    tell(run, ended=False)
    add(run, PhaseStarted(phase="refit", total=1), Ended(reason="complete", best_phase="finetune", best_epoch=1))
    assert say("epochs.refit") in texts(visit("train", run=run.id))


def test_epochs_that_a_resume_will_tell_again_are_not_shown(visit: Visit, run: RunDirectory) -> None:
    tell(run, ended=False)
    add(run, Started(resumed=True), PhaseStarted(phase="head", total=9, done=1), Ended(reason="stopped"))
    assert [(one["phase"], one["epoch"]) for one in drawn(visit("train", run=run.id))["epochs"]] == [("head", 1)]


def test_an_older_run_says_kindly_that_nothing_was_written_down(visit: Visit, run: RunDirectory) -> None:
    tell(run, written=False)
    page = visit("train", run=run.id)
    assert not page.exception
    assert say("epochs.older") in texts(page)


def test_a_record_that_cannot_be_read_is_as_if_there_were_none(visit: Visit, run: RunDirectory) -> None:
    tell(run)
    run.judged.write_bytes(b'{"format":99}\n{"phase":"head","epoch":1,"said":[0],"sure":[0],"true":[0]}\n')
    page = visit("train", run=run.id)
    assert not page.exception
    assert say("epochs.older") in texts(page)


def test_without_validation_photos_nothing_is_said(visit: Visit, run: RunDirectory) -> None:
    add(run, Started(), EpochEnded(phase="head", epoch=1, of=1, best=True), Ended(reason="complete", best_epoch=1))
    assert draws_nothing(visit("train", run=run.id))


def test_photos_of_a_run_on_a_folder_come_with_the_page_and_names_stand_for_those_that_are_gone(
    visit: Visit, workspace: Workspace, recorder: Recorder, tmp_path: Path
) -> None:
    folder = make_folder(tmp_path / "folder", per_class=5)
    divided = split(scan(folder))
    run = runs.submit(workspace.runs, TrainConfig(), divided, title="t", dataset={}, executor=recorder)
    tell(run)
    gone = divided.val[0].path
    (folder / gone).unlink()
    sources = {photo["name"]: photo["source"] for photo in drawn(visit("train", run=run.id))["photos"]}
    assert sources.pop(gone) == ""
    assert sources
    assert all(source.startswith("data:image/jpeg;base64,/9j/") for source in sources.values())


def test_the_results_lead_to_the_epochs_where_there_are_any(visit: Visit, run: RunDirectory) -> None:
    finish(run)
    assert say("epochs.link") not in texts(visit("results", run=run.id))
    tell(run)
    assert say("epochs.link") in texts(visit("results", run=run.id))
