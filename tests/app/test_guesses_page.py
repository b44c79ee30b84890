"""A run learns from guessed labels only where that was asked for, and its results say so."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from core.data import mending
from core.data.datasets import Dataset
from core.data.report import DatasetReport
from core.data.store import read_report
from core.doctor import checkup
from core.doctor.checkup import Checkup
from core.doctor.labelling import Proposal, Proposals
from core.words import say
from core.workspace import Workspace
from tests.app.conftest import Recorder, finish, make_photos
from tests.app.test_settings import opened, widget

Visit = Callable[..., AppTest]


@pytest.fixture
def partly(workspace: Workspace) -> Dataset:
    """Photos of which nobody has said what four show."""
    photos = make_photos(workspace, per_class=8)
    first = read_report(photos).photos
    mending.forget_label(photos, [photo.path for photo in first if photo.label == first[0].label][:4])
    return photos


def guess(monkeypatch: pytest.MonkeyPatch, photos: Dataset, certainties: tuple[float, ...]) -> list[str]:
    """Let the check-up be this sure of the unlabelled photos."""
    known = read_report(photos)
    label = known.classes[-1]
    pairs = zip(known.unlabelled, certainties, strict=True)
    certain = tuple(Proposal(photo.path, label, certainty) for photo, certainty in pairs)
    paths = [proposal.path for proposal in certain]
    proposals = Proposals(known.fingerprint, certain, tuple(paths), 0.9, 20)

    def watch(dataset: Dataset, report: DatasetReport) -> Checkup:
        return Checkup("ready", proposals=proposals)

    monkeypatch.setattr(checkup, "watch", watch)
    return paths


def ask(page: AppTest, certainty: float) -> None:
    box: Any = widget(page, "pseudo_labels")
    box.set_value(certainty).run()


def test_a_run_learns_from_guesses_that_are_sure_enough_and_says_so(
    visit: Visit, recorder: Recorder, partly: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = guess(monkeypatch, partly, (0.99, 0.95, 0.9, 0.4))
    page = opened(visit, partly)
    ask(page, 0.9)
    page.button(key="start_training").click().run()
    assert not page.exception
    (run,) = recorder.started
    taught = {sample.path for sample in run.split().train}
    assert taught & set(paths) == set(paths[:3])
    assert not {sample.path for part in ("val", "test") for sample in run.split().part(part)} & set(paths)
    results = visit("results", run=finish(run).id)
    told = say("data.finding.split_guessed", n=3)
    assert any(box.value.replace("\\", "") == told for box in results.info)


def test_without_being_asked_nothing_learns_from_guesses(
    visit: Visit, recorder: Recorder, partly: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = guess(monkeypatch, partly, (1.0, 1.0, 1.0, 1.0))
    page = visit("model", set=partly.id)
    page.button(key="start_training").click().run()
    (run,) = recorder.started
    assert not {sample.path for sample in run.split().train} & set(paths)
    results = visit("results", run=finish(run).id)
    assert not any(say("data.finding.split_guessed", n=4) == box.value.replace("\\", "") for box in results.info)


def test_asking_before_anything_was_guessed_says_what_to_wait_for(
    visit: Visit, recorder: Recorder, partly: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkup, "watch", lambda dataset, report: replace(Checkup("working")))
    page = opened(visit, partly)
    ask(page, 0.9)
    page.button(key="start_training").click().run()
    assert recorder.started == []
    (box,) = page.error
    assert "Photos page" in box.value
