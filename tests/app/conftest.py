"""The pages without a browser: AppTest on the entry script, with photos and runs of a temporary workspace."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from core import runs
from core.config import TrainConfig
from core.data import datasets, scanning
from core.data.datasets import Dataset
from core.data.split import split
from core.data.store import read_report
from core.events import Ended, EpochEnded, Evaluated, Started
from core.inference.metrics import Answer, Results
from core.models import registry, speed
from core.runs import RunDirectory
from core.runs.executor import beat
from core.runs.store import EventWriter
from core.workspace import Workspace
from tests.app.doctored import doctor as doctor  # for every test here: no process that none asked for
from tests.photos import CLASSES, draw

FRAME = Path(__file__).parent.parent.parent / "pages" / "frame.py"
SECONDS = 30  # for one run of a page on a busy machine


@dataclass
class Recorder:
    """An executor that starts nothing: what would have been started is in ``started``."""

    started: list[RunDirectory] = field(default_factory=list)

    def start(self, run: RunDirectory) -> None:
        beat(run)
        self.started.append(run)

    def died(self, run: RunDirectory) -> bool:
        return False


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """An empty workspace that the pages use, in which every speed is known: nothing is measured while tests run."""
    monkeypatch.setenv("GRAFT_WORKSPACE", str(tmp_path / "workspace"))
    made = Workspace(tmp_path / "workspace", "me")
    for name in registry.FEATURED:
        stages = (0.001,) * len(registry.backbone(name).stages)
        speed.save(made.speeds, speed.Speed(name, speed.device_name(), speed.torch_version(), stages, stages))
    st.cache_data.clear()
    yield made
    st.cache_data.clear()


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    made = Recorder()
    monkeypatch.setattr(runs, "LocalExecutor", lambda: made)
    return made


@pytest.fixture
def visit(workspace: Workspace) -> Callable[..., AppTest]:
    """``visit(step, set=…, run=…)``: open a page at this address."""

    def open_page(step: str = "start", **place: str) -> AppTest:
        page = AppTest.from_file(str(FRAME), default_timeout=SECONDS)
        for key, value in place.items():
            page.query_params[key] = value
        if step != "start":
            page.switch_page(f"{step}.py")
        return page.run()

    return open_page


def make_photos(workspace: Workspace, classes: tuple[str, ...] = CLASSES, per_class: int = 8) -> Dataset:
    """A scanned data set of small pictures; its name is that of its first class."""
    made = datasets.create(workspace, classes[0], "upload")
    for place, label in enumerate(classes):
        folder = made.root / label
        folder.mkdir(parents=True)
        for number in range(per_class):
            draw(CLASSES[place % 3], place * 1000 + number, side=40).save(folder / f"{number}.jpg")
    scanning.work(made)
    return datasets.open_dataset(workspace, made.id)


def make_run(workspace: Workspace, photos: Dataset, recorder: Recorder, config: TrainConfig | None = None):
    """A run that was submitted and whose worker hasn't said anything yet."""
    report = read_report(photos)
    dataset = {"id": photos.id, "name": photos.name, "fingerprint": report.fingerprint, "photos": 1, "skipped": 0}
    return runs.submit(
        workspace.runs, config or TrainConfig(), split(report), title=photos.name, dataset=dataset, executor=recorder
    )


def finish(run: RunDirectory) -> RunDirectory:
    """What a worker would have written: two epochs, a score with one mistake, a model."""
    writer = EventWriter(run)
    writer.append(Started(device="cpu", device_name="a processor", versions={"torch": "2"}))
    for number in (1, 2):
        writer.append(EpochEnded(epoch=number, of=2, train_loss=1 / number, val_loss=1 / number, best=True))
    divided = run.split()
    sure = ((0, 0.9), (1, 0.1))
    answers = [Answer(sample.path, sample.target, sure) for sample in divided.test]  # all taken for the first class
    results = Results(divided.classes, tuple(answers))
    run.metrics.write_text(json.dumps(results.to_json()), "utf-8")
    writer.append(Evaluated(correct=results.correct, total=results.total, accuracy=results.accuracy))
    writer.append(Ended(reason="complete", best_phase="head", best_epoch=2, seconds={"head": 1.0}))
    writer.close()
    run.model.touch()
    run.model_card.write_text("{}")
    return run
