"""The check-up's process and files: each version's findings, told as they come, and nothing broken by a kill."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from core.data import datasets, mending, scanning
from core.data.report import DatasetReport, Photo
from core.data.store import Dataset, read_report
from core.doctor import checkup, features
from core.doctor.checkup import Checkup
from core.doctor.examine import NoFeatures, examine
from core.doctor.folder import KEPT, doctor_folder
from core.doctor.report import Examination
from core.doctor.version import refused_in
from core.models import registry
from core.models.weights import find
from core.training.keys import plain_features, store
from core.workspace import Workspace
from tests.photos import CLASSES, make_folder

pytestmark = pytest.mark.slow

WAIT_SECONDS = 120.0


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace", "me")


@pytest.fixture
def dataset(workspace: Workspace) -> Dataset:
    made = datasets.create(workspace, "shapes", "upload")
    make_folder(made.root, per_class=8)
    scanning.work(made)
    return made


def keep_features(workspace: Workspace, photos: tuple[Photo, ...], *, leave_out: int = 0) -> None:
    """Rows as training would keep them, with values that tell the classes apart."""
    backbone = registry.backbone(features.BACKBONE)
    weights = find(backbone, workspace.weights)
    assert weights is not None
    random = np.random.default_rng(0)
    kinds = np.array([CLASSES.index(photo.path.split("/")[0]) for photo in photos])
    rows = np.eye(backbone.feature_width)[kinds] * 4 + random.random((len(photos), backbone.feature_width)) * 0.2
    kept = store(workspace.cache / "kept", backbone, plain_features(backbone, weights.sha256), "cpu", "features", 0)
    chosen = slice(leave_out, None)
    kept.append([photo.sha256 for photo in photos[chosen]], rows.astype(np.float32)[chosen])


def until(dataset: Dataset, report: DatasetReport, done: Callable[[Checkup], bool]) -> Checkup:
    end = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < end:
        found = checkup.watch(dataset, report)
        if done(found):
            return found
        time.sleep(0.05)
    raise AssertionError(f"still {found}: {doctor_folder(dataset).log_tail()}")


def over(found: Checkup) -> bool:
    return found.status != "working"


def no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> Iterator[tuple[int, int]]:
        raise AssertionError("torch was asked for")

    monkeypatch.setattr("core.doctor.examine.keep_missing", fail)


def test_kept_features_are_found_and_both_looks_written(
    dataset: Dataset, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = read_report(dataset)
    assert checkup.watch(dataset, report).status == "waiting"
    keep_features(workspace, report.photos)
    no_torch(monkeypatch)
    checkup.work(dataset)
    found = checkup.watch(dataset, report)
    assert found.status == "ready"
    assert found.fast is not None
    assert found.deep is not None
    assert (found.fast.depth, found.deep.depth) == ("fast", "deep")
    assert found.fast.fingerprint == found.deep.fingerprint == report.fingerprint
    assert (found.deep.accuracy, found.deep.judged) == (1.0, 24)
    assert found.without_deep is found.proposals is found.error is None


def test_a_wrong_label_is_found_in_the_version_in_which_it_is(
    dataset: Dataset, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    clean = read_report(dataset)
    keep_features(workspace, clean.photos)
    no_torch(monkeypatch)
    checkup.work(dataset)
    mending.move(dataset, ["circle/000.jpg"], "square")
    mended = read_report(dataset)
    waiting = checkup.watch(dataset, mended)
    assert (waiting.status, waiting.fast, waiting.deep) == ("waiting", None, None)
    assert [one.fingerprint for one in waiting.stale] == [clean.fingerprint] * 2
    checkup.work(dataset)
    found = checkup.watch(dataset, mended)
    assert found.deep is not None
    (wrong,) = [one for one in found.deep.diagnoses if one.kind == "label_error"]
    assert wrong.paths == ("circle/000.jpg",)
    mending.refuse(dataset, "label_error", ["circle/000.jpg"])
    assert refused_in(mending.history(dataset)) == {"label_error": {"circle/000.jpg"}}
    mending.undo(dataset)
    assert refused_in(mending.history(dataset)) == {}
    again = checkup.watch(dataset, clean)
    assert again.status == "ready"  # going back finds what was found before


def test_unlabelled_photos_get_proposals_and_each_confirmation_a_round(
    dataset: Dataset, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_features(workspace, read_report(dataset).photos)
    no_torch(monkeypatch)
    unknown = [f"{label}/{number:03}.jpg" for label in CLASSES for number in range(3)]
    mending.forget_label(dataset, unknown)
    report = read_report(dataset)
    checkup.work(dataset)
    found = checkup.watch(dataset, report)
    assert found.status == "ready"
    assert found.proposals is not None
    assert {row.path: row.label for row in found.proposals.certain} == {path: path.split("/")[0] for path in unknown}
    assert [(one.labelled, one.unlabelled, one.judged) for one in found.rounds] == [(15, 9, 15)]
    mending.confirm(dataset, {path: path.split("/")[0] for path in unknown[:4]})
    report = read_report(dataset)
    assert checkup.watch(dataset, report).status == "waiting"
    checkup.work(dataset)
    found = checkup.watch(dataset, report)
    assert [(one.labelled, one.unlabelled, one.judged) for one in found.rounds] == [(15, 9, 15), (19, 5, 15)]
    mending.forget_label(dataset, ["square/007.jpg"])
    mending.move(dataset, ["square/007.jpg"], "square")  # the same fingerprint as before: nothing to do
    assert checkup.watch(dataset, read_report(dataset)).status == "ready"


def test_without_weights_there_is_a_fast_look_and_the_reason(
    dataset: Dataset, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.doctor.features.find", lambda backbone, folder: None)
    report = read_report(dataset)
    checkup.work(dataset)
    found = checkup.watch(dataset, report)
    assert (found.status, found.deep, found.without_deep) == ("ready", None, "weights")
    assert found.fast is not None
    monkeypatch.undo()
    keep_features(workspace, report.photos)
    checkup.work(dataset)  # now there are some
    found = checkup.watch(dataset, report)
    assert found.without_deep is None
    assert found.deep is not None


def test_a_damaged_weights_file_is_named(dataset: Dataset, workspace: Workspace) -> None:
    report = read_report(dataset)
    workspace.weights.mkdir(parents=True)
    name = registry.backbone("resnet18").weights.file_name
    (workspace.weights / name).write_bytes(b"half a file")
    checkup.work(dataset, "resnet18")
    found = checkup.watch(dataset, report)
    assert found.status == "failed"
    assert found.fast is not None
    assert found.error is not None
    assert name in found.error.message


def test_a_stop_is_obeyed_between_steps_and_what_was_written_stays(dataset: Dataset, workspace: Workspace) -> None:
    report = read_report(dataset)
    keep_features(workspace, report.photos)
    doctor_folder(dataset).path.mkdir()
    checkup.stop(dataset)
    checkup.work(dataset)
    found = checkup.watch(dataset, report)
    assert found.fast is not None
    assert found.deep is None
    doctor_folder(dataset).stop.unlink()
    checkup.work(dataset)
    assert checkup.watch(dataset, report).status == "ready"


def test_a_version_made_meanwhile_is_examined_next(
    dataset: Dataset, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = read_report(dataset)
    keep_features(workspace, before.photos)
    from core.doctor import version

    look = version.fast_look
    done: list[str] = []

    def look_and_mend(report: DatasetReport, *rest: object) -> Examination:
        if not done:
            mending.move(dataset, ["circle/000.jpg"], "square")
        done.append(report.fingerprint)
        return look(report, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(version, "fast_look", look_and_mend)
    checkup.work(dataset)
    after = read_report(dataset)
    assert done == [before.fingerprint, after.fingerprint]
    assert checkup.watch(dataset, after).status == "ready"
    assert checkup.watch(dataset, before).deep is None


def test_findings_of_old_versions_make_way(dataset: Dataset) -> None:
    folder = doctor_folder(dataset)
    folder.path.mkdir()
    for number in range(KEPT + 3):
        folder.write(Examination(f"{number:064}", "fast", (), 0.1))
        os.utime(folder.path / f"{number:064}-fast.json", (number, number))
    (folder.path / ".half.json.1.2.tmp").write_bytes(b"{")
    folder.tidy()
    kept = sorted(path.name for path in folder.path.iterdir())
    assert kept == [f"{number:064}-fast.json" for number in range(3, KEPT + 3)]


def test_a_damaged_file_counts_as_none(dataset: Dataset) -> None:
    folder = doctor_folder(dataset)
    folder.path.mkdir()
    (folder.path / f"{'0' * 64}-fast.json").write_bytes(b'{"format": 1, "diagn')
    assert folder.examination("0" * 64, "fast") is None


# The process


def test_pages_follow_the_process_and_start_no_second_one(dataset: Dataset, workspace: Workspace) -> None:
    report = read_report(dataset)
    keep_features(workspace, report.photos)
    assert checkup.start(dataset, workspace)
    assert not checkup.start(dataset, workspace)
    assert checkup.watch(dataset, report).status in ("working", "ready")
    assert until(dataset, report, over).status == "ready"
    until_gone = time.monotonic() + 20
    while checkup.is_working(doctor_folder(dataset)) and time.monotonic() < until_gone:
        time.sleep(0.05)
    assert not doctor_folder(dataset).heartbeat.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX kills and niceness")
def test_a_killed_check_up_is_told_as_lost_and_started_again(dataset: Dataset, workspace: Workspace) -> None:
    report = read_report(dataset)
    keep_features(workspace, report.photos, leave_out=4)  # it has to import torch, which takes seconds
    checkup.start(dataset, workspace)
    until(dataset, report, lambda found: found.fast is not None and found.phase == "features")
    pid = int(doctor_folder(dataset).heartbeat.read_text())
    assert os.getpriority(os.PRIO_PROCESS, pid) >= 10
    os.kill(pid, signal.SIGKILL)
    found = until(dataset, report, over)
    assert found.status == "lost"
    assert found.fast is not None
    checkup.start(dataset, workspace)
    found = until(dataset, report, over)
    assert found.status == "ready"
    assert found.deep is not None


def test_following_a_check_up_takes_no_torch_and_no_scikit_learn() -> None:
    code = (
        "import sys, core.doctor.checkup;"
        "print([name for name in ('torch', 'torchvision', 'sklearn', 'scipy', 'streamlit') if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


# Without a data set's folder


def test_a_folder_is_examined_with_the_same_findings(dataset: Dataset, workspace: Workspace) -> None:
    report = read_report(dataset)
    keep_features(workspace, report.photos)
    told: list[tuple[str, int, int]] = []
    fast, deep = examine(report, {}, workspace.weights, workspace.cache / "kept", lambda *now: told.append(now))
    assert (fast.depth, deep.depth, deep.judged) == ("fast", "deep", 24)
    assert [phase for phase, _, _ in told] == ["fast", "deep"]
    json.dumps([fast.to_json(), deep.to_json()], allow_nan=False)


def test_a_folder_without_weights_says_so(
    dataset: Dataset, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.doctor.features.find", lambda backbone, folder: None)
    with pytest.raises(NoFeatures, match="weights"):
        examine(read_report(dataset), {}, workspace.weights, workspace.cache / "kept")


@pytest.mark.slow
def test_missing_features_are_computed_and_unreadable_photos_passed_over(
    dataset: Dataset, workspace: Workspace
) -> None:
    report = read_report(dataset)
    (dataset.root / "circle" / "000.jpg").write_bytes(b"not a photo any more")
    checkup.work(dataset)
    found = checkup.watch(dataset, report)
    assert found.status == "ready"
    assert found.deep is not None
    assert found.deep.judged == 23
