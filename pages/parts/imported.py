"""A model from another Graft: its bundle is sent here, looked through, and becomes one of the runs."""

import streamlit as st

from core.data import intake
from core.data.intake import Upload
from core.errors import CoreError, DataError
from core.runs import RunDirectory, RunState, notes
from core.words import say
from core.workspace import Workspace
from pages.parts import panels, state
from pages.parts.uploader import uploader

OPEN, TOLD, PROBLEM = "import_open", "imported_run", "import_problem"


def button() -> None:
    """Opens and closes the place for a bundle."""
    opened = _is_open()
    st.button(
        say("imported.close" if opened else "imported.open"), key="import_model", icon=":material/upload_file:",
        on_click=_toggle, args=(not opened,), help=say("imported.help"),
    )  # fmt: skip


def panel() -> None:
    """The drop area where it was opened, and what became of the last bundle."""
    _told()
    if not _is_open():
        return
    st.markdown(say("imported.how"))
    upload = state.upload("bundle")
    arrived = uploader("bundle_upload", upload=upload, mode="bundle")
    if arrived is not None and arrived.problem:
        st.warning(arrived.problem, icon=":material/warning:")
    if arrived is not None and arrived.ready:
        with st.spinner(say("imported.looking"), show_time=True):
            _take_in(state.workspace(), arrived.upload)
        st.rerun()


def is_imported(known: RunState) -> bool:
    """Whether a run's model was trained in another Graft: then neither its curves nor its photos are here."""
    return known.weights is not None and known.weights.source == "imported"


def _is_open() -> bool:
    return st.session_state.get(OPEN, state.has_upload("bundle"))


def _toggle(opened: bool) -> None:
    st.session_state[OPEN] = opened
    if not opened:
        state.leave_upload("bundle")


def _take_in(workspace: Workspace, upload: Upload) -> None:
    """Make a run of the bundle that came last; the upload is used up, whatever comes of it."""
    try:
        run = _imported(workspace, upload)
    except CoreError as error:
        st.session_state[PROBLEM] = error
    else:
        st.session_state[TOLD] = run.id
        state.choose_run(run.id)
        _toggle(opened=False)
    intake.discard(upload)
    state.forget_upload("bundle")


def _imported(workspace: Workspace, upload: Upload) -> RunDirectory:
    from core.export.incoming import import_bundle  # which imports torch

    came = [upload.photos / file.path for file in intake.arrived(upload)]
    try:
        return import_bundle(came[-1], workspace.runs)
    except DataError as error:
        if error.key.startswith("data.archive."):  # whose hints are about photos
            raise DataError("imported.no_zip", name=came[-1].name, why=error.message) from None
        raise


def _told() -> None:
    """Once: which model came, or why one was refused."""
    problem = st.session_state.pop(PROBLEM, None)
    if isinstance(problem, CoreError):
        panels.error_box(problem)
    run = state.current_run()
    if run is None or st.session_state.get(TOLD) != run.id:
        return
    del st.session_state[TOLD]
    name = notes.title(run.info(), notes.read(run))
    st.success(panels.shown("imported.done", name=name), icon=":material/check:")
    for step in ("results", "try_it"):
        st.page_link(
            st.session_state["pages"][step], label=say("common.go_to", step=say(f"frame.{step}")),
            icon=":material/arrow_forward:", query_params=state.place(),
        )  # fmt: skip
