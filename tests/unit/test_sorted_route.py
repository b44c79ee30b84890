"""The sorted zip over HTTP: for the page that holds the token, and for nobody else."""

import io
import zipfile
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from core.data import intake
from core.inference import batch_worker
from core.inference.batch_folder import BatchFolder
from core.runs.store import RunDirectory
from core.workspace import Workspace, make_directory
from pages.server.batches import batch_routes, sorted_address
from tests.colours import Colours, paint


@pytest.fixture
def batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[intake.Upload, RunDirectory]:
    monkeypatch.setenv("GRAFT_WORKSPACE", str(tmp_path))
    workspace = Workspace(tmp_path, "me")
    upload = intake.begin(workspace, purpose="many")
    paint(upload.photos / "1.png", "red")
    _, path = make_directory(workspace.runs)
    run = RunDirectory(path)
    for file in (run.model, path / "config.json"):
        file.write_text("{}")
    batch_worker.work(BatchFolder(upload.folder, run), lambda run: Colours())
    return upload, run


@pytest.fixture
def client() -> TestClient:
    return TestClient(Starlette(routes=batch_routes("/graft", lambda request: "me")))


def test_the_zip_comes_as_a_download(batch, client):
    upload, run = batch
    answer = client.get(sorted_address("/graft", upload, run))
    assert answer.status_code == 200
    assert "attachment" in answer.headers["content-disposition"]
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.namelist() == ["red/1.png"]
        assert archive.read("red/1.png") == (upload.photos / "1.png").read_bytes()


def test_without_the_token_of_this_batch_there_is_none(batch, client):
    upload, run = batch
    address = sorted_address("/graft", upload, run)
    other = intake.begin(upload.workspace, purpose="many")
    for wrong in (address.partition("?")[0], address[:-1], address.replace(upload.id, other.id)):
        assert client.get(wrong).status_code == 403


def test_an_upload_that_is_gone_is_said_to_be(batch, client):
    upload, run = batch
    address = sorted_address("/graft", upload, run)
    intake.discard(upload)
    answer = client.get(address)
    assert (answer.status_code, bool(answer.json()["hint"])) == (404, True)
