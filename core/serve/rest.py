"""The service: a trained model answers over HTTP. ``service`` makes the app; ``core.serve.command`` runs it."""

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

import anyio
from fastapi import FastAPI, Request, Security
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import HTMLResponse, JSONResponse, Response
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException

import core
from core.data.image import UnusablePhoto
from core.inference.answers_file import PhotoAnswer
from core.inference.predictor import Prediction, Predictor
from core.serve import answers as told
from core.serve.documents import MODEL_EXAMPLE, answered, faults, predict_body, predicted, try_page
from core.serve.guard import HEADERS, Access, Guard, WithHeaders
from core.serve.limits import Limits
from core.serve.receiving import Photo, photos_of
from core.serve.refusal import Refusal, refused
from core.words import say

RETRY_SECONDS = 2


def service(
    predictor: Predictor, about: dict[str, Any], limits: Limits | None = None, access: Access | None = None
) -> FastAPI:
    """The app that answers with ``predictor``. ``about`` is what GET /model says of it (``core.serve.about``)."""
    limits, access = limits or Limits(), access or Access()
    app = FastAPI(
        title=say("serve.title"),
        summary=say("serve.summary"),
        version=core.__version__,
        docs_url=None,  # these pages are fetched from other hosts
        redoc_url=None,
    )
    _add_routes(app, _Desk(predictor, limits), {**about, "limits": asdict(limits)}, access)
    _add_refusals(app)
    # The last one added is the outermost: headers, then what other pages may read, then who may ask.
    app.add_middleware(Guard, access=access)
    if access.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=access.origins,
            allow_methods=("GET", "POST"),
            allow_headers=("Authorization", "Content-Type"),
        )
    app.add_middleware(WithHeaders)
    return app


def _add_routes(app: FastAPI, desk: "_Desk", about: dict[str, Any], access: Access) -> None:
    locked = [Security(HTTPBearer(auto_error=False))] if access.token else []
    known = (401, 403) if access.token else (403,)

    text, policy = try_page()

    async def page() -> Response:
        return HTMLResponse(text, headers={"Content-Security-Policy": policy})

    async def health() -> Response:
        return JSONResponse({"status": "ok"})

    async def model() -> Response:
        return JSONResponse(about)

    async def predict(request: Request) -> Response:
        return JSONResponse({"answers": await desk.answers(request)})

    app.get("/", include_in_schema=False)(page)
    app.get("/health", summary=say("serve.health"), response_model=told.Health, responses=faults(403))(health)
    app.get(
        "/model", summary=say("serve.model"), response_model=told.ModelTold,
        responses={**answered(MODEL_EXAMPLE), **faults(*known)}, dependencies=locked,
    )(model)  # fmt: skip
    app.post(
        "/predict", summary=say("serve.predict"), response_model=told.Told, openapi_extra=predict_body(desk.limits),
        responses={**predicted(), **faults(400, *known, 408, 413, 415, 500, 503)}, dependencies=locked,
    )(predict)  # fmt: skip


def _add_refusals(app: FastAPI) -> None:
    async def refuse(request: Request, refusal: Exception) -> Response:
        assert isinstance(refusal, Refusal)  # noqa: S101  what it is registered for
        return refused(refusal)

    async def of_the_framework(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101
        key = {404: "no_page", 405: "method"}.get(error.status_code, "request")
        return refused(Refusal(error.status_code, key, headers=error.headers, path=request.url.path[:200]))

    async def ours(request: Request, error: Exception) -> Response:
        return refused(Refusal(500, "ours", headers=HEADERS))  # it is raised on, and the server logs it

    app.exception_handler(Refusal)(refuse)
    app.exception_handler(HTTPException)(of_the_framework)
    app.exception_handler(Exception)(ours)


class _Desk:
    """Lets a bounded number of requests in, and computes a few at a time beside the event loop."""

    def __init__(self, predictor: Predictor, limits: Limits) -> None:
        self.predictor, self.limits = predictor, limits
        self._inside = 0
        self._at_once = anyio.CapacityLimiter(limits.at_once)

    async def answers(self, request: Request) -> list[dict[str, Any]]:
        async with self._admitted(), photos_of(request, self.limits) as photos:
            deadline = time.monotonic() + self.limits.answer_seconds
            try:
                with anyio.fail_after(self.limits.answer_seconds):
                    return await anyio.to_thread.run_sync(self._look, photos, deadline, limiter=self._at_once)
            except TimeoutError:
                raise self._too_slow() from None

    @asynccontextmanager
    async def _admitted(self) -> AsyncGenerator[None]:
        if self._inside >= self.limits.requests:
            raise Refusal(503, "full", headers={"Retry-After": str(RETRY_SECONDS)}, n=self.limits.requests)
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1

    def _look(self, photos: list[Photo], deadline: float) -> list[dict[str, Any]]:
        """In a thread, which nobody can end from outside: it looks at the clock after each photo."""
        found: list[dict[str, Any]] = []
        for photo, prediction in zip(
            photos, self.predictor.predict(photo.file.read() for photo in photos), strict=True
        ):
            if time.monotonic() > deadline:
                raise self._too_slow()
            found.append(_answer(photo.name, prediction).to_json())
        return found

    def _too_slow(self) -> Refusal:
        headers = {"Retry-After": str(RETRY_SECONDS)}
        return Refusal(503, "too_slow", headers=headers, seconds=f"{self.limits.answer_seconds:g}")


def _answer(name: str, prediction: Prediction | UnusablePhoto) -> PhotoAnswer:
    if isinstance(prediction, UnusablePhoto):
        return PhotoAnswer(name, error=prediction.message)
    return PhotoAnswer.of(name, prediction)
