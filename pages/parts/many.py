"""Many photos on Try it: a folder or a zip in, a table of answers out; the work goes on while nobody looks."""

import streamlit as st

from core.data import intake
from core.data.intake import Upload
from core.inference import batch_worker
from core.inference.answers_file import PhotoAnswer, csv_text
from core.inference.batch_folder import BatchFolder
from core.inference.batch_worker import Batch
from core.runs import RunDirectory
from core.words import say
from pages.parts import panels, state
from pages.parts.uploader import uploader
from pages.server.batches import sorted_address
from pages.server.routes import PREFIX

POLL_SECONDS = 0.7
EVERY = ""  # the choice of no class in particular
NONE = "\0"  # and of those that can't be read; no class is called that


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
        _answers(folder, upload)
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
    if known.unreadable:
        told.append(say("many.unreadable", n=known.unreadable))
    if told:
        st.caption(" · ".join(told))


# The answers


@st.cache_resource(max_entries=4, show_spinner=False)
def _read(path: str, size: int, changed: int, _folder: BatchFolder) -> tuple[PhotoAnswer, ...]:
    """Shared by all sessions, and never changed."""
    del path, size, changed  # the cache's key
    return tuple(_folder.read())


def _answers(folder: BatchFolder, upload: Upload) -> None:
    facts = folder.answers.stat()
    answers = _read(str(folder.answers), facts.st_size, facts.st_mtime_ns, folder)
    if not answers:
        return
    counts: dict[str, int] = {}
    for answer in answers:
        key = NONE if answer.label is None else answer.label
        counts[key] = counts.get(key, 0) + 1
    shown = _chosen(answers, counts)
    st.caption(say("many.shown", shown=len(shown), n=len(answers)))
    _table(shown)
    with st.container(horizontal=True):
        st.download_button(
            say("many.csv_button"), data=lambda: csv_text(answers).encode("utf-8-sig"), mime="text/csv",
            file_name=f"graft-answers-{folder.run.id}.csv", key="many_csv", icon=":material/table:", on_click="ignore",
        )  # fmt: skip
        st.link_button(
            say("many.sorted_button"), sorted_address(PREFIX, upload, folder.run), icon=":material/folder_zip:",
            help=say("many.sorted_help"),
        )  # fmt: skip


def _chosen(answers: tuple[PhotoAnswer, ...], counts: dict[str, int]) -> list[PhotoAnswer]:
    """Those of one class, and those that the model is not so sure of."""
    classes = sorted(counts, key=lambda label: (label == NONE, -counts[label], label))

    def named(label: str) -> str:
        if label == EVERY:
            return say("many.every_class")
        return say("many.unreadable" if label == NONE else "many.count", label=label, n=counts[label])

    left, right = st.columns(2)
    label = left.selectbox(say("many.which_class"), [EVERY, *classes], format_func=named, key="many_class")
    percent = right.slider(
        say("many.below"), 0, 100, 100, format="%d %%", key="many_below", help=say("many.below_help")
    )
    if label != EVERY:
        answers = tuple(answer for answer in answers if (NONE if answer.label is None else answer.label) == label)
    if percent == 100:
        return list(answers)
    return [answer for answer in answers if answer.confidence is not None and answer.confidence < percent / 100]


def _table(answers: list[PhotoAnswer]) -> None:
    second = [answer.top[1] if len(answer.top) > 1 else ("", None) for answer in answers]
    columns = {
        "path": [answer.path.encode("utf-8", "replace").decode() for answer in answers],
        "label": [answer.label or "" for answer in answers],
        "confidence": [answer.confidence for answer in answers],
        "second": [label for label, _ in second],
        "second_confidence": [chance for _, chance in second],
    }
    if any(answer.error for answer in answers):
        columns["error"] = [answer.error or "" for answer in answers]
    share = {"format": "percent", "min_value": 0.0, "max_value": 1.0}
    st.dataframe(
        columns, hide_index=True, key="many_table", column_config={
            name: st.column_config.ProgressColumn(say(f"many.column.{name}"), **share)
            if name.endswith("confidence")
            else st.column_config.TextColumn(say(f"many.column.{name}"))
            for name in columns
        },
    )  # fmt: skip
