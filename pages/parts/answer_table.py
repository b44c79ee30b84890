"""The answers for many photos: narrowed down, in a table with small pictures, and to take along."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

import streamlit as st

from core.data.intake import Upload
from core.inference.answers_file import PhotoAnswer, csv_text
from core.inference.batch_folder import BatchFolder
from core.words import say
from pages.server.answered import picture_addresses
from pages.server.batches import sorted_address
from pages.server.routes import PREFIX

EVERY = ""  # the choice of no class in particular; no class is called that
SURE_PERCENT = 80
ROW_HEIGHT = 48  # pixels: a picture that shows something
Which = Literal["all", "sure", "unsure", "unknown", "unreadable"]


def show(folder: BatchFolder, upload: Upload) -> None:
    facts = folder.answers.stat()
    answers = _read(str(folder.answers), facts.st_size, facts.st_mtime_ns, folder)
    if not answers:
        return
    shown = _chosen(answers)
    st.caption(say("many.shown", shown=len(shown), n=len(answers)))
    _table(shown, folder, upload)
    with st.container(horizontal=True):
        st.download_button(
            say("many.csv_button"), data=lambda: csv_text(answers).encode("utf-8-sig"), mime="text/csv",
            file_name=f"graft-answers-{folder.run.id}.csv", key="many_csv", icon=":material/table:", on_click="ignore",
        )  # fmt: skip
        st.link_button(
            say("many.sorted_button"), sorted_address(PREFIX, upload, folder.run), icon=":material/folder_zip:",
            help=say("many.sorted_help"),
        )  # fmt: skip


@st.cache_resource(max_entries=4, show_spinner=False)
def _read(path: str, size: int, changed: int, _folder: BatchFolder) -> tuple[PhotoAnswer, ...]:
    """Shared by all sessions, and never changed."""
    del path, size, changed  # the cache's key
    return tuple(_folder.read())


def _chosen(answers: tuple[PhotoAnswer, ...]) -> list[PhotoAnswer]:
    """Those that a person wants to see."""
    kinds: list[Which] = ["all", "sure", "unsure"]
    kinds += ["unknown"] if any(answer.unknown for answer in answers) else []
    kinds += ["unreadable"] if any(answer.label is None for answer in answers) else []
    which = st.segmented_control(
        say("many.which"), kinds, format_func=lambda kind: say(f"many.which_{kind}"), default="all", key="many_which",
        required=True,
    )  # fmt: skip
    label, sure_from = EVERY, SURE_PERCENT
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if which in ("all", "sure", "unsure"):
            label = _class(answers)
        if which in ("sure", "unsure"):
            sure_from = st.slider(
                say("many.sure_from"), 0, 100, SURE_PERCENT, format="%d %%", key="many_sure",
                help=say("many.sure_from_help"),
            )  # fmt: skip
    return narrowed(answers, which or "all", label, sure_from / 100)


def _class(answers: tuple[PhotoAnswer, ...]) -> str:
    counts = Counter(answer.label for answer in answers if answer.label is not None and not answer.unknown)
    classes = sorted(counts, key=lambda label: (-counts[label], label))

    def named(label: str) -> str:
        return say("many.every_class") if label == EVERY else say("many.count", label=label, n=counts[label])

    return st.selectbox(say("many.which_class"), [EVERY, *classes], format_func=named, key="many_class")


def narrowed(answers: Sequence[PhotoAnswer], which: Which, label: str, sure_from: float) -> list[PhotoAnswer]:
    """Answers of one kind and, where ``label`` names one, of one class; sure ones have at least ``sure_from``."""

    def wanted(answer: PhotoAnswer) -> bool:
        if label != EVERY and (answer.label != label or answer.unknown):
            return False
        match which:
            case "all":
                return True
            case "unknown":
                return answer.unknown
            case "unreadable":
                return answer.label is None
            case _:
                known = answer.confidence is not None and not answer.unknown
                return known and ((answer.confidence or 0.0) >= sure_from) == (which == "sure")

    return [answer for answer in answers if wanted(answer)]


def _table(answers: list[PhotoAnswer], folder: BatchFolder, upload: Upload) -> None:
    picture = picture_addresses(PREFIX, upload, folder.run)
    # What the model says first, then second: "I don't know" comes before its best guess.
    said = [((say("unknown.title"), None), *answer.top) if answer.unknown else answer.top for answer in answers]
    pairs = [(*top[:2], ("", None), ("", None))[:2] for top in said]
    columns: dict[str, list[Any]] = {
        "picture": [picture(answer.path) if answer.label is not None else "" for answer in answers],
        "label": [first[0] for first, _ in pairs],  # on a phone what comes first is all that is seen
        "confidence": [first[1] for first, _ in pairs],
        "path": [answer.path.encode("utf-8", "replace").decode() for answer in answers],
        "second": [second[0] for _, second in pairs],
        "second_confidence": [second[1] for _, second in pairs],
    }
    if any(answer.error for answer in answers):
        columns["error"] = [answer.error or "" for answer in answers]
    st.dataframe(
        columns, hide_index=True, key="many_table", row_height=ROW_HEIGHT,
        column_config={name: _column(name) for name in columns},
    )  # fmt: skip


def _column(name: str) -> Any:
    title = say(f"many.column.{name}")
    if name == "picture":
        return st.column_config.ImageColumn(title, width="small")
    if name.endswith("confidence"):
        return st.column_config.ProgressColumn(title, format="percent", min_value=0.0, max_value=1.0)
    return st.column_config.TextColumn(title)
