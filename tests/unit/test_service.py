"""The service: what it answers is what the predictor says, its document is true, and what is too much is refused."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from core.errors import ConfigError
from core.inference.answers_file import PhotoAnswer
from core.inference.predictor import Predictor
from core.runs.store import RunDirectory
from core.serve.about import about
from core.serve.guard import HEADERS, Access, hash_source, host_name
from core.serve.limits import Limits
from core.serve.rest import service
from tests import hostile
from tests.served import CLASSES, colour_predictor

LOCAL = {"host": "127.0.0.1:8000"}
TOKEN = "a-token-of-some-length"


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return colour_predictor()


@pytest.fixture(scope="module")
def told(predictor, tmp_path_factory) -> dict[str, Any]:
    return about(RunDirectory(tmp_path_factory.mktemp("a run without scores")), predictor)


@pytest.fixture
def open_service(told) -> Iterator[Callable[..., TestClient]]:
    """``open_service(predictor, limits=…, access=…)``: a client in the same process, without a port."""
    clients: list[TestClient] = []

    def open_one(predictor: Any, **settings: Any) -> TestClient:
        app = service(predictor, told, **settings)
        client = TestClient(app, base_url="http://127.0.0.1:8000", raise_server_exceptions=False)
        clients.append(client.__enter__())
        return clients[-1]

    yield open_one
    for client in clients:
        client.__exit__(None, None, None)


@pytest.fixture
def client(open_service, predictor) -> TestClient:
    return open_service(predictor)


def form(*photos: tuple[str, bytes]) -> list[tuple[str, tuple[str, bytes]]]:
    return [("photos", photo) for photo in photos]


def fault(answer: Any) -> str:
    assert set(answer.json()) == {"error", "hint"}
    assert answer.headers["content-type"] == "application/json"
    return answer.json()["error"]


def expected(predictor: Predictor, photos: list[tuple[str, bytes]]) -> list[dict[str, Any]]:
    predictions = predictor.predict([content for _, content in photos])
    return [
        PhotoAnswer.of(name, answer).to_json()
        if hasattr(answer, "top")
        else PhotoAnswer(name, error=answer.message).to_json()
        for (name, _), answer in zip(photos, predictions, strict=True)
    ]


def test_several_photos_get_what_the_predictor_says_of_them_in_order(client, predictor):
    photos = [(f"{seed}.jpg", hostile.jpeg(seed, 90 + 40 * seed, 120)) for seed in range(5)]
    answer = client.post("/predict", files=form(*photos))
    assert answer.status_code == 200
    assert answer.json() == {"answers": expected(predictor, photos)}
    assert [row["path"] for row in answer.json()["answers"]] == [f"{seed}.jpg" for seed in range(5)]


def test_one_photo_may_be_the_body_itself(client, predictor):
    photo = hostile.jpeg(7)
    for kind in ("image/jpeg", "image/anything; charset=x", "application/octet-stream"):
        answer = client.post("/predict", content=photo, headers={"content-type": kind})
        assert answer.json() == {"answers": expected(predictor, [("photo", photo)])}


def test_a_photo_unlike_all_others_is_unknown(open_service):
    photo = hostile.jpeg(1)
    known, unknown = (open_service(colour_predictor(limit=limit)) for limit in (2.0, -1.0))
    assert known.post("/predict", files=form(("a", photo))).json()["answers"][0]["unknown"] is False
    assert unknown.post("/predict", files=form(("a", photo))).json()["answers"][0]["unknown"] is True


def test_odd_photos_are_answered_and_broken_ones_say_why_beside_them(client, predictor):
    photos = [(name, make()) for name, make in hostile.ODD.items()]
    photos += [(name, make()) for name, (_, make) in hostile.UNUSABLE.items()]
    answer = client.post("/predict", files=form(*photos))
    assert answer.status_code == 200
    rows = answer.json()["answers"]
    assert rows == expected(predictor, photos)
    broken = [row["path"] for row in rows if "error" in row]
    assert set(broken) == set(hostile.UNUSABLE)
    heic = next(row for row in rows if row["path"] == "iphone.jpg")
    assert "HEIC" in heic["error"]
    assert heic["label"] is None
    assert heic["top"] == []


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "..\\..\\y.jpg",
        "<img src=x onerror=alert(1)>.png",
        "=cmd|' /C calc'!A0",
        "a\u202egpj.exe",
    ],
)
def test_a_hostile_file_name_comes_back_as_it_was_sent_and_names_no_file(client, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answer = client.post("/predict", files=form((name, hostile.jpeg())))
    assert answer.json()["answers"][0]["path"] == name
    assert list(tmp_path.rglob("*")) == []


def test_no_photo_is_a_fault_of_the_request(client):
    assert client.post("/predict", content=b"", headers={"content-type": "image/png"}).status_code == 400
    assert client.post("/predict", files=[("photos", ("", b""))]).status_code == 400
    answer = client.post("/predict", data={"photos": "just a text"}, files=[("x", ("", b""))])
    assert answer.status_code == 400
    assert "no photo" in fault(answer)


def test_bodies_of_other_kinds_are_refused(client):
    for kind in ("application/json", "text/html", "multipart/mixed; boundary=x"):
        assert client.post("/predict", content=b"{}", headers={"content-type": kind}).status_code == 415
    assert client.post("/predict", content=b"x").status_code == 415


@pytest.mark.parametrize(
    "body", [b"", b"--x\r\n", b"no boundary at all", b"--x\r\nContent-Disposition: form-data\r\n\r\n1\r\n--x--"]
)
def test_a_broken_form_is_a_fault_of_the_request(client, body):
    answer = client.post("/predict", content=body, headers={"content-type": "multipart/form-data; boundary=x"})
    assert answer.status_code == 400
    fault(answer)


def test_too_many_photos_are_refused(open_service, predictor):
    client = open_service(predictor, limits=Limits(photos=3))
    photos = [(f"{n}.jpg", hostile.jpeg(n)) for n in range(4)]
    assert client.post("/predict", files=form(*photos[:3])).status_code == 200
    answer = client.post("/predict", files=form(*photos))
    assert (answer.status_code, fault(answer)) == (413, "There are more than 3 photos in the request.")


def test_a_photo_with_too_many_bytes_is_refused_by_name(open_service, predictor):
    client = open_service(predictor, limits=Limits(photo_bytes=5000))
    large = hostile.encoded(hostile.picture(300, 300), "PNG")
    assert len(large) > 5000
    answer = client.post("/predict", files=form(("small.jpg", hostile.jpeg()), ("large.png", large)))
    assert answer.status_code == 413
    assert "large.png" in fault(answer)
    assert "0.005 MB" in fault(answer)
    raw = client.post("/predict", content=large, headers={"content-type": "image/png"})
    assert raw.status_code == 413


def test_a_photo_with_too_many_pixels_is_answered_with_the_reason(client):
    answer = client.post("/predict", files=form(("giant.png", hostile.flat_png(20_000, 20_000))))
    assert answer.status_code == 200
    assert "400 megapixels" in answer.json()["answers"][0]["error"]


def asked(app: FastAPI, messages: Iterable[Any], headers: dict[str, str]) -> tuple[int, dict[str, Any], int]:
    """Status, answer and how many messages were read, of a request whose body comes as ``messages``.

    A number among them is a pause in seconds.
    """
    sent: list[dict[str, Any]] = []
    read = 0

    async def ask() -> None:
        nonlocal read
        waiting = iter(messages)

        async def receive() -> dict[str, Any]:
            nonlocal read
            message = next(waiting)
            if isinstance(message, float):
                await asyncio.sleep(message)
                message = next(waiting)
            read += 1
            return {"type": "http.request", "body": message, "more_body": True}

        async def send(message: Any) -> None:
            sent.append(message)

        lines = [(name.encode(), value.encode()) for name, value in {**LOCAL, **headers}.items()]
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
            "path": "/predict", "raw_path": b"/predict", "query_string": b"", "root_path": "", "headers": lines,
            "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8000),
        }  # fmt: skip
        await app(scope, receive, send)

    asyncio.run(ask())
    return sent[0]["status"], json.loads(b"".join(row.get("body", b"") for row in sent)), read


def endless(block: bytes) -> Iterator[bytes]:
    while True:
        yield block


FORM_HEAD = b'--x\r\nContent-Disposition: form-data; name="photos"; filename="a.jpg"\r\n\r\n'


@pytest.mark.parametrize(
    ("kind", "head"), [("image/jpeg", b""), ("multipart/form-data; boundary=x", FORM_HEAD)], ids=["raw", "form"]
)
def test_an_endless_body_is_refused_while_it_comes_whatever_length_it_claims(predictor, told, kind, head):
    app = service(predictor, told, Limits(body_bytes=1_000_000, photo_bytes=2_000_000))

    def body() -> Iterator[bytes]:
        yield head
        yield from endless(b"y" * 50_000)

    for length in ({}, {"content-length": "1000"}, {"content-length": "-5"}, {"content-length": "²"}):
        status, answer, read = asked(app, body(), {"content-type": kind, **length})
        assert (status, answer["error"]) == (413, "The request is larger than 1 MB.")
        assert read <= 22


def test_a_body_that_announces_too_much_is_refused_unread(predictor, told):
    app = service(predictor, told, Limits(body_bytes=1_000_000))
    headers = {"content-type": "image/jpeg", "content-length": "9" * 30}
    assert asked(app, endless(b"y"), headers)[::2] == (413, 0)


def test_photos_that_trickle_in_are_refused_after_a_while(predictor, told):
    app = service(predictor, told, Limits(upload_seconds=0.05))
    status, answer, _ = asked(app, [b"\xff\xd8", 30.0, b"more"], {"content-type": "image/jpeg"})
    assert (status, answer["error"]) == (408, "The photos didn't arrive within 0.05 seconds.")


class Slow:
    """A predictor that waits at a gate before it answers."""

    def __init__(self, real: Predictor) -> None:
        self.real, self.gate, self.asked = real, threading.Event(), threading.Semaphore(0)
        self.card = real.card

    def predict(self, sources: Iterable[bytes]) -> Iterator[Any]:
        self.asked.release()
        assert self.gate.wait(20)
        yield from self.real.predict(sources)


def test_more_requests_than_the_bound_are_told_to_come_again_while_the_rest_is_answered(open_service, predictor):
    slow = Slow(predictor)
    client = open_service(slow, limits=Limits(requests=3, at_once=2))
    photo = hostile.jpeg(3)

    def ask(_: int) -> Any:
        return client.post("/predict", files=form(("a.jpg", photo)))

    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(ask, n) for n in range(3)]
        for _ in range(2):
            assert slow.asked.acquire(timeout=20)
        assert not slow.asked.acquire(timeout=0.1), "a third one is computed at the same time"
        # The third may still be on its way in; health is answered meanwhile, so the loop isn't blocked.
        until = time.monotonic() + 20
        while (refused := ask(3)).status_code != 503 and time.monotonic() < until:
            pytest.fail("a fourth request was let in")
        assert client.get("/health").json() == {"status": "ok"}
        assert int(refused.headers["retry-after"]) > 0
        assert "3 requests" in fault(refused)
        slow.gate.set()
        answers = [request.result() for request in waiting]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert all(answer.json() == {"answers": expected(predictor, [("a.jpg", photo)])} for answer in answers)
    assert ask(0).status_code == 200, "places are given back"


def test_requests_at_the_same_time_get_their_own_answers(open_service, predictor):
    client = open_service(predictor)
    photos = [(f"{seed}.jpg", hostile.jpeg(seed)) for seed in range(12)]

    def ask(photo: tuple[str, bytes]) -> Any:
        return client.post("/predict", files=form(photo)).json()["answers"]

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ask, photos)) == [expected(predictor, [photo]) for photo in photos]


def test_photos_that_take_too_long_are_given_up(open_service, predictor):
    slow = Slow(predictor)
    threading.Timer(0.3, slow.gate.set).start()
    answer = open_service(slow, limits=Limits(answer_seconds=0.05)).post("/predict", files=form(("a", hostile.jpeg())))
    assert answer.status_code == 503
    assert "within 0.05 seconds" in fault(answer)
    assert int(answer.headers["retry-after"]) > 0


class Broken:
    def predict(self, sources: Iterable[bytes]) -> Iterator[Any]:
        raise RuntimeError("secret detail")


def test_a_mistake_of_ours_is_told_without_its_details(open_service):
    answer = open_service(Broken()).post("/predict", files=form(("a", hostile.jpeg())))
    assert answer.status_code == 500
    assert "Graft" in fault(answer)
    assert "secret" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "10.0.0.7", "127.0.0.1@evil.example", ""])
def test_on_loopback_only_loopback_names_are_answered_to(client, host):
    answer = client.get("/model", headers={"host": host})
    assert answer.status_code == 403
    assert client.get("/model", headers={"host": "LOCALHOST:1234"}).status_code == 200
    assert client.get("/model", headers={"host": "[::1]:1234"}).status_code == 200


def test_on_a_network_addresses_and_known_names_are_answered_to(open_service, predictor):
    client = open_service(predictor, access=Access("192.0.2.1", names=("photos.example",)))
    for host, status in {
        "10.0.0.7:80": 200, "[fe80::1]": 200, "photos.example": 200, "localhost": 200, "evil.example": 403,
    }.items():  # fmt: skip
        assert client.get("/model", headers={"host": host}).status_code == status, host


def test_pages_of_other_sites_are_refused_unless_they_are_named(open_service, predictor, client):
    other = {"origin": "https://a.example"}
    assert client.get("/model", headers=other).status_code == 403
    assert client.post("/predict", files=form(("a", hostile.jpeg())), headers=other).status_code == 403
    assert client.get("/model", headers={"origin": "http://127.0.0.1:8000"}).status_code == 200
    named = open_service(predictor, access=Access(origins=("https://a.example",), token=TOKEN))
    asking = {**other, "access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    before = named.options("/predict", headers=asking)
    assert (before.status_code, before.headers["access-control-allow-origin"]) == (200, "https://a.example")
    right = named.get("/model", headers={**other, "authorization": f"Bearer {TOKEN}"})
    assert (right.status_code, right.headers["access-control-allow-origin"]) == (200, "https://a.example")
    assert named.get("/model", headers={"origin": "https://b.example"}).status_code == 403
    assert "access-control-allow-origin" not in client.get("/model").headers


def test_with_a_token_nothing_of_the_model_is_told_without_it(open_service, predictor):
    client = open_service(predictor, access=Access(token=TOKEN))
    wrong = (
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": f"Basic {TOKEN}"},
        {"authorization": f"Bearer {TOKEN}x"},
    )
    for headers in wrong:
        answer = client.get("/model", headers=headers)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert client.post("/predict", content=b"", headers=headers).status_code == 401
    assert client.get("/model", headers={"authorization": f"bearer {TOKEN}"}).status_code == 200
    for path in ("/", "/health", "/openapi.json"):
        answer = client.get(path)
        assert answer.status_code == 200
        assert not any(json.dumps(label)[1:-1] in answer.text for label in CLASSES)


def test_model_tells_what_is_needed_to_understand_its_answers(client, predictor):
    told = client.get("/model").json()
    assert tuple(told["classes"]) == CLASSES
    assert told["preprocessing"] == predictor.card.preprocessing.to_json() | {
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
    }
    assert (told["unknown_limit"], told["temperature"], told["scores"]) == (0.6, None, None)
    assert told["limits"]["photos"] == Limits().photos


def test_scores_and_titles_come_from_a_run_or_an_unpacked_bundle(tmp_path, predictor):
    scores = {
        "accuracy": 0.9,
        "interval": [0.7, 0.97],
        "correct": 18,
        "total": 20,
        "temperature": 1.5,
        "answers": ["long"],
    }
    (tmp_path / "metrics.json").write_text(json.dumps(scores))
    told = about(RunDirectory(tmp_path), predictor)
    assert (told["title"], told["temperature"]) == (tmp_path.name, 1.5)
    assert told["scores"] == {"accuracy": 0.9, "interval": [0.7, 0.97], "correct": 18, "total": 20}
    (tmp_path / "graft.json").write_text(json.dumps({"title": "bundle"}))
    assert about(RunDirectory(tmp_path), predictor)["title"] == "bundle"
    (tmp_path / "config.json").write_text(json.dumps({"title": "run"}))
    assert about(RunDirectory(tmp_path), predictor)["title"] == "run"


def test_what_isnt_there_is_told_as_json(client):
    for answer, status in ((client.get("/docs"), 404), (client.get("/predict"), 405), (client.post("/model"), 405)):
        assert answer.status_code == status
        fault(answer)


def test_every_answer_carries_the_headers_that_protect(client):
    for answer in (client.get("/model"), client.get("/nothing"), client.get("/model", headers={"host": "x"})):
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS


def test_the_page_runs_only_its_own_script_and_asks_no_other_host(client):
    page = client.get("/")
    policy = page.headers["content-security-policy"]
    [script] = page.text.split("<script>")[1:]
    assert hash_source(script.partition("</script>")[0]) in policy
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert "http:" not in page.text
    assert "https:" not in page.text


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("localhost:80", "localhost"),
        ("[::1]:80", "::1"),
        ("A.b.", "a.b"),
        ("a:b@c", ""),
        ("[::1", ""),
        ("", ""),
        ("a b", ""),
    ],
)
def test_host_names_are_read_strictly(host, name):
    assert host_name(host) == name


def test_every_documented_answer_is_given_and_is_as_documented(open_service, predictor, told):
    """Each status of each route in the OpenAPI document is provoked, and the answer held to its schema."""
    jsonschema = pytest.importorskip("jsonschema")
    client = open_service(predictor, access=Access(token=TOKEN), limits=Limits(photos=2))
    key = {"authorization": f"Bearer {TOKEN}"}
    photo = form(("a.jpg", hostile.jpeg()), ("b.jpg", b"nothing"))
    slow = service(predictor, told, Limits(upload_seconds=0.01))
    gated = Slow(predictor)
    gated.gate.set()
    calls: list[tuple[str, str, int, Any]] = [
        ("get", path, answer.status_code, answer.json())
        for path in ("/health", "/model")
        for answer in (client.get(path, headers=key), client.get(path, headers={**key, "host": "x"}), client.get(path))
    ]
    calls += [
        ("post", "/predict", answer.status_code, answer.json())
        for answer in (
            client.post("/predict", files=photo, headers=key),
            client.post("/predict", files=form(("a", b"")), headers=key),
            client.post("/predict", files=[("a", ("", b""))], headers=key),
            client.post("/predict", files=photo),
            client.post("/predict", files=photo, headers={**key, "host": "x"}),
            client.post("/predict", files=photo * 2, headers=key),
            client.post("/predict", content=b"x", headers={**key, "content-type": "text/plain"}),
            open_service(Broken()).post("/predict", files=photo),
            open_service(gated, limits=Limits(requests=0)).post("/predict", files=photo),
        )
    ]
    calls.append(("post", "/predict", *asked(slow, [b"x", 9.0, b"y"], {"content-type": "image/png"})[:2]))
    document = client.get("/openapi.json").json()
    routes = {
        (method, path): row["responses"] for path, rows in document["paths"].items() for method, row in rows.items()
    }
    seen: dict[tuple[str, str], set[str]] = {}
    for method, path, status, answer in calls:
        [schema] = [kind["schema"] for kind in routes[method, path][str(status)]["content"].values()]
        jsonschema.Draft202012Validator({**schema, "components": document["components"]}).validate(answer)
        seen.setdefault((method, path), set()).add(str(status))
    assert seen == {route: set(responses) for route, responses in routes.items()}


def test_the_examples_of_the_document_are_as_documented(client):
    jsonschema = pytest.importorskip("jsonschema")
    document = client.get("/openapi.json").json()
    found = 0
    for rows in document["paths"].values():
        for row in rows.values():
            content = row["responses"]["200"]["content"]["application/json"]
            if "example" in content:
                found += 1
                schema = {**content["schema"], "components": document["components"]}
                jsonschema.Draft202012Validator(schema).validate(content["example"])
    assert found == 2


@pytest.mark.parametrize(
    ("token", "origins", "key"), [("short", (), "serve.bad_token"), ("with a space in it", (), "serve.bad_token"),
    ("ünïcödé-and-long", (), "serve.bad_token"), (None, ("example.org",), "serve.bad_origin"),
    (None, ("https://example.org/path",), "serve.bad_origin")],
)  # fmt: skip
def test_tokens_and_origins_that_cant_work_are_refused_before_anything_is_loaded(token, origins, key):
    from argparse import Namespace

    from core.serve.command import serve

    options = Namespace(run=Path("nowhere"), host="127.0.0.1", port=0, token=token, cors=list(origins), name=[])
    with pytest.raises(ConfigError) as error:
        next(serve(options))
    assert error.value.key == key


def test_the_manual_names_every_limit_and_option_as_they_are():
    manual = (Path(__file__).parent.parent.parent / "docs" / "rest.md").read_text("utf-8")
    limits = Limits()
    for row in (
        f"photos in a request | {limits.photos} |",
        f"bytes of a photo | {limits.photo_bytes // 1_000_000} MB |",
        f"bytes of a request, counted while they come | {limits.body_bytes // 1_000_000} MB |",
        f"seconds to send them | {limits.upload_seconds} |",
        f"seconds to be answered, waiting included | {limits.answer_seconds} |",
        f"requests at once, of which two are computed | {limits.requests} |",
    ):
        assert row in manual
    assert limits.at_once == 2
    for option in ("--port", "--host", "--token", "--cors", "--name"):
        assert f"{option} " in manual or f"`{option}`" in manual
