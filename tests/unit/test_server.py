"""What the server answers outside Streamlit's pages, and whom it answers."""

import base64
import contextlib
import hashlib
import json
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from core.data import intake
from core.errors import ConfigError
from core.workspace import Workspace
from pages.server import guard
from pages.server.guard import Guard, host_name, read_or_make_secret, same_site, token_fits, token_for
from pages.server.routes import plotly_address, routes, upload_address, upload_token

OURS = "http://127.0.0.1:8501"


async def _hello(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"{request.method} hello")


async def _socket(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text("hello")
    await websocket.close()


def make_app(address: str = "127.0.0.1") -> Starlette:
    extra: list[BaseRoute] = [
        Route("/hello", _hello, methods=["GET", "POST", "PUT", "DELETE"]),
        WebSocketRoute("/socket", _socket),
    ]
    return Starlette(routes=[*routes(), *extra], middleware=[Middleware(Guard, address=lambda: address)])


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("GRAFT_WORKSPACE", str(tmp_path / "workspace"))
    monkeypatch.setenv("GRAFT_KEEP_FREE_GB", "0")
    return Workspace(tmp_path / "workspace")


@pytest.fixture
def upload(workspace: Workspace) -> intake.Upload:
    return intake.begin(workspace, purpose="dataset")


@pytest.fixture
def client(workspace: Workspace) -> Iterator[TestClient]:
    with TestClient(make_app(), base_url=OURS, client=("127.0.0.1", 50000)) as opened:
        yield opened


def body(*files: tuple[str, bytes], **changes: object) -> bytes:
    """A batch as the page's script writes it."""
    listed = json.dumps([{"name": name, "size": len(data), **changes} for name, data in files]).encode()
    return len(listed).to_bytes(4, "big") + listed + b"".join(data for _, data in files)


def send(client: TestClient, upload: intake.Upload, content: Any, **headers: str) -> Any:
    return client.post(
        upload_address(upload), content=content, headers={guard.TOKEN_HEADER: upload_token(upload), **headers}
    )


def on_disk(upload: intake.Upload) -> dict[str, bytes]:
    files = (path for path in upload.photos.rglob("*") if path.is_file())
    return {path.relative_to(upload.photos).as_posix(): path.read_bytes() for path in files}


# Uploads


def test_a_batch_arrives_file_by_file_and_is_answered_in_order(client: TestClient, upload: intake.Upload) -> None:
    files = (("pets/cat/a.jpg", b"meow"), ("pets/dog/b.jpg", b""), ("pets/dog/c.jpg", bytes(300_000)))
    answer = send(client, upload, body(*files))
    assert answer.status_code == 200
    assert [entry["state"] for entry in answer.json()["files"]] == ["received"] * 3
    assert on_disk(upload) == dict(files)


@pytest.mark.parametrize("piece", [1, 3, 4, 5, 7, 64])
def test_a_body_may_be_cut_anywhere(client: TestClient, upload: intake.Upload, piece: int, monkeypatch: Any) -> None:
    monkeypatch.setattr("pages.server.routes.FEED_BYTES", 1)
    whole = body(("cat/a.jpg", b"meow"), ("cat/empty.jpg", b""), ("cat/b.jpg", b"purr"))
    answer = send(client, upload, (whole[at : at + piece] for at in range(0, len(whole), piece)))
    assert answer.status_code == 200
    assert on_disk(upload) == {"cat/a.jpg": b"meow", "cat/empty.jpg": b"", "cat/b.jpg": b"purr"}


def test_sending_a_batch_again_adds_nothing_and_says_so(client: TestClient, upload: intake.Upload) -> None:
    first = send(client, upload, body(("cat/a.jpg", b"meow"))).json()["files"]
    second = send(client, upload, body(("cat/a.jpg", b"meow"))).json()["files"]
    assert (first[0]["again"], second[0]["again"]) == (False, True)
    assert on_disk(upload) == {"cat/a.jpg": b"meow"}


def test_the_status_lists_what_arrived_by_name_size_and_hash(client: TestClient, upload: intake.Upload) -> None:
    send(client, upload, body(("cat/a.jpg", b"meow")))
    told = client.get(upload_address(upload), headers={guard.TOKEN_HEADER: upload_token(upload)}).json()
    assert told == {
        "files": 1,
        "bytes": 4,
        "arrived": [["cat/a.jpg", 4, hashlib.sha256(b"meow").hexdigest()]],
    }


def test_hostile_names_stay_below_the_upload(client: TestClient, upload: intake.Upload) -> None:
    names = ["../../evil.jpg", "/etc/evil.jpg", "C:\\evil.jpg", "a\x00b.jpg", "..\\..\\evil2.jpg", "\ud800.jpg"]
    answer = send(client, upload, body(*((name, name.encode("utf-8", "replace")) for name in names)))
    assert [entry["state"] for entry in answer.json()["files"]] == ["received"] * len(names)
    home = upload.workspace.root
    everywhere = {path for path in home.parent.rglob("*") if path.is_file() and path.stat().st_size < 100}
    assert len([path for path in everywhere if upload.photos in path.parents]) == len(names)
    assert not [path for path in everywhere if "evil" in path.name and upload.photos not in path.parents]


def test_a_file_over_the_quota_is_refused_by_name_and_the_rest_goes_on(
    client: TestClient, upload: intake.Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAFT_MAX_FILE_GB", "0.000001")  # 1,000 bytes
    answer = send(client, upload, body(("a.jpg", b"1"), ("big.jpg", bytes(1001)), ("c.jpg", b"3"))).json()
    assert [entry["state"] for entry in answer["files"]] == ["received", "refused", "received"]
    assert "big.jpg" in answer["files"][1]["text"]
    assert answer["full"] is False
    assert on_disk(upload) == {"a.jpg": b"1", "c.jpg": b"3"}


def test_a_full_upload_says_that_nothing_more_fits(
    client: TestClient, upload: intake.Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAFT_MAX_UPLOAD_FILES", "1")
    answer = send(client, upload, body(("a.jpg", b"1"), ("b.jpg", b"2"))).json()
    assert answer["full"] is True
    assert answer["files"][1]["reason"] == "too_many"


def test_a_large_file_comes_in_pieces_and_a_wrong_place_is_answered_with_the_right_one(
    client: TestClient, upload: intake.Upload
) -> None:
    zipped = bytes(range(256)) * 10

    def piece(offset: int, length: int) -> dict[str, Any]:
        part = zipped[offset : offset + length]
        content = body(("all.zip", part), offset=offset, total=len(zipped), resume="ab" * 16)
        return send(client, upload, content).json()["files"][0]

    assert piece(0, 1000) == {"state": "partial", "have": 1000}
    assert piece(500, 1000) == {"state": "partial", "have": 1000}
    assert piece(1000, 1000) == {"state": "partial", "have": 2000}
    assert piece(2000, 1000)["state"] == "received"
    assert on_disk(upload) == {"all.zip": zipped}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0\0",
        b"\0\0\0\x02[]extra",
        b"\xff\xff\xff\xff" + bytes(100),
        b"\0\0\0\x02{}",
        b"\0\0\0\x03xyz",
        body(("a.jpg", b"1"))[:-1],
        body(("a.jpg", b"1")) + b"x",
        body(("a.jpg", b"1"), size=-1),
        body(("a.jpg", b"1"), size="1"),
        body(("a.jpg", b"1"), size=True),
        body(("a.jpg", b"1"), size=1.5),
        body(("a.jpg", b"1"), total=5),
        body(("a.jpg", b"1"), offset=5, total=5, resume="ab" * 16),
        body(("a.jpg", b"1"), resume="../../evil"),
        body(("a.jpg", b"1"), resume=7),
        body(("a" * 9000, b"1")),
        b"\0\0\0\x0d[{\"size\": 12}]",
    ],
)  # fmt: skip
def test_a_body_that_our_page_would_not_send_is_refused_and_leaves_nothing(
    client: TestClient, upload: intake.Upload, content: bytes
) -> None:
    answer = send(client, upload, content)
    assert answer.status_code == 400
    assert "a.jpg" not in {name for name, data in on_disk(upload).items() if data != b"1"}
    assert list(upload.parts.iterdir()) == []


def test_a_limit_that_is_no_number_ends_the_start_and_not_an_upload(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAFT_MAX_FILE_GB", "plenty")
    with pytest.raises(ConfigError, match="GRAFT_MAX_FILE_GB"):
        routes()


# Who may


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("token", [None, "", "0" * 64, "é"])
def test_without_the_right_token_nothing_is_told_or_taken(
    client: TestClient, upload: intake.Upload, method: str, token: str | None
) -> None:
    headers = {} if token is None else {guard.TOKEN_HEADER.encode(): token.encode()}
    content = body(("a.jpg", b"1")) if method == "POST" else None
    answer = client.request(method, upload_address(upload), content=content, headers=headers)
    assert answer.status_code == 403
    assert "error" in answer.json()
    assert on_disk(upload) == {}


def test_the_token_of_one_upload_opens_no_other(client: TestClient, workspace: Workspace) -> None:
    mine, other = (intake.begin(workspace, purpose="dataset") for _ in range(2))
    headers = {guard.TOKEN_HEADER: upload_token(mine)}
    assert client.post(upload_address(other), content=body(("a.jpg", b"1")), headers=headers).status_code == 403
    assert on_disk(other) == {}


def test_an_upload_that_is_gone_is_named(client: TestClient, upload: intake.Upload) -> None:
    intake.discard(upload)
    answer = send(client, upload, body(("a.jpg", b"1")))
    assert answer.status_code == 404
    assert upload.id in answer.json()["error"]


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:3000"},  # another program on this computer
        {"origin": "http://127.0.0.1"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": OURS, "sec-fetch-site": "cross-site"},
    ],
)
def test_another_site_may_change_nothing_even_with_the_token(
    client: TestClient, upload: intake.Upload, headers: dict[str, str]
) -> None:
    answer = send(client, upload, body(("a.jpg", b"1")), **headers)
    assert answer.status_code == 403
    assert on_disk(upload) == {}
    for method in ("POST", "PUT", "DELETE"):
        assert client.request(method, "/hello", headers=headers).status_code == 403
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/socket", headers=headers):
        pass


def test_our_own_page_may(client: TestClient, upload: intake.Upload) -> None:
    ours = {"origin": OURS, "sec-fetch-site": "same-origin"}
    assert send(client, upload, body(("a.jpg", b"1")), **ours).status_code == 200
    with client.websocket_connect("/socket", headers={"host": "127.0.0.1:8501", **ours}) as opened:
        assert opened.receive_text() == "hello"


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8501", "127.0.0.1.evil.example", "", "localhost@x", "10.0.0.5"]
)
def test_on_loopback_a_strange_host_name_is_not_answered(client: TestClient, host: str) -> None:
    answer = client.get("/hello", headers={"host": host})
    assert answer.status_code == 403
    assert "hello" not in answer.text
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/socket", headers={"host": host}):
        pass


