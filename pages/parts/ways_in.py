"""The ways to bring photos in: a folder or zip, class by class with files, paste and camera, a folder on the server.

All end in the same data set, a new one or one that is there. Which way is open, and where its photos arrive, stands in
the page's address, so that a reload goes on.
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import streamlit as st

from core.data import datasets, intake, piles
from core.data.datasets import Dataset
from core.data.image import UnusablePhoto
from core.data.intake import Upload
from core.data.thumbnails import thumbnail
from core.errors import CoreError
from core.words import say
from pages.parts import panels, state
from pages.parts.uploader import class_uploader, uploader
from pages.parts.webcam import webcam

WAY = "way"  # query key
SHOWN = 8  # photos of a class
SHOWN_SIDE = 96  # pixels
CAMERA = "camera_class"  # session key: the class that is being recorded
Take = Callable[[Dataset | None], None]


def show(into: Dataset | None) -> None:
    """Let people bring photos, for a new data set or for one that is there; then show that."""
    ways: dict[str, Take] = {"folder": _folder, "classes": _classes}
    if into is None and datasets.allowed_folders():
        ways["server"] = _server
    ways[_chosen(tuple(ways))](into)


def _chosen(ways: tuple[str, ...]) -> str:
    given = st.query_params.get(WAY)
    chosen = st.segmented_control(
        say("ways.way.label"),
        ways,
        default=given if given in ways else ways[0],
        format_func=lambda way: say(f"ways.way.{way}"),
        key="way_in",
        required=True,
        label_visibility="collapsed",
    )
    if chosen != given:
        st.query_params[WAY] = chosen
    return chosen


def _use(into: Dataset | None, purpose: intake.Purpose, upload: Upload) -> None:
    """Make what has arrived a data set, or a part of one; a mistake is shown where it was made."""
    try:
        if into is None:
            made = datasets.adopt(state.workspace(), upload, name_of(upload))
        else:
            datasets.add(into, upload)
            made = into
    except CoreError as error:
        panels.error_box(error)
        return
    state.forget_upload(purpose)
    _open(made)


def _open(made: Dataset) -> None:
    st.query_params.pop(WAY, None)
    state.choose_dataset(made.id)
    state.choose_run(None)
    st.rerun()


def name_of(upload: Upload) -> str | None:
    """Where no folder and no zip came, there is no name to go by."""
    with os.scandir(upload.photos) as entries:
        telling = any(entry.is_dir() or entry.name.lower().endswith(".zip") for entry in entries)
    return None if telling else say("dataset.name.photos")


# A folder or a zip


def _folder(into: Dataset | None) -> None:
    st.markdown(say("ways.folder.how"))
    upload = state.upload("dataset")
    arrived = uploader("photos_upload", upload=upload, mode="dataset")
    if arrived is not None and arrived.problem:
        st.warning(arrived.problem, icon=":material/warning:")
    if arrived is not None and arrived.ready:
        _use(into, "dataset", arrived.upload)
    with st.expander(say("ways.folder.more"), icon=":material/help:"):
        st.markdown(say("ways.folder.more_text"))


# Class by class


def _classes(into: Dataset | None) -> None:
    st.markdown(say("ways.classes.how"))
    upload = state.upload("classes")
    _new_class(upload)
    counts = piles.classes(upload)
    busy = [_card(upload, name, count) for name, count in counts.items()]
    _removed(upload)
    filled = [name for name, count in counts.items() if count]
    if into is None and len(filled) == 1:
        st.caption(say("ways.classes.one_more"))
    why_not = say("ways.classes.use_wait") if any(busy) else None if filled else say("ways.classes.use_none")
    with st.container(key="use_classes_row"):
        use = st.button(
            say("ways.classes.use"),
            type="primary",
            key="use_classes",
            icon=":material/check:",
            disabled=why_not is not None,
            help=why_not,
        )
    if use:
        _use_classes(into, upload)


def _use_classes(into: Dataset | None, upload: Upload) -> None:
    try:
        piles.without_empty(upload)
    except CoreError as error:
        panels.error_box(error)
        return
    st.session_state.pop(CAMERA, None)
    _use(into, "classes", upload)


def _new_class(upload: Upload) -> None:
    with (
        st.form("new_class", border=False, clear_on_submit=True),
        st.container(horizontal=True, vertical_alignment="bottom"),
    ):
        typed = st.text_input(
            say("ways.classes.name"), key="new_class_name", placeholder=say("ways.classes.placeholder"), width=320
        )
        added = st.form_submit_button(say("ways.classes.add"), key="add_class", icon=":material/add:")
    if added:
        try:
            piles.add_class(upload, typed)
        except CoreError as error:
            panels.error_box(error)


def _card(upload: Upload, name: str, count: int) -> bool:
    """One class: what it has, and the ways to add to it. Returns whether photos are on their way."""
    key = hashlib.sha256(name.encode()).hexdigest()[:12]
    recording = st.session_state.get(CAMERA) == name
    with st.container(border=True, key=f"class_{key}"):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.markdown(f"**{panels.plain(name)}** · {say('ways.classes.count', n=count)}", width="content")
            with st.container(horizontal=True, width="content"):
                label = say("ways.classes.webcam_close" if recording else "ways.classes.webcam")
                st.button(
                    label, key=f"camera_{key}", icon=":material/photo_camera:", on_click=_toggle_camera, args=(name,)
                )
                st.button(
                    "",
                    key=f"remove_{key}",
                    icon=":material/close:",
                    help=say("ways.classes.remove"),
                    on_click=_take_out,
                    args=(upload, name),
                )
        busy = False
        if recording:
            busy = webcam(f"webcam_{key}", upload=upload, folder=name)
        else:
            _pictures(upload, name)
        return class_uploader(f"files_{key}", upload=upload, folder=name) or busy


def _toggle_camera(name: str) -> None:
    st.session_state[CAMERA] = None if st.session_state.get(CAMERA) == name else name


def _take_out(upload: Upload, name: str) -> None:
    if st.session_state.get(CAMERA) == name:
        st.session_state.pop(CAMERA)
    try:
        piles.remove_class(upload, name)
    except CoreError:  # it was taken out in another tab
        return


def _pictures(upload: Upload, name: str) -> None:
    """The photos of a class that came last."""
    pictures: list[bytes] = []
    for file in reversed(piles.arrived_in(upload, name)[-SHOWN:]):
        try:
            kept = state.workspace().cache / "thumbnails"
            pictures.append(thumbnail(upload.photos, file.path, file.sha256, kept, SHOWN_SIDE))
        except (UnusablePhoto, CoreError, OSError):
            continue  # the scan says what is wrong with it
    if pictures:
        alt = say("ways.classes.photo", name=name)
        st.image(pictures, width=64, alt=[alt] * len(pictures))


def _removed(upload: Upload) -> None:
    for identifier, (name, count) in piles.removed_classes(upload).items():
        with st.container(horizontal=True, vertical_alignment="center", key=f"removed_{identifier}"):
            st.markdown(panels.shown("ways.classes.removed", name=name, n=count), width="content")
            st.button(
                say("ways.classes.bring_back"),
                key=f"bring_back_{identifier}",
                icon=":material/undo:",
                on_click=piles.bring_back_class,
                args=(upload, identifier),
            )


# A folder on the server


def _server(into: Dataset | None) -> None:
    del into  # photos that stay where they are can't be added to others
    with st.form("server_folder", border=False):
        folder = st.text_input(say("ways.server.path"), key="server_path", help=say("ways.server.help"))
        used = st.form_submit_button(say("ways.server.use"), key="server_use")
    if used and folder.strip():
        try:
            made = datasets.from_server_folder(state.workspace(), Path(folder.strip()), datasets.allowed_folders())
        except CoreError as error:
            panels.error_box(error)
        else:
            _open(made)
