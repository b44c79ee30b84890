"""What this server answers besides Streamlit's pages: uploads, assets, and whether it is well."""

import importlib.util
from importlib.metadata import version
from pathlib import Path

from anyio import to_thread
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

import core
from core.config import TrainConfig
from core.data import intake
from core.data.intake import Upload
from core.data.quota import Quota
from core.errors import CoreError
from core.export.arrived import MOST_BYTES
from core.runs import reserve
from core.words import say
from core.workspace import Workspace, default_root
from pages.server.answered import answered_routes
from pages.server.batch import BadBatchError, Batch
from pages.server.batches import batch_routes
from pages.server.bundles import bundle_routes
from pages.server.guard import TOKEN_HEADER, secret_of, token_fits, token_for
from pages.server.live import live_routes
from pages.server.thumbs import thumb_routes

PREFIX = "/graft"
ASSETS = Path(__file__).parent.parent.parent / "assets"
FEED_BYTES = 1 << 18  # handed to a thread at once: a call costs 0.1 ms, and four requests hold 2 MB together
YEAR = "public, max-age=31536000, immutable"
SHORT = "public, max-age=600"


def routes() -> list[BaseRoute]:
    """Our own addresses; raises ConfigError for a limit that is no number, so that it ends the start, not an upload."""
    Quota.from_environment()
    return [
        Route(f"{PREFIX}/health", health, methods=["GET"]),
        Route("/start", start_page, methods=["GET"]),
        Route(f"{PREFIX}/uploads/{{upload_id}}", upload_status, methods=["GET"]),
        Route(f"{PREFIX}/uploads/{{upload_id}}", upload_batch, methods=["POST"]),
        *thumb_routes(PREFIX, owner_of),
        *batch_routes(PREFIX, owner_of),
        *bundle_routes(PREFIX, owner_of),
        *answered_routes(PREFIX, owner_of),
        *live_routes(PREFIX, owner_of),
        Route("/assets/plotly.min.js", plotly_library, methods=["GET"]),
        Mount("/assets", CachedFiles(directory=ASSETS, check_dir=False)),
    ]


async def start_page(request: Request) -> Response:
    """The first page lives at ``/``; Streamlit knows no ``/start``, but people type it."""
    return RedirectResponse(f"/?{request.url.query}" if request.url.query else "/")


def owner_of(request: HTTPConnection) -> str:
    """Whose workspace a request speaks of. On loopback there is one person."""
    del request
    return "me"


def upload_address(upload: Upload) -> str:
    """Where the files of ``upload`` are sent to."""
    return f"{PREFIX}/uploads/{upload.id}"


def upload_token(upload: Upload) -> str:
    """What a page must show to send files to ``upload``."""
    return token_for(secret_of(upload.workspace.root), "upload", upload.workspace.owner, upload.id)


def plotly_address() -> str:
    """The chart library as our own server has it; the version makes the long cache safe."""
    return f"/assets/plotly.min.js?v={version('plotly')}"


async def health(request: Request) -> Response:
    del request
    return JSONResponse({"status": "ok", "version": core.__version__})


async def upload_status(request: Request) -> Response:
    """Which files have arrived, so that a sender who was interrupted goes on with the rest."""
    opened = await to_thread.run_sync(_open, request)
    if isinstance(opened, Response):
        return opened

    def answer() -> Response:
        told = intake.summary(opened)
        rows = [[file.name, file.bytes, file.sha256] for file in intake.arrived(opened)]
        return JSONResponse({"files": told.files, "bytes": told.bytes, "arrived": rows})

    return await to_thread.run_sync(answer)


async def upload_batch(request: Request) -> Response:
    """Write the files of one body to disk as they arrive."""
    opened = await to_thread.run_sync(_open, request)
    if isinstance(opened, Response):
        return opened
    if opened.purpose in ("dataset", "classes"):
        await to_thread.run_sync(_work_ahead, opened)
    batch = Batch(opened, _quota(opened))
    try:
        waiting = bytearray()
        async for chunk in request.stream():
            waiting += chunk
            if len(waiting) >= FEED_BYTES:
                await to_thread.run_sync(batch.feed, bytes(waiting))
                waiting.clear()
        await to_thread.run_sync(batch.feed, bytes(waiting))
        return JSONResponse({"files": batch.finish(), "full": batch.full})
    except ClientDisconnect:
        return Response(status_code=400)
    except (BadBatchError, ValueError) as error:
        return JSONResponse({"error": say("upload.refusal.form"), "detail": str(error)}, status_code=400)
    finally:
        await to_thread.run_sync(batch.close)


def _quota(upload: Upload) -> Quota:
    """Photos may fill the disk if their owner wants that; a model is one file, and no larger than one can be."""
    usual = Quota.from_environment()
    return usual.at_most(MOST_BYTES) if upload.purpose == "bundle" else usual


def _work_ahead(upload: Upload) -> None:
    """Keep the features of its photos as they come: the default backbone's, for nobody has chosen one yet."""
    reserve.ahead(upload.workspace.home, upload.folder, TrainConfig().backbone)


async def plotly_library(request: Request) -> Response:
    """plotly.js from the installed package: no chart needs another host, and figures and library fit together."""
    package = importlib.util.find_spec("plotly")
    if package is None or package.origin is None:
        return Response(status_code=404)
    file = Path(package.origin).parent / "package_data" / "plotly.min.js"
    caching = YEAR if request.query_params.get("v") else SHORT
    return FileResponse(file, media_type="text/javascript", headers={"Cache-Control": caching})


class CachedFiles(StaticFiles):
    """Files that browsers may keep: for a year where the address holds a version (``?v=``), else for minutes."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        versioned = b"v=" in scope.get("query_string", b"")
        response.headers["Cache-Control"] = YEAR if versioned else SHORT
        return response


def _open(request: Request) -> Upload | Response:
    """The upload that the request speaks of, or the answer to a request that may not."""
    workspace = Workspace(default_root(), owner_of(request))
    identifier = request.path_params["upload_id"]
    if not token_fits(
        secret_of(workspace.root), request.headers.get(TOKEN_HEADER), "upload", workspace.owner, identifier
    ):
        return JSONResponse({"error": say("upload.refusal.token")}, status_code=403)
    try:
        return intake.open_upload(workspace, identifier)
    except CoreError as error:
        return JSONResponse({"error": error.message, "hint": error.hint}, status_code=404)