@pytest.mark.parametrize("host", ["localhost", "localhost:8501", "127.0.0.1:1", "[::1]:8501", "LOCALHOST:8501"])
def test_on_loopback_every_name_of_this_computer_is_answered(client: TestClient, host: str) -> None:
    assert client.get("/hello", headers={"host": host}).text == "GET hello"


@pytest.mark.parametrize("address", ["0.0.0.0", "192.168.0.5", ""])  # noqa: S104
def test_off_loopback_the_operators_own_names_are_answered(workspace: Workspace, address: str) -> None:
    with TestClient(make_app(address), base_url="http://graft.school") as client:
        assert client.get("/hello").status_code == 200
        assert client.post("/hello", headers={"origin": "http://evil.example"}).status_code == 403


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("localhost:8501", "localhost"),
        ("[::1]:80", "[::1]"),
        ("::1", "[::1]"),
        ("a:b", ""),
        ("localhost:", ""),
        ("localhost.", "localhost"),
    ],
)
def test_a_host_header_is_read_as_a_browser_writes_it(given: str, name: str) -> None:
    assert host_name(given) == name


def test_a_request_with_neither_header_is_no_browsers() -> None:
    assert same_site(None, None, "127.0.0.1:8501")
    assert not same_site("http://127.0.0.1:8501.evil.example", None, "127.0.0.1:8501")


