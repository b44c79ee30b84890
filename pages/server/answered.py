"""Small pictures of the photos of a batch, for its table: the browser asks for the rows that it shows."""

import hashlib
import os
from collections.abc import Callable
from urllib.parse import quote

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from core.data import intake
from core.data.intake import Upload
from core.data.thumbnails import thumbnail
from core.errors import CoreError
from core.inference.batch_folder import BatchFolder
from core.runs import RunDirectory, open_run
from core.words import say
from core.workspace import Workspace, default_root
from pages.server.guard import secret_of, token_fits, token_for

SIDE = 96  # pixels: a row of the table is half as high, and some screens have twice as many


def answered_routes(prefix: str, owner_of: Callable[[Request], str]) -> list[BaseRoute]:
    """``answered/<upload>/<run>?photo=…&token=…`` below ``prefix``."""
    at_work = CapacityLimiter(max(2, os.cpu_count() or 2))

    async def answer(request: Request) -> Response:
        return await to_thread.run_sync(_answer, request, owner_of(request), limiter=at_work)

    return [Route(f"{prefix}/answered/{{upload_id}}/{{run_id}}", answer, methods=["GET"])]


def picture_addresses(prefix: str, upload: Upload, run: RunDirectory) -> Callable[[str], str]:
    """A function from a photo's name to where its picture is had."""
    workspace = upload.workspace
    token = token_for(secret_of(workspace.root), "answered", workspace.owner, f"{upload.id} {run.id}")
    base = f"{prefix}/answered/{upload.id}/{run.id}?token={token}&photo="
    return lambda name: base + quote(name.encode("utf-8", "surrogateescape"))


def _answer(request: Request, owner: str) -> Response:
    workspace = Workspace(default_root(), owner)
    upload_id, run_id = request.path_params["upload_id"], request.path_params["run_id"]
    given = request.query_params.get("token")
    if not token_fits(secret_of(workspace.root), given, "answered", owner, f"{upload_id} {run_id}"):
        return _refusal("many.token", 403)
    name = request.query_params.get("photo", "")
    try:
        upload = intake.open_upload(workspace, upload_id)
        found = BatchFolder(upload.folder, open_run(workspace.runs, run_id)).find(name)
        if found is None:
            return _refusal("many.gone", 404)
        # Kept with the upload, by the photo's name: what is in it goes when it goes.
        key = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
        data = thumbnail(*found, key, upload.folder / "thumbnails", SIDE)
    except CoreError as error:
        return JSONResponse({"error": error.message, "hint": error.hint}, status_code=404)
    except (OSError, ValueError):  # a name that no file can have
        return _refusal("many.gone", 404)
    return Response(data, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600"})


def _refusal(key: str, status: int) -> Response:
    return JSONResponse({"error": say(key)}, status_code=status)
