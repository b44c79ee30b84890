"""Graft's own uploader: folders, zips and photos go straight to disk, whatever their number, and both sides count.

Streamlit's directory uploader lost 571 of 2,000 files, kept every byte in the server's memory and dropped the class
folders of a dragged folder.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal
from uuid import uuid4

import streamlit as st

from core.data import filetypes, intake
from core.data.intake import Upload
from core.data.tables import TABLE_SUFFIXES
from core.errors import CoreError
from core.words import say
from pages.server.routes import upload_address, upload_token

Mode = Literal["dataset", "class", "photos", "many", "test", "bundle"]
HERE = Path(__file__).parent

MARKUP = """
<section class="uploader" role="group">
  <div class="area">
    <svg class="icon" viewBox="0 0 48 48" fill="none" stroke="currentColor" stroke-width="2.5" stroke-linecap="round"
      stroke-linejoin="round" aria-hidden="true">
      <path d="M6 38V12a3 3 0 0 1 3-3h9l5 5h16a3 3 0 0 1 3 3v21a3 3 0 0 1-3 3H9a3 3 0 0 1-3-3Z"/>
      <path d="M24 34V22m-5.5 5.5L24 22l5.5 5.5"/>
    </svg>
    <p class="title"></p>
    <p class="line"></p>
    <div class="buttons">
      <button type="button" class="choose-folder main"></button>
      <button type="button" class="choose-files"></button>
      <button type="button" class="paste"></button>
    </div>
    <input class="pick-folder" type="file" webkitdirectory multiple hidden>
    <input class="pick-files" type="file" multiple hidden>
  </div>
  <div class="progress" hidden>
    <div role="progressbar" aria-valuemin="0" aria-valuemax="100"><div class="bar"></div></div>
    <p class="counts"></p>
    <p class="left"></p>
    <p class="lost"></p>
    <button type="button" class="cancel"></button>
  </div>
  <div class="outcome"></div>
  <div class="after">
    <button type="button" class="go-on main" hidden></button>
    <button type="button" class="accept" hidden></button>
  </div>
  <div class="skipped"></div>
  <p class="spoken" role="status" aria-live="polite"></p>
</section>
"""

_ELEMENT = st.components.v2.component(
    "graft_uploader",
    html=MARKUP,
    css=(HERE / "uploader.css").read_text("utf-8"),
    js="\n".join(
        (HERE / name).read_text("utf-8") for name in ("uploader_gather.js", "uploader_send.js", "uploader.js")
    ),
)


@dataclass(frozen=True)
class UploadResult:
    """What became of one choice of files: the browser's count, and ours."""

    id: str  # of this choice: the same result is returned run after run
    upload: Upload  # where they lie: after a restart of the server not the one that was just begun, so use this one
    sent: int  # files worth sending
    received: int  # of these, the files that the server has
    again: int  # of those, the files that it had before
    failed: int
    skipped: int  # not photos, or not readable
    cancelled: bool
    accepted: bool  # not everything arrived, and the person chose to go on with what did
    missing: int  # files that the browser saw arrive and that don't lie on the disk

    @property
    def complete(self) -> bool:
        return self.received > 0 and not self.cancelled and self.failed == 0 and self.missing == 0

    @property
    def ready(self) -> bool:
        """Whether to go on with the upload now."""
        return self.complete or (self.accepted and self.received > 0)

    @property
    def problem(self) -> str | None:
        """What to tell the person beyond what the element already shows."""
        return say("upload.done.missing", n=self.missing) if self.missing else None


def uploader(key: str, *, upload: Upload, mode: Mode) -> UploadResult | None:
    """Show the drop area; after the last file arrived, or the person stopped, return what came of it.

    ``mode`` "dataset" and "test" take folders, zips, photos and tables, "many" the same without tables; "photos" is
    smaller and takes photos, pasted ones too; "bundle" takes the zip of a model.
    The result is returned in every run from then on, until its upload is gone or other files were chosen: Streamlit may
    break off any run, and with it whatever was about to be done. So what is done with it must be safe to do twice.
    """
    told = _show(key, upload, mode)
    return _result(upload, told) if told else None


def class_uploader(key: str, *, upload: Upload, folder: str) -> bool:
    """A small drop area for photos of one class, which arrive in ``folder``; whether some are on their way now."""
    told = _show(key, upload, "class", folder)
    began = st.session_state.get(f"{key}_began")
    return began is not None and (told is None or told.get("batch") != began)


