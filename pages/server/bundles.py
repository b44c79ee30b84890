"""A run's bundle over HTTP: sent from the disk as it is asked for, to the page that holds its token."""

from collections.abc import Callable

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from core.errors import CoreError
from core.export.made import ExportFolder
from core.runs import RunDirectory, open_run
from core.words import say
from core.workspace import Workspace, default_root
from pages.server.guard import secret_of, token_fits, token_for


def bundle_routes(prefix: str, owner_of: Callable[[Request], str]) -> list[BaseRoute]:
    """``bundles/<run>?token=…`` below ``prefix``."""

    async def answer(request: Request) -> Response:
        return await to_thread.run_sync(_answer, request, owner_of(request))

    return [Route(f"{prefix}/bundles/{{run_id}}", answer, methods=["GET", "HEAD"])]


def bundle_address(prefix: str, workspace: Workspace, run: RunDirectory) -> str:
    """Where the bundle that was made last is had."""
    return f"{prefix}/bundles/{run.id}?token={_token(workspace, run.id)}"


def _token(workspace: Workspace, run_id: str) -> str:
    return token_for(secret_of(workspace.root), "bundle", workspace.owner, run_id)


def _answer(request: Request, owner: str) -> Response:
    workspace, run_id = Workspace(default_root(), owner), request.path_params["run_id"]
    if not token_fits(secret_of(workspace.root), request.query_params.get("token"), "bundle", owner, run_id):
        return JSONResponse({"error": say("many.token")}, status_code=403)
    try:
        made = ExportFolder(open_run(workspace.runs, run_id)).made()
    except CoreError as error:
        return JSONResponse({"error": error.message, "hint": error.hint}, status_code=404)
    if made is None:
        return JSONResponse({"error": say("download.none")}, status_code=404)
    headers = {"Cache-Control": "no-store"}  # the next one has the same address
    return FileResponse(made.file, media_type="application/zip", filename=f"graft-{run_id}.zip", headers=headers)
