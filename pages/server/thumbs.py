"""Pictures of a data set's photos for grids: small squares, and a whole photo to look at closely.

Streamlit keeps its pictures under addresses that anyone may read, and 200 of them made each run half a second slower
(1.67). These need a token, and the browser asks only for what it shows.
"""

import os
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from pathlib import Path

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from core.data import datasets
from core.data.report import DatasetReport, Photo
from core.data.store import Dataset, read_report
from core.data.thumbnails import HASH_PATTERN, thumbnail, whole
from core.errors import CoreError
from core.words import say
from core.workspace import Workspace, default_root
from pages.server.guard import secret_of, token_fits, token_for

SIDES = (160, 320)  # pixels: a tile, and a tile on a screen with twice as many
WHOLE_SIDE = 1280  # pixels of the longer side of a photo that is looked at closely
KEEP = "private, max-age=31536000, immutable"  # an address holds the photo's hash: what it shows never changes
Draw = Callable[[Photo, Path, Path], bytes]  # photo, the folder it lies below, where small pictures are kept


def thumb_routes(prefix: str, owner_of: Callable[[Request], str]) -> list[BaseRoute]:
    """``thumbs/<data set>/<hash>?side=160&token=…`` and ``photos/<data set>/<hash>?token=…`` below ``prefix``."""
    at_work = CapacityLimiter(max(2, os.cpu_count() or 2))  # more at once would only keep the pages from working

    async def answer(request: Request, draw: Draw) -> Response:
        return await to_thread.run_sync(partial(_answer, request, owner_of(request), draw), limiter=at_work)

    async def thumb(request: Request) -> Response:
        side = request.query_params.get("side", str(SIDES[0]))
        if side not in map(str, SIDES):
            return _refusal("mend.picture.side", 400)
        return await answer(request, partial(_small, side=int(side)))

    async def photo(request: Request) -> Response:
        return await answer(request, _large)

    return [
        Route(f"{prefix}/thumbs/{{dataset_id}}/{{sha256}}", thumb, methods=["GET"]),
        Route(f"{prefix}/photos/{{dataset_id}}/{{sha256}}", photo, methods=["GET"]),
    ]


def photos_token(workspace: Workspace, identifier: str) -> str:
    """What a page must show to see the photos of this data set."""
    return token_for(secret_of(workspace.root), "photos", workspace.owner, identifier)


def _small(photo: Photo, root: Path, cache: Path, side: int) -> bytes:
    return thumbnail(root, photo.path, photo.sha256, cache, side)


def _large(photo: Photo, root: Path, cache: Path) -> bytes:
    del cache  # one photo, now and then
    return whole(root, photo.path, WHOLE_SIDE)


def _answer(request: Request, owner: str, draw: Draw) -> Response:
    """The picture, if our own page asks and this owner's data set has such a photo."""
    workspace = Workspace(default_root(), owner)
    identifier, sha256 = request.path_params["dataset_id"], request.path_params["sha256"]
    given = request.query_params.get("token")
    if not token_fits(secret_of(workspace.root), given, "photos", workspace.owner, identifier):
        return _refusal("mend.picture.token", 403)
    try:
        dataset = datasets.open_dataset(workspace, identifier)
        photo = _find(dataset, sha256)
        if photo is None:
            return _refusal("mend.picture.gone", 404)
        data = draw(photo, dataset.root, workspace.cache / "thumbnails")
    except CoreError as error:
        return JSONResponse({"error": error.message, "hint": error.hint}, status_code=404)
    return Response(data, media_type="image/jpeg", headers={"Cache-Control": KEEP})


def _find(dataset: Dataset, sha256: str) -> Photo | None:
    """Whatever became of the photo: labelled, to be labelled or set aside."""
    if not HASH_PATTERN.fullmatch(sha256):
        return None
    try:
        report = read_report(dataset)  # also while more photos are looked at
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return _by_hash(_Same(report)).get(sha256)


class _Same:
    """A report as a key by identity: comparing 50,000 photos for each picture would take longer than drawing it."""

    def __init__(self, report: DatasetReport) -> None:
        self.report = report

    def __hash__(self) -> int:
        return id(self.report)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.report is self.report


@lru_cache(maxsize=4)
def _by_hash(same: _Same) -> Mapping[str, Photo]:
    report = same.report
    return {photo.sha256: photo for photo in (*report.photos, *report.unlabelled, *report.aside)}


def _refusal(key: str, status: int) -> Response:
    return JSONResponse({"error": say(key)}, status_code=status)
