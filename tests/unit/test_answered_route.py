"""Small pictures of a batch's photos over HTTP, those inside zips too: for the page that holds the token."""

import io
from pathlib import Path

import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient

from core.data import intake
from core.inference import batch_worker
from core.inference.batch_folder import BatchFolder
from core.runs.store import RunDirectory
from core.workspace import Workspace, make_directory
from pages.server.answered import SIDE, answered_routes, picture_addresses
from tests.colours import Colours, paint, zipped

Batch = tuple[intake.Upload, RunDirectory]


@pytest.fixture
def batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Batch:
    monkeypatch.setenv("GRAFT_WORKSPACE", str(tmp_path))
    workspace = Workspace(tmp_path, "me")
    upload = intake.begin(workspace, purpose="many")
    paint(upload.photos / "a&b=ü" / "1.png", "red")
    zipped(upload.photos / "more.zip", {"c/1.png": "blue"})
    (upload.photos / "bad.png").write_text("no photo")
    (upload.folder / "beside.png").write_bytes((upload.photos / "a&b=ü" / "1.png").read_bytes())
    _, path = make_directory(workspace.runs)
    run = RunDirectory(path)
    for file in (run.model, path / "config.json"):
        file.write_text("{}")
    batch_worker.work(BatchFolder(upload.folder, run), lambda run: Colours())
    return upload, run


@pytest.fixture
def client() -> TestClient:
    return TestClient(Starlette(routes=answered_routes("/graft", lambda request: "me")))


def test_each_answered_photo_has_a_picture(batch: Batch, client: TestClient) -> None:
    address = picture_addresses("/graft", *batch)
    for name, colour in (("a&b=ü/1.png", (255, 0, 0)), ("more.zip/c/1.png", (0, 0, 255))):
        for _ in range(2):  # drawn, then as it was kept
            answer = client.get(address(name))
            assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
            picture = Image.open(io.BytesIO(answer.content))
            assert picture.size == (SIDE, SIDE)
            assert max(abs(a - b) for a, b in zip(picture.getpixel((9, 9)), colour, strict=True)) < 10


def test_pictures_go_with_their_upload(batch: Batch, client: TestClient) -> None:
    upload, run = batch
    address = picture_addresses("/graft", upload, run)("a&b=ü/1.png")
    assert client.get(address).status_code == 200
    intake.discard(upload)
    assert not upload.folder.exists()
    assert client.get(address).status_code == 404


@pytest.mark.parametrize(
    "name", ["", "bad.png", "none.png", "../beside.png", "more.zip/../../beside.png", "/etc/passwd", "\0", "x" * 5000]
)
def test_a_name_of_no_photo_in_the_batch_has_none(batch: Batch, client: TestClient, name: str) -> None:
    assert client.get(picture_addresses("/graft", *batch)(name)).status_code == 404


def test_without_the_token_of_this_batch_there_is_none(batch: Batch, client: TestClient) -> None:
    upload, run = batch
    address = picture_addresses("/graft", upload, run)("a&b=ü/1.png")
    other = intake.begin(upload.workspace, purpose="many")
    token = address.partition("token=")[2].partition("&")[0]
    for wrong in (address.replace(token, ""), address.replace(token, token[:-1]), address.replace(upload.id, other.id)):
        assert client.get(wrong).status_code == 403
