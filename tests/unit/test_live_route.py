"""Frames of a camera over HTTP: answered for the page that holds the token, one at a time, and none kept."""

import io
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient

from core.data.image import UnusablePhoto, open_rgb
from core.errors import RunError
from core.runs.store import RunDirectory
from core.workspace import Workspace, make_directory
from pages.server import live
from pages.server.guard import TOKEN_HEADER
from pages.server.live import live_address, live_routes, live_token
from pages.server.models import MODELS, Models


@dataclass(frozen=True)
class Said:
    top: tuple[tuple[str, float], ...]
    unknown: bool


class Bright:
    """Tells bright from dark, knows nothing in between, and counts how often it was at work at once."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds, self.at_work, self.most = seconds, 0, 0
        self.lock = threading.Lock()

    def predict(self, frames: Iterable[bytes]) -> Iterator[Said | UnusablePhoto]:
        with self.lock:
            self.at_work += 1
            self.most = max(self.most, self.at_work)
        time.sleep(self.seconds)
        with self.lock:
            self.at_work -= 1
        yield from map(self._look, frames)

    def _look(self, frame: bytes) -> Said | UnusablePhoto:
        try:
            share = open_rgb(frame).convert("L").resize((1, 1)).getpixel((0, 0)) / 255
        except UnusablePhoto as error:
            return error
        top = sorted((("bright", share), ("dark", 1 - share)), key=lambda row: -row[1])
        return Said(tuple(top), unknown=0.4 < share < 0.6)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDirectory:
    monkeypatch.setenv("GRAFT_WORKSPACE", str(tmp_path))
    _, path = make_directory(Workspace(tmp_path, "me").runs)
    (path / "config.json").write_text("{}")
    return RunDirectory(path)


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Bright:
    made = Bright()
    monkeypatch.setattr(MODELS, "get", lambda run: made)
    return made


@pytest.fixture
def send(run: RunDirectory, tmp_path: Path) -> Iterator[Callable[..., object]]:
    """``send(body, token=…)``: one frame; by default with the page's own token."""
    token = live_token(Workspace(tmp_path, "me"), run)
    with TestClient(Starlette(routes=live_routes("/graft", lambda request: "me"))) as client:

        def post(body: bytes, token: str | None = token, address: str = live_address("/graft", run)):
            return client.post(address, content=body, headers={TOKEN_HEADER: token} if token else {})

        yield post


def frame(brightness: int, kind: str = "JPEG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (32, 32), (brightness,) * 3).save(file, kind)
    return file.getvalue()


@pytest.mark.usefixtures("model")
def test_a_frame_is_answered_with_the_likeliest_classes_and_whether_it_is_unknown(send: Callable[..., object]) -> None:
    told = send(frame(250)).json()
    assert [row["label"] for row in told["top"]] == ["bright", "dark"]
    assert told["top"][0]["confidence"] == pytest.approx(250 / 255, abs=0.01)
    assert told["unknown"] is False
    assert send(frame(128)).json()["unknown"] is True
    assert send(frame(250)).headers["cache-control"] == "no-store"


@pytest.mark.usefixtures("model")
def test_nothing_of_a_frame_is_kept(send: Callable[..., object], tmp_path: Path) -> None:
    def files() -> dict[Path, int]:
        return {path: path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()}

    send(frame(10))
    before = files()
    assert send(frame(200)).status_code == 200
    assert files() == before


def test_without_this_runs_token_nothing_is_looked_at(
    send: Callable[..., object], run: RunDirectory, model: Bright, tmp_path: Path
) -> None:
    token = live_token(Workspace(tmp_path, "me"), run)
    other = live_token(Workspace(tmp_path, "me"), RunDirectory(run.path.with_name("20261121-051543-d0bbc0de")))
    someone = live_token(Workspace(tmp_path, "someone"), run)
    for wrong in (None, token[:-1], other, someone):
        assert send(frame(250), token=wrong).status_code == 403
    assert model.most == 0


def test_a_run_that_was_deleted_is_said_to_be_gone(send: Callable[..., object], run: RunDirectory) -> None:
    (run.path / "config.json").unlink()
    answer = send(frame(250))
    assert (answer.status_code, bool(answer.json()["hint"])) == (404, True)


def test_what_is_no_small_jpeg_is_refused_before_anything_reads_it(send: Callable[..., object], model: Bright) -> None:
    assert send(frame(250, "PNG")).status_code == 400
    assert send(b"").status_code == 400
    assert send(b"\xff\xd8\xff" + bytes(live.MOST_BYTES)).status_code == 413
    assert model.most == 0
    assert send(frame(250)[:100]).status_code == 400  # cut off: the decoder says so


def test_one_frame_at_a_time_is_computed_and_the_rest_wait_or_are_turned_away(
    send: Callable[..., object], model: Bright
) -> None:
    model.seconds = 0.1
    with ThreadPoolExecutor(12) as pool:
        codes = [answer.status_code for answer in pool.map(lambda _: send(frame(250)), range(12))]
    assert model.most == 1
    assert set(codes) == {200, 429}
    assert codes.count(200) <= 2 * (1 + live.MOST_WAITING)


def test_three_models_stay_in_memory_and_a_new_one_replaces_the_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = pytest.importorskip("core.inference.predictor")
    loaded: list[str] = []

    def load(run: RunDirectory) -> object:
        loaded.append(run.id)
        return object()

    monkeypatch.setattr(predictor.Predictor, "load", load)
    runs = [RunDirectory(tmp_path / name) for name in "abcd"]
    for run in runs:
        run.path.mkdir()
        run.model.write_text("1")
    models = Models(most=3)
    first = models.get(runs[0])
    assert models.get(runs[0]) is first
    for run in (*runs[1:3], runs[0], runs[3], runs[0]):
        models.get(run)
    assert loaded == ["a", "b", "c", "d"]
    models.get(runs[1])  # it had to go for "d"
    assert loaded[-1] == "b"
    runs[0].known.write_text("trained again")
    assert models.get(runs[0]) is not first


def test_several_who_ask_at_once_load_a_model_once_and_a_failure_is_not_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = pytest.importorskip("core.inference.predictor")
    loaded: list[str] = []

    def load(run: RunDirectory) -> object:
        time.sleep(0.05)
        loaded.append(run.id)
        if len(loaded) == 1:
            raise RunError("runs.no_model", run=run.id)
        return object()

    monkeypatch.setattr(predictor.Predictor, "load", load)
    models, run = Models(), RunDirectory(tmp_path)
    with pytest.raises(RunError):
        models.get(run)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(models.get, [run] * 4))
    assert len(set(map(id, found))) == 1
    assert loaded == [run.id] * 2
