"""Pictures of a data set's photos over HTTP, and what a browser may tell the grid's Python side."""

import hashlib
import io
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.testclient import TestClient

from core.data import datasets, mending, scanning
from core.data.datasets import Dataset
from core.data.store import read_report
from core.workspace import Workspace
from pages.parts import grid, mend
from pages.server.guard import Guard
from pages.server.routes import routes, upload_token
from pages.server.thumbs import photos_token
from tests.photos import make_folder

OURS = "http://127.0.0.1:8501"


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("GRAFT_WORKSPACE", str(tmp_path / "workspace"))
    return Workspace(tmp_path / "workspace")


@pytest.fixture
def photos(workspace: Workspace) -> Dataset:
    made = datasets.create(workspace, "shapes", "upload")
    make_folder(made.root, per_class=4)
    Image.linear_gradient("L").resize((900, 300)).save(made.root / "circle" / "wide.png")
    scanning.work(made)
    return made


@pytest.fixture
def client(workspace: Workspace) -> Iterator[TestClient]:
    app = Starlette(routes=routes(), middleware=[Middleware(Guard, address=lambda: "127.0.0.1")])
    with TestClient(app, base_url=OURS, client=("127.0.0.1", 50000)) as opened:
        yield opened


def address(workspace: Workspace, dataset: Dataset, path: str, kind: str = "thumbs", side: object = 160) -> str:
    sha256 = hashlib.sha256((dataset.root / path).read_bytes()).hexdigest()
    return f"/graft/{kind}/{dataset.id}/{sha256}?side={side}&token={photos_token(workspace, dataset.id)}"


def test_a_photo_comes_as_a_small_square_and_as_a_whole(client, workspace, photos):
    small = client.get(address(workspace, photos, "circle/wide.png"))
    assert small.status_code == 200
    assert Image.open(io.BytesIO(small.content)).size == (160, 160)
    whole = client.get(address(workspace, photos, "circle/wide.png", "photos"))
    assert Image.open(io.BytesIO(whole.content)).size == (900, 300)  # never enlarged
    for answer in (small, whole):
        assert answer.headers["content-type"] == "image/jpeg"
        assert answer.headers["cache-control"].startswith("private, max-age=31536000")
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_what_is_set_aside_or_unlabelled_is_shown_too(client, workspace, photos):
    mending.set_aside(photos, ["circle/000.jpg"])
    mending.forget_label(photos, ["circle/001.jpg"])
    for path in ("circle/000.jpg", "circle/001.jpg"):
        assert client.get(address(workspace, photos, path)).status_code == 200


@pytest.mark.parametrize("kind", ["thumbs", "photos"])
def test_without_its_own_token_nothing_is_shown(client, workspace, photos, kind):
    right = address(workspace, photos, "circle/000.jpg", kind)
    other = datasets.create(workspace, "other", "upload")
    tokens = [
        "",
        "0" * 64,
        "ä",
        photos_token(workspace, other.id),
        photos_token(Workspace(workspace.root, "you"), photos.id),
    ]
    for token in tokens:
        answer = client.get(right.split("&token=")[0], params={"side": "160", "token": token})
        assert answer.status_code == 403
        assert "token" not in answer.json()["error"]
    assert client.get(right.split("&token=")[0]).status_code == 403


@pytest.mark.parametrize(
    "sha256", ["0" * 64, "A" * 64, "..", "%2e%2e%2fsecret", "x" * 5000, "circle", "%00", "0" * 63, "é"]
)
def test_a_hash_that_is_no_photo_of_the_set_is_not_found(client, workspace, photos, sha256):
    token = photos_token(workspace, photos.id)
    for kind in ("thumbs", "photos"):
        assert client.get(f"/graft/{kind}/{photos.id}/{sha256}?token={token}").status_code == 404


@pytest.mark.parametrize("identifier", ["..", "../..", "x", "20261121-000000-00000000", "%2e%2e", "\N{BOMB}"])
def test_a_set_that_is_none_is_not_found_even_with_a_token(client, workspace, photos, identifier):
    token = photos_token(workspace, identifier)
    answer = client.get(f"/graft/thumbs/{identifier}/{'0' * 64}?token={token}")
    assert answer.status_code in (403, 404)


