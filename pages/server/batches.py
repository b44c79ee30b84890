"""The photos of a batch sorted into folders, as a zip that is made while it is sent."""

from collections.abc import Callable

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from core.data import intake
from core.errors import CoreError
from core.inference.batch_folder import BatchFolder, located
from core.inference.sorted_zip import sorted_zip
from core.runs import RunDirectory, open_run
from core.words import say
from core.workspace import Workspace, default_root
from pages.server.guard import secret_of, token_fits, token_for


def batch_routes(prefix: str, owner_of: Callable[[Request], str]) -> list[BaseRoute]:
    """``sorted/<upload>/<run>?token=…`` below ``prefix``."""

    async def answer(request: Request) -> Response:
        return await to_thread.run_sync(_answer, request, owner_of(request))

    return [Route(f"{prefix}/sorted/{{upload_id}}/{{run_id}}", answer, methods=["GET"])]


def sorted_address(prefix: str, upload: intake.Upload, run: RunDirectory) -> str:
    """Where the zip of this batch is had."""
    workspace = upload.workspace
    token = token_for(secret_of(workspace.root), "sorted", workspace.owner, f"{upload.id} {run.id}")
    return f"{prefix}/sorted/{upload.id}/{run.id}?token={token}"


def _answer(request: Request, owner: str) -> Response:
    workspace = Workspace(default_root(), owner)
    upload_id, run_id = request.path_params["upload_id"], request.path_params["run_id"]
    given = request.query_params.get("token")
    if not token_fits(secret_of(workspace.root), given, "sorted", owner, f"{upload_id} {run_id}"):
        return JSONResponse({"error": say("many.token")}, status_code=403)
    try:
        upload = intake.open_upload(workspace, upload_id)
        folder = BatchFolder(upload.folder, open_run(workspace.runs, run_id))
        answers = list(folder.read())
    except CoreError as error:
        return JSONResponse({"error": error.message, "hint": error.hint}, status_code=404)
    headers = {"Content-Disposition": f'attachment; filename="graft-sorted-{run_id}.zip"'}
    return StreamingResponse(sorted_zip(located(folder, answers)), media_type="application/zip", headers=headers)