# Headers


@pytest.mark.parametrize("path", ["/hello", "/graft/health", "/nowhere", "/assets/plotly.min.js"])
def test_every_answer_carries_the_security_headers(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "same-origin"
    assert "camera=(self)" in headers["permissions-policy"]
    policy = dict(rule.split(" ", 1) for rule in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert "unsafe" not in policy["script-src"]
    assert "http" not in headers["content-security-policy"]
    assert "*" not in headers["content-security-policy"]


def test_a_refusal_carries_them_too(client: TestClient) -> None:
    assert client.post("/hello", headers={"origin": "http://evil.example"}).headers["x-frame-options"] == "DENY"


def test_the_one_inline_script_that_may_run_is_streamlits_own() -> None:
    script = "\n      window.prerenderReady = false\n    "
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert guard.inline_script_hashes() == (f"'sha256-{digest}'",)


# Assets and health


def test_plotly_is_served_from_here_and_kept_by_the_browser(client: TestClient) -> None:
    answer = client.get(plotly_address())
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/javascript")
    assert "immutable" in answer.headers["cache-control"]
    assert "plotly.js v" in answer.text[:200]
    assert "immutable" not in client.get("/assets/plotly.min.js").headers["cache-control"]


def test_assets_are_served_and_nothing_above_them(client: TestClient) -> None:
    logo = client.get("/assets/logo.svg")
    assert logo.status_code == 200
    assert logo.headers["content-type"].startswith("image/svg+xml")
    assert "max-age" in logo.headers["cache-control"]
    for path in ("/assets/../app.py", "/assets/%2e%2e/app.py", "/assets/..%2fapp.py", "/assets//etc/passwd"):
        assert client.get(path).status_code == 404


def test_health_says_so_and_which_version_this_is(client: TestClient) -> None:
    assert client.get("/graft/health").json() == {"status": "ok", "version": "0.1.0"}


# The secret


def test_the_secret_is_made_once_and_is_ours_alone(tmp_path: Path) -> None:
    root = tmp_path / "workspace"
    secrets: list[bytes] = []
    threads = [threading.Thread(target=lambda: secrets.append(read_or_make_secret(root))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(secrets) == 16
    assert len(set(secrets)) == 1
    assert len(secrets[0]) == 32
    assert stat.S_IMODE((root / "secret").stat().st_mode) == 0o600
    assert [path.name for path in root.iterdir()] == ["secret"]


def test_a_token_fits_its_subject_and_secret_only() -> None:
    token = token_for(b"secret", "upload", "me", "1")
    assert token_fits(b"secret", token, "upload", "me", "1")
    assert not token_fits(b"secret", token, "upload", "you", "1")
    assert not token_fits(b"other", token, "upload", "me", "1")
    assert token_for(b"secret", "ab", "c") != token_for(b"secret", "a", "bc")


# A real server: what the test client can't do


@pytest.fixture
def port(workspace: Workspace) -> Iterator[int]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(make_app(), log_level="critical", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield listening.getsockname()[1]
        server.should_exit = True
        thread.join()


def request_head(upload: intake.Upload, port: int, length: int) -> bytes:
    return (
        f"POST {upload_address(upload)} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {length}\r\n"
        f"{guard.TOKEN_HEADER}: {upload_token(upload)}\r\n\r\n"
    ).encode()


def test_an_interrupted_request_leaves_whole_files_only(upload: intake.Upload, port: int) -> None:
    content = body(("cat/a.jpg", bytes(400_000)), ("cat/b.jpg", bytes(400_000)))
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(request_head(upload, port, len(content)) + content[:-100_000])
        waited_for(lambda: len(list(upload.parts.iterdir())) == 1 and len(on_disk(upload)) == 1)
    waited_for(lambda: list(upload.parts.iterdir()) == [])
    assert {name: len(data) for name, data in on_disk(upload).items()} == {"cat/a.jpg": 400_000}


def test_an_interrupted_piece_is_kept_up_to_the_break(upload: intake.Upload, port: int) -> None:
    content = body(("all.zip", bytes(1_000_000)), offset=0, total=5_000_000, resume="ab" * 16)
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(request_head(upload, port, len(content)) + content[:-300_000])
        waited_for(lambda: sum(path.stat().st_size for path in upload.parts.iterdir()) > 0)
    part = upload.parts / f"{'ab' * 16}.part"
    waited_for(lambda: "ab" * 16 not in intake.journal_of(upload.folder).open_parts)
    arrival = intake.Arrival(upload, "all.zip", quota=intake.Quota(free_bytes=0), size=5_000_000, resume="ab" * 16)
    assert 0 < arrival.have == part.stat().st_size <= 700_000
    arrival.close()


def test_the_event_loop_answers_while_a_slow_disk_writes(
    upload: intake.Upload, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_slowly(self: intake.Arrival, data: bytes) -> None:
        time.sleep(0.5)
        self.have += len(data)

    monkeypatch.setattr(intake.Arrival, "write", write_slowly)
    content = body(("cat/a.jpg", bytes(200_000)))
    with socket.create_connection(("127.0.0.1", port)) as slow:
        slow.sendall(request_head(upload, port, len(content)) + content)
        time.sleep(0.1)
        began = time.perf_counter()
        with socket.create_connection(("127.0.0.1", port)) as quick:
            quick.sendall(f"GET /graft/health HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode())
            assert b"200 OK" in quick.recv(4096)
        assert time.perf_counter() - began < 0.3


def waited_for(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it didn't come to pass"
        time.sleep(0.01)


def test_a_disconnect_in_the_middle_is_no_error_of_the_servers(workspace: Workspace, upload: intake.Upload) -> None:
    content = body(("cat/a.jpg", bytes(1000)))
    messages = iter([{"type": "http.request", "body": content[:500], "more_body": True}, {"type": "http.disconnect"}])
    sent: list[Any] = []

    async def receive() -> Any:
        return next(messages)

    async def take(message: Any) -> None:
        sent.append(message)

    headers = [(b"host", b"127.0.0.1:8501"), (guard.TOKEN_HEADER.lower().encode(), upload_token(upload).encode())]
    scope = {
        "type": "http", "method": "POST", "path": upload_address(upload), "raw_path": b"", "query_string": b"",
        "headers": headers, "root_path": "", "scheme": "http", "http_version": "1.1", "server": ("127.0.0.1", 8501),
    }  # fmt: skip
    with contextlib.suppress(StopIteration):
        anyio.run(make_app(), scope, receive, take)
    assert on_disk(upload) == {}
    assert list(upload.parts.iterdir()) == []


# The configuration


def test_every_setting_of_ours_is_one_that_streamlit_still_knows() -> None:
    code = (
        "import tomllib, streamlit as st\n"
        "from pathlib import Path\n"
        "told = tomllib.loads(Path('.streamlit/config.toml').read_text('utf-8'))\n"
        "for section in ('server', 'browser', 'client', 'runner'):\n"
        "    for name, value in told[section].items():\n"
        "        assert st.get_option(f'{section}.{name}') == value, (section, name)\n"
        "print(st.get_option('runner.postScriptGC'), st.get_option('server.address'))\n"
        "print(st.get_option('browser.gatherUsageStats'))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parent.parent.parent
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["False", "127.0.0.1", "False"]


def test_the_server_loads_no_torch() -> None:
    code = "import sys, app; print([name for name in ('torch', 'timm', 'sklearn') if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parent.parent.parent
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_the_first_page_is_found_under_its_name_as_well(client: TestClient) -> None:
    answer = client.get("/start?run=20261121-051543-d0bbc0de", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (307, "/?run=20261121-051543-d0bbc0de")