@pytest.mark.parametrize("side", [0, 16, 161, 1024, 100000, "x", "", "١٦٠"])
def test_only_the_sides_that_grids_use_are_drawn(client, workspace, photos, side):
    assert client.get(address(workspace, photos, "circle/000.jpg", side=side)).status_code == 400
    assert not (workspace.cache / "thumbnails").exists()


def test_a_photo_that_is_gone_from_the_disk_is_not_found(client, workspace, photos):
    gone = address(workspace, photos, "circle/000.jpg")
    (photos.root / "circle/000.jpg").unlink()
    answer = client.get(gone)
    assert (answer.status_code, set(answer.json())) == (404, {"error", "hint"})


def test_a_deleted_set_shows_nothing(client, workspace, photos):
    was = address(workspace, photos, "circle/000.jpg")
    assert client.get(was).status_code == 200
    shutil.rmtree(photos.folder)
    assert client.get(was).status_code == 404


def test_a_token_for_photos_is_none_for_uploads(workspace, photos):
    from core.data import intake

    upload = intake.begin(workspace, purpose="dataset")
    assert photos_token(workspace, upload.id) != upload_token(upload)


def test_a_hundred_pictures_come_in_a_few_seconds(client, workspace):
    made = datasets.create(workspace, "many", "upload")
    make_folder(made.root, per_class=34)
    scanning.work(made)
    addresses = [address(workspace, made, photo.path) for photo in read_report(made).photos][:100]
    began = time.monotonic()
    with ThreadPoolExecutor(6) as six:  # as many as a browser asks for at once
        answers = list(six.map(client.get, addresses))
    assert {answer.status_code for answer in answers} == {200}
    assert time.monotonic() - began < 10  # 0.4 s on an idle machine


# What a browser tells


@pytest.mark.parametrize(
    "row",
    [
        None, "move", [], {}, {"name": "delete", "paths": []}, {"name": "move"}, {"name": "move", "paths": "a"},
        {"name": "move", "paths": [1]}, {"name": "move", "paths": ["a"], "value": 3}, {"name": ["move"], "paths": []},
        {"name": "aside", "paths": ["a"] * (grid.MOST_PATHS + 1)},
    ],
)  # fmt: skip
def test_what_our_page_would_never_send_is_no_deed(row):
    assert grid._read(row)[1] is None


def test_a_deed_is_read_as_it_was_told():
    row = {"id": "1-2", "name": "move", "paths": ["a", "b"], "value": "bees", "everything": True}
    assert grid._read(row) == ("1-2", grid.Action("move", ("a", "b"), "bees", everything=True))


def test_a_deed_that_two_runs_are_told_at_once_is_done_once(monkeypatch):
    acted: list[str] = []

    def slow(action: grid.Action) -> bool:
        time.sleep(0.02)
        acted.append(action.paths[0])
        return True

    rows = [{"id": str(number), "name": "aside", "paths": [f"{number}.jpg"]} for number in range(5)]
    state = {"grid": {"acted": rows}}
    monkeypatch.setattr(grid, "st", SimpleNamespace(session_state=state))
    with ThreadPoolExecutor(4) as runs:
        for done in [runs.submit(grid._act, "grid", "", slow) for _ in range(4)]:
            done.result()
    assert acted == [f"{number}.jpg" for number in range(5)]


def test_every_reason_has_words_before_and_after(photos):
    from core.words import has

    assert [word for word in mend.REASONS if not (has(f"mend.reason.{word}") and has(f"mend.why.{word}"))] == []
    assert mend.reason("<b>unheard of</b>") == "<b>unheard of</b>"


def test_views_hold_what_they_say(photos):
    mending.set_aside(photos, ["circle/000.jpg"])
    mending.forget_label(photos, ["circle/001.jpg"])
    report = read_report(photos)

    def paths(view: str, query: str = "") -> list[str]:
        return [photo.path for photo in mend.listed(report, view, query)]

    assert paths("aside") == ["circle/000.jpg"]
    assert paths("unlabelled") == ["circle/001.jpg"]
    assert len(paths("all")) == 12
    assert paths("class:circle") == ["circle/002.jpg", "circle/003.jpg", "circle/wide.png"]
    assert paths("all", " WIDE ") == ["circle/wide.png"]
    assert paths("class:gone") == []
