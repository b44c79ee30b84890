"""Many photos on Try it: a folder or a zip in, a table of answers out; the work goes on while nobody looks."""

import streamlit as st

from core.data import intake
from core.data.intake import Upload
from core.inference import batch_worker
from core.inference.batch_folder import BatchFolder
from core.inference.batch_worker import Batch
from core.runs import RunDirectory
from core.words import say
from pages.parts import answer_table, panels, state
from pages.parts.uploader import uploader

POLL_SECONDS = 0.7


def panel(run: RunDirectory) -> None:
    """Everything from the drop area to the downloads."""
    upload = state.upload("many")
    folder = BatchFolder(upload.folder, run)
    arrived = uploader("many_upload", upload=upload, mode="many")
    if arrived is not None and arrived.problem:
        st.warning(arrived.problem, icon=":material/warning:")
    if not intake.count_on_disk(upload):
        return
    known = batch_worker.watch(folder)
    if known.status == "working":
        _working(folder)
        return
    _stand(folder, known)
    _counts(known)
    if folder.answers.exists():
        answer_table.show(folder, upload)
    st.button(say("try.clear"), key="many_clear", icon=":material/clear_all:", on_click=_clear, args=(upload,))


def _clear(upload: Upload) -> None:
    intake.discard(upload)
    state.forget_upload("many")


# How it stands


@st.fragment(run_every=POLL_SECONDS)
def _working(folder: BatchFolder) -> None:
    """How far it is; the page is drawn again when it has ended."""
    known = batch_worker.watch(folder)
    if known.status != "working":
        st.rerun()
    share = known.done / known.total if known.total else 0.0
    st.progress(min(1.0, share), text=_how_far(known))
    _counts(known)
    st.button(
        say("many.stop"), key="many_stop", icon=":material/stop_circle:", on_click=batch_worker.stop, args=(folder,)
    )


def _how_far(known: Batch) -> str:
    match known.phase:
        case "unpack":
            return say("many.unpacking", done=known.done, n=known.total)
        case "look":
            return say("many.progress", done=known.done, n=known.total, speed=f"{known.per_second:.1f}")
        case _:
            return say("many.loading")


def _stand(folder: BatchFolder, known: Batch) -> None:
    """What ended it, and the button that goes on."""
    if known.status == "ready":
        st.success(say("many.ready", n=known.total), icon=":material/check_circle:")
        return
    if known.status == "failed" and known.error is not None:
        panels.error_box(known.error)
    elif known.status == "stopped":
        st.info(say("many.stopped", done=known.done, n=known.total), icon=":material/pause_circle:")
    elif known.status == "lost":
        st.warning(say("many.lost"), icon=":material/warning:")
        if known.log:
            with st.expander(say("many.log")):
                st.code(known.log, language=None)
    label = say("many.start") if known.status == "waiting" else say("many.go_on")
    st.button(
        label, key="many_start", type="primary", icon=":material/play_arrow:", on_click=batch_worker.start,
        args=(folder,),
    )  # fmt: skip


def _counts(known: Batch) -> None:
    """Photos by class, the most frequent first."""
    told = [say("many.count", label=panels.plain(label), n=n) for label, n in known.counts.items()]
    if known.unknown:
        told.append(say("many.unknown", n=known.unknown))
    if known.unreadable:
        told.append(say("many.unreadable", n=known.unreadable))
    if told:
        st.caption(" · ".join(told))