def _show(key: str, upload: Upload, mode: Mode, folder: str = "") -> Mapping[str, object] | None:
    told_key, began_key = f"{key}_told", f"{key}_began"
    told: Mapping[str, object] | None = st.session_state.get(told_key)
    _ELEMENT(
        key=key,
        data={
            "key": key,
            "mode": mode,
            "folder": f"{folder}/" if folder else "",
            "upload": upload.id,
            "address": upload_address(upload),
            "token": upload_token(upload),
            "text": _texts(mode, folder),
            "kinds": _kinds(mode),
            "session": st.session_state.setdefault("uploader_session", uuid4().hex),
            "seen": told and told.get("id"),
        },
        on_finished_change=partial(_remember, key, told_key),
        on_began_change=partial(_remember_began, key, began_key),
    )
    return told


def _remember(key: str, told_key: str) -> None:
    """Keep what the browser told. A callback is never broken off, and a trigger is there for one run only."""
    told = st.session_state[key].get("finished")
    if isinstance(told, Mapping):
        st.session_state[told_key] = dict(told)


def _remember_began(key: str, began_key: str) -> None:
    st.session_state[began_key] = st.session_state[key].get("began")


def _result(upload: Upload, told: Mapping[str, object]) -> UploadResult | None:
    """The browser's counts beside what lies on the disk; None if it speaks of an upload that isn't there."""
    try:
        upload = intake.open_upload(upload.workspace, str(told.get("upload")))
    except CoreError:
        return None
    count = {name: _whole(told.get(name)) for name in ("sent", "received", "again", "failed", "skipped", "expected")}
    return UploadResult(
        id=str(told.get("id")),
        upload=upload,
        cancelled=told.get("status") == "cancelled",
        accepted=told.get("accepted") is True,
        missing=max(0, count.pop("expected") - intake.count_on_disk(upload)),
        **count,
    )


def _whole(value: object) -> int:
    return int(value) if isinstance(value, int | float) and 0 <= value < 1e12 else 0


def _kinds(mode: Mode) -> dict[str, object]:
    return {
        "photos": [] if mode == "bundle" else sorted(filetypes.PHOTO_SUFFIXES),
        "archives": [".zip"],
        "archives_taken": mode in ("dataset", "many", "test", "bundle"),
        "tables": sorted(TABLE_SUFFIXES) if mode in ("dataset", "test") else [],
        "heic": [".heic", ".heif", ".hif"],
        "litter": sorted(filetypes.LITTER),
        "litter_beginnings": list(filetypes.LITTER_BEGINNINGS),
    }


def _texts(mode: Mode, folder: str = "") -> dict[str, object]:
    """Every visible string of the element, as patterns for its script to fill."""
    names = ("title", "line", "label", "nothing")
    texts: dict[str, object] = {name: _pattern(f"drop.{mode}.{name}", folder=folder) for name in names}
    for name in ("folder", "files", "photos", "zip", "paste", "cancel", "resume", "retry", "accept"):
        texts[name] = _pattern(f"button.{name}")
    for name in ("looking", "comparing", "size", "seconds_left", "minutes_left", "lost", "spoken"):
        texts[name] = _pattern(f"progress.{name}")
    for name in ("all", "some", "cancelled", "failed", "unreachable", "again", "no_picture", "no_clipboard"):
        texts[name] = _pattern(f"done.{name}")
    reasons = {name: name for name in ("system", "heic", "not_photo", "archive", "unreadable", "refused")}
    if mode == "bundle":
        reasons["not_photo"] = "not_zip"
    return {
        **texts,
        "progress_label": _pattern("progress.label"),
        "files_done": _pattern("progress.files"),
        "skipped": _pattern("skipped.title"),
        "more": _pattern("skipped.more"),
        "reasons": {reason: _pattern(f"skipped.{text}") for reason, text in reasons.items()},
        "kinds": "JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF",
    }


def _pattern(name: str, **filled: object) -> str | dict[str, str]:
    """The text with its ``{places}`` left open; both forms where there is a plural."""
    open_places = {place: f"{{{place}}}" for place in ("n", "done", "total", "percent", "kinds", "keys")} | filled
    other = say(f"upload.{name}", **open_places)
    one = say(f"upload.{name}", **{**open_places, "n": 1})
    return other if one == other else {"one": one, "other": other}
