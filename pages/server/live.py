"""What a camera sees, answered several times a second: one small JPEG in, the likeliest classes out, nothing kept."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from anyio import CapacityLimiter, Lock, move_on_after, to_thread
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from core.data.image import UnusablePhoto
from core.errors import CoreError
from core.runs import RunDirectory, open_run
from core.words import say
from core.workspace import Workspace, default_root
from pages.server.guard import TOKEN_HEADER, secret_of, token_fits, token_for
from pages.server.models import MODELS

if TYPE_CHECKING:  # it brings torch along
    from core.inference.predictor import Prediction

TOP = 5  # classes that an answer names
MOST_BYTES = 400_000  # of a frame: the largest network looks at 480 × 480 pixels, which take 150,000 at most
JPEG_BEGIN = b"\xff\xd8\xff"
MOST_WAITING = 4  # frames for one model, before the next is turned away
WAIT_SECONDS = 1.0


class Turns:
    """One computation at a time for each model, in the order of asking; a few may wait a moment."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[Path, Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def turn(self, path: Path):
        """Yields whether it is one's turn; it isn't where too many wait, or the wait grew too long."""
        lock = self._locks.setdefault(path, Lock())
        got = False
        if lock.statistics().tasks_waiting < MOST_WAITING:
            with move_on_after(WAIT_SECONDS):
                await lock.acquire()
                got = True
        try:
            yield got
        finally:
            if got:
                lock.release()


def live_routes(prefix: str, owner_of: Callable[[Request], str]) -> list[BaseRoute]:
    """``POST live/<run>`` below ``prefix``, with the page's token in a header."""
    turns, at_work = Turns(), CapacityLimiter(2)  # threads: more would only take time from each other

    async def live(request: Request) -> Response:
        found = await to_thread.run_sync(_open, request, owner_of(request))
        if isinstance(found, Response):
            return found
        frame = await _body(request)
        if isinstance(frame, Response):
            return frame
        async with turns.turn(found.path) as mine:
            if not mine:
                return _refusal("live.busy", 429)
            return await to_thread.run_sync(_look, found, frame, limiter=at_work)

    return [Route(f"{prefix}/live/{{run_id}}", live, methods=["POST"])]


def live_address(prefix: str, run: RunDirectory) -> str:
    """Where frames for this run's model are sent to."""
    return f"{prefix}/live/{run.id}"


def live_token(workspace: Workspace, run: RunDirectory) -> str:
    """What a page must show to have frames looked at by this run's model."""
    return token_for(secret_of(workspace.root), "live", workspace.owner, run.id)


def _open(request: Request, owner: str) -> RunDirectory | Response:
    """The run that is asked, if our own page asks."""
    workspace = Workspace(default_root(), owner)
    identifier = request.path_params["run_id"]
    given = request.headers.get(TOKEN_HEADER)
    if not token_fits(secret_of(workspace.root), given, "live", workspace.owner, identifier):
        return _refusal("live.token", 403)
    try:
        return open_run(workspace.runs, identifier)
    except CoreError as error:
        return _told(error, 404)


async def _body(request: Request) -> bytes | Response:
    """The frame, refused as soon as it is too long to be one."""
    data = bytearray()
    try:
        async for chunk in request.stream():
            data += chunk
            if len(data) > MOST_BYTES:
                return _refusal("live.too_large", 413)
    except ClientDisconnect:
        return Response(status_code=400)
    return bytes(data) if data.startswith(JPEG_BEGIN) else _refusal("live.no_frame", 400)


def _look(run: RunDirectory, frame: bytes) -> Response:
    try:
        predictor = MODELS.get(run)
        began = time.perf_counter()
        answer = next(iter(predictor.predict([frame])))
    except CoreError as error:
        return _told(error, 404)
    if isinstance(answer, UnusablePhoto):
        return _told(answer, 400)
    return JSONResponse(_to_json(answer, time.perf_counter() - began), headers={"Cache-Control": "no-store"})


def _to_json(answer: Prediction, seconds: float) -> dict[str, object]:
    top = [{"label": label, "confidence": round(chance, 4)} for label, chance in answer.top[:TOP]]
    return {"top": top, "unknown": answer.unknown, "seconds": round(seconds, 4)}


def _told(error: CoreError, status: int) -> Response:
    return JSONResponse({"error": error.message, "hint": error.hint}, status_code=status)


def _refusal(key: str, status: int) -> Response:
    return JSONResponse({"error": say(key)}, status_code=status)
