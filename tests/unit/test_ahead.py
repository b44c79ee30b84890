"""Features are kept while photos arrive, and are those that a run computes."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from core.data import datasets, intake, scanning
from core.data.journal import read_journal
from core.data.pixels import centre, square
from core.data.split import split
from core.data.store import read_report
from core.inference.predictor import normalised
from core.models import registry
from core.training.ahead import Ahead
from core.training.rows import RowStore
from core.workspace import Workspace
from tests.photos import CLASSES, draw, make_folder

BACKBONE = "efficientnet_lite0"
pytestmark = pytest.mark.slow  # a real backbone


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace", "me")


@pytest.fixture
def ahead(workspace: Workspace) -> Ahead:
    """With an empty cache of this test's own."""
    return Ahead(workspace.cache / "kept", workspace.weights, "cpu")


def stores(ahead: Ahead) -> dict[bool, RowStore]:
    """The rows of features: those that heads learn on, and the exact ones."""
    return {exact: part.store("features", 0) for exact, part in ahead._parts.items()}


def photo(number: int) -> bytes:
    import io

    file = io.BytesIO()
    draw(CLASSES[number % 3], number).save(file, "JPEG")
    return file.getvalue()


def send(upload: intake.Upload, numbers: range) -> list[str]:
    return [intake.receive(upload, f"{CLASSES[n % 3]}/{n}.jpg", photo(n)).sha256 for n in numbers]


def until_nothing(steps: Iterator[int]) -> int:
    """Let it work until it has nothing to do; returns how many photos it went through."""
    count = 0
    for step in steps:
        if not step:
            return count
        count += step
    return count


def test_photos_of_an_upload_are_kept_as_they_come(ahead: Ahead, workspace: Workspace) -> None:
    upload = intake.begin(workspace, purpose="dataset")
    steps = ahead.look(upload.folder, BACKBONE, lambda: False)
    assert until_nothing(steps) == 0
    first = send(upload, range(3))
    assert until_nothing(steps) == 3
    assert stores(ahead)[False].missing(first) == []
    second = send(upload, range(3, 5))
    assert until_nothing(steps) == 2
    assert stores(ahead)[False].missing(first + second) == []
    intake.discard(upload)
    assert list(steps) == []  # it ends with the upload


def test_a_file_that_is_no_photo_is_passed_over_and_the_others_are_kept(ahead: Ahead, workspace: Workspace) -> None:
    upload = intake.begin(workspace, purpose="dataset")
    intake.receive(upload, "circle/letter.jpg", b"Dear Graft, I am not a picture.")
    intake.receive(upload, "notes.txt", b"for later")
    kept = send(upload, range(2))
    steps = ahead.look(upload.folder, BACKBONE, lambda: False)
    assert until_nothing(steps) == 3  # a text file isn't even opened
    assert len(stores(ahead)[False]) == 2
    assert stores(ahead)[False].missing(kept) == []


def test_a_data_set_is_kept_before_and_after_its_scan_with_exact_features_of_the_test_part(
    ahead: Ahead, workspace: Workspace
) -> None:
    made = datasets.create(workspace, "shapes", "upload")
    make_folder(made.root, per_class=8)
    steps = ahead.look(made.folder, BACKBONE, lambda: False)
    assert until_nothing(steps) == 24
    assert (len(stores(ahead)[False]), len(stores(ahead)[True])) == (24, 0)
    scanning.work(made)
    report = read_report(made)
    tested = split(report).test
    assert list(steps) == [24, len(tested)]
    assert len(stores(ahead)[False]) == 24
    assert stores(ahead)[False].missing([row.sha256 for row in report.photos]) == []
    assert stores(ahead)[True].missing([sample.sha256 for sample in tested]) == []
    assert len(stores(ahead)[True]) == len(tested)


def test_the_features_are_those_of_the_plain_network(ahead: Ahead, workspace: Workspace) -> None:
    import torch

    made = datasets.create(workspace, "shapes", "upload")
    make_folder(made.root, per_class=4)
    scanning.work(made)
    list(ahead.look(made.folder, BACKBONE, lambda: False))
    tested = split(read_report(made)).test
    network = ahead._parts[True].network.eval()
    look = registry.backbone(BACKBONE).preprocessing
    crops = [centre(square(made.root / s.path, look.resize, look.interpolation), look.crop) for s in tested]
    with torch.inference_mode():
        pixels = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2)
        plain = network.features(normalised(pixels, look)).numpy()
    kept = stores(ahead)[True].rows([sample.sha256 for sample in tested])[:]
    assert np.allclose(kept, plain, atol=1e-3)


def test_it_stops_when_it_is_told_to(ahead: Ahead, workspace: Workspace) -> None:
    made = datasets.create(workspace, "shapes", "upload")
    make_folder(made.root, per_class=4)
    list(ahead.look(made.folder, BACKBONE, lambda: True))
    assert all(len(store) == 0 for store in stores(ahead).values())


def test_missing_weights_are_waited_for_and_never_fetched(ahead: Ahead, workspace: Workspace) -> None:
    upload = intake.begin(workspace, purpose="dataset")
    send(upload, range(1))
    steps = ahead.look(upload.folder, "resnet50", lambda: False)
    assert [next(steps) for _ in range(3)] == [0, 0, 0]


def test_only_whole_lines_of_a_journal_are_read_and_each_once(workspace: Workspace) -> None:
    upload = intake.begin(workspace, purpose="dataset")
    hashes = send(upload, range(2))
    journal = upload.folder / "journal.jsonl"
    whole = journal.read_bytes()
    journal.write_bytes(whole[:-5])
    received, offset = read_journal(upload.folder)
    assert [file.sha256 for file in received] == hashes[:1]
    journal.write_bytes(whole)
    received, offset = read_journal(upload.folder, offset)
    assert [file.sha256 for file in received] == hashes[1:]
    assert read_journal(upload.folder, offset) == ([], len(whole))


def test_a_folder_that_is_gone_ends_it(ahead: Ahead, workspace: Workspace) -> None:
    assert list(ahead.look(workspace.datasets / "20260101-000000-00000000", BACKBONE, lambda: False)) == []
