"""Photos on their way into the service: what arrives waits on the disk, and what is too much is refused on the way."""

import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import IO

import anyio
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message, Receive

from core.serve.limits import Limits
from core.serve.refusal import Refusal

MAX_FIELDS = 20  # of a form, besides its photos; nothing is read from them
MEMORY_BYTES = 1_000_000  # of a photo; a larger one goes to the disk, as Starlette does with forms
TOO_LARGE = "too large"
RAW_NAME = "photo"  # of a photo that came without one


@dataclass(frozen=True)
class Photo:
    """One that has arrived: the sender's name for it, which is never used as a file's name here, and its bytes."""

    name: str
    file: IO[bytes]


@asynccontextmanager
async def photos_of(request: Request, limits: Limits) -> AsyncGenerator[list[Photo]]:
    """The photos of a request, whose files go when the block ends.

    Raises:
        Refusal: there are none, or they are too many, too large or too slow.
    """
    photos: list[Photo] = []
    try:
        try:
            with anyio.fail_after(limits.upload_seconds):
                await _receive(request, limits, photos)
        except TimeoutError:
            raise Refusal(408, "slow", seconds=f"{limits.upload_seconds:g}") from None
        except ClientDisconnect:
            raise Refusal(400, "broken_off") from None  # nobody hears it, but neither is it an error of ours
        yield photos
    finally:
        for photo in photos:
            photo.file.close()


async def _receive(request: Request, limits: Limits, photos: list[Photo]) -> None:
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced[:20]) > limits.body_bytes:
        raise _too_large(limits.body_bytes)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    counted = Request(request.scope, _counted(request.receive, limits.body_bytes))
    try:
        if kind == "multipart/form-data":
            await _receive_form(counted, limits, photos)
        elif kind.startswith("image/") or kind == "application/octet-stream":
            await _receive_raw(counted, limits, photos)
        else:
            raise Refusal(415, "kind", kind=kind[:100])
    except (MultiPartException, HTTPException) as error:  # the latter is how a request tells the former of its form
        said = error.message if isinstance(error, MultiPartException) else str(error.detail)
        if said == TOO_LARGE:
            raise _too_large(limits.body_bytes) from None
        if "files" in said:  # Starlette: "Too many files. Maximum number of files is …"
            raise Refusal(413, "too_many", n=limits.photos) from None
        raise Refusal(400, "form") from None
    if not photos:
        raise Refusal(400, "no_photo")


async def _receive_form(request: Request, limits: Limits, photos: list[Photo]) -> None:
    form = await request.form(max_files=limits.photos, max_fields=MAX_FIELDS)
    for _, value in form.multi_items():
        if not isinstance(value, UploadFile):
            continue
        if value.filename or value.size:
            photos.append(Photo(value.filename or "", value.file))
        else:  # what a browser sends for a field without a file
            value.file.close()
        if (value.size or 0) > limits.photo_bytes:
            too_large = _photo_too_large(limits, value.filename or "")
            await form.close()
            raise too_large


async def _receive_raw(request: Request, limits: Limits, photos: list[Photo]) -> None:
    file = tempfile.SpooledTemporaryFile(MEMORY_BYTES)  # noqa: SIM115  closed with the list
    size = 0
    photo = Photo(RAW_NAME, file)
    photos.append(photo)
    async for part in request.stream():
        size += len(part)
        if size > limits.photo_bytes:
            raise _photo_too_large(limits, RAW_NAME)
        file.write(part)
    file.seek(0)
    if not size:
        photos.remove(photo)
        file.close()


def _counted(receive: Receive, most_bytes: int) -> Receive:
    """The same messages, until their bodies are too long together: a length that was announced may be a lie."""
    received = 0

    async def receive_counted() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > most_bytes:
            raise MultiPartException(TOO_LARGE)  # the one error on which Starlette closes a form's files
        return message

    return receive_counted


def _too_large(most_bytes: int) -> Refusal:
    return Refusal(413, "too_large", megabytes=most_bytes / 1_000_000)


def _photo_too_large(limits: Limits, name: str) -> Refusal:
    return Refusal(413, "photo_too_large", name=name[:200], megabytes=limits.photo_bytes / 1_000_000)
