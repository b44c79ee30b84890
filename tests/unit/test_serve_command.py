"""``python -m core serve`` as a program would use it: a port of its own, one line that says where, an end by Ctrl-C."""

import json
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from argparse import Namespace
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from core.errors import ConfigError
from core.inference.answers_file import PhotoAnswer
from core.inference.predictor import ModelCard, Predictor, write_model
from core.models.build import build
from core.runs.store import RunDirectory
from core.serve.command import serve
from tests import hostile

PROJECT = Path(__file__).parent.parent.parent
pytestmark = pytest.mark.slow  # processes of their own that import torch


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> RunDirectory:
    """A network that has learnt nothing, with the two files that a bundle has of it."""
    network = build("efficientnet_lite0", 3, weights=None)
    run = RunDirectory(tmp_path_factory.mktemp("run"))
    card = ModelCard(
        network.backbone.name, ("ant", "bee", "wasp"), network.backbone.preprocessing, None, network.head.spec
    )
    write_model(run, network, card)
    return run


@contextmanager
def serving(run: RunDirectory) -> Iterator[tuple[dict[str, Any], subprocess.Popen]]:
    command = [sys.executable, "-m", "core", "serve", str(run.path), "--port", "0"]
    process = subprocess.Popen(
        command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        line = process.stdout.readline()
        assert line, process.stderr.read()
        yield json.loads(line), process
    finally:
        process.kill()
        process.communicate()


def ask(url: str, data: bytes | None = None, **headers: str) -> tuple[int, Any]:
    request = urllib.request.Request(url, data, {name.replace("_", "-"): value for name, value in headers.items()})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as answer:
        with answer:
            return answer.code, json.load(answer)


def test_a_service_answers_as_soon_as_it_says_where_and_ends_well_on_ctrl_c(run):
    photos = [hostile.jpeg(seed) for seed in range(4)]
    predictor = Predictor.load(run)
    wanted = [PhotoAnswer.of("photo", next(predictor.predict([photo]))).to_json() for photo in photos]
    with serving(run) as (told, process):
        assert told.keys() == {"serving", "run", "classes", "token"}
        assert told["serving"].startswith("http://127.0.0.1:")
        assert (told["classes"], told["token"]) == (["ant", "bee", "wasp"], False)
        assert ask(f"{told['serving']}/health") == (200, {"status": "ok"})
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda p: ask(f"{told['serving']}/predict", p, content_type="image/jpeg"), photos))
        assert [status for status, _ in found] == [200] * 4
        for (_, answer), row in zip(found, wanted, strict=True):
            [given] = answer["answers"]
            assert (given["label"], given["unknown"], given["path"]) == (row["label"], row["unknown"], "photo")
            assert given["confidence"] == pytest.approx(
                row["confidence"], abs=1e-6
            )  # threads add up in their own order
        process.send_signal(signal.SIGINT)
        output, words = process.communicate(timeout=30)
        assert process.returncode == 0
        assert output == ""
        assert told["serving"] in words
        assert "Traceback" not in words
        with pytest.raises(urllib.error.URLError):
            ask(f"{told['serving']}/health")


def options(run: RunDirectory, **others: object) -> Namespace:
    usual = {"run": run.path, "host": "127.0.0.1", "port": 0, "token": None, "cors": [], "name": []}
    return Namespace(**{**usual, **others})


@pytest.mark.parametrize(
    ("token", "warning"), [(None, "Anyone who can reach"), ("a-long-token", "whoever listens can read the token")]
)
def test_a_service_for_a_network_warns_and_its_token_may_come_from_the_environment(
    run, token, warning, capsys, monkeypatch
):
    if token:
        monkeypatch.setenv("GRAFT_TOKEN", token)
    started = serve(options(run, host="0.0.0.0"))  # noqa: S104  the warning is about that
    assert next(started)["token"] is bool(token)
    started.close()
    assert warning in capsys.readouterr().err


def test_a_port_that_is_taken_is_the_users_mistake_with_a_way_out(run):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {port}") as error:
            next(serve(options(run, port=port)))
    assert "--port 0" in error.value.hint


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 70_000), ("no such host", 0), ("192.0.2.1", 0)])
def test_an_address_that_cant_be_listened_at_is_told_by_name(run, host, port):
    with pytest.raises(ConfigError, match=host):
        next(serve(options(run, host=host, port=port)))
