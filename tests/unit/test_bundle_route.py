"""A bundle over HTTP: whole or in pieces, for the page that holds its token; and no model larger than one can be."""

import zipfile
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from core.data import intake
from core.data.quota import Quota
from core.export.arrived import MOST_BYTES
from core.export.made import ExportFolder
from core.export.parity import FormParity, Parity
from core.runs.store import RunDirectory
from core.serve import bundle_worker
from core.workspace import Workspace, make_directory
from pages.server import routes
from pages.server.bundles import bundle_address, bundle_routes

PARITY = Parity({"onnx": FormParity(7, 7, 7, 0.0)}, 0, 7, 20)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("GRAFT_WORKSPACE", str(tmp_path))
    return Workspace(tmp_path, "me")


@pytest.fixture
def run(workspace: Workspace) -> RunDirectory:
    _, path = make_directory(workspace.runs)
    made = RunDirectory(path)
    for file in (made.model, path / "config.json"):
        file.write_text("{}")
    return made


@pytest.fixture
def client() -> TestClient:
    return TestClient(Starlette(routes=bundle_routes("/graft", lambda request: "me")))


def make(run: RunDirectory, text: str) -> bytes:
    """A bundle that holds this; returns its bytes."""

    def export(run: RunDirectory, out: Path, *_: object, **__: object) -> Parity:
        with zipfile.ZipFile(out, "w") as archive:
            archive.writestr("graft-model/graft.json", text)
        return PARITY

    bundle_worker.work(ExportFolder(run), with_photos=False, export=export)
    made = ExportFolder(run).made()
    assert made is not None
    return made.file.read_bytes()


def test_the_bundle_comes_as_a_download_and_goes_on_where_it_broke_off(workspace, run, client):
    data = make(run, "first")
    address = bundle_address("/graft", workspace, run)
    answer = client.get(address)
    assert (answer.status_code, answer.content) == (200, data)
    assert f'filename="graft-{run.id}.zip"' in answer.headers["content-disposition"]
    rest = client.get(address, headers={"Range": "bytes=10-"})
    assert (rest.status_code, rest.content) == (206, data[10:])
    again = make(run, "second")
    assert client.get(address).content == again


def test_without_the_token_of_this_run_there_is_none(workspace, run, client):
    make(run, "x")
    address = bundle_address("/graft", workspace, run)
    _, other = make_directory(workspace.runs)
    for wrong in (address.partition("?")[0], address[:-1], address.replace(run.id, other.name)):
        assert client.get(wrong).status_code == 403


def test_where_none_was_made_or_the_run_is_gone_that_is_said(workspace, run, client):
    address = bundle_address("/graft", workspace, run)
    assert client.get(address).status_code == 404
    assert client.get(address).json()["error"]
    (run.path / "config.json").unlink()
    answer = client.get(address)
    assert (answer.status_code, bool(answer.json()["hint"])) == (404, True)


def test_a_model_may_be_no_larger_than_one_can_be_and_photos_may(workspace, monkeypatch):
    bundle, photos = (intake.begin(workspace, purpose=purpose) for purpose in ("bundle", "dataset"))
    assert routes._quota(bundle).bytes_per_file == MOST_BYTES
    assert routes._quota(photos) == Quota.from_environment()
    monkeypatch.setenv("GRAFT_MAX_FILE_GB", "1")
    assert routes._quota(bundle).bytes_per_file == 1_000_000_000  # an operator's own limit stays
