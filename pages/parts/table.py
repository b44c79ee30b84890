"""The table (CSV) that came with photos: by which columns it is read, and what it then says."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import streamlit as st

from core.data import matching, mending, tables
from core.data.columns import Columns
from core.data.findings import named
from core.data.matching import Applied
from core.data.report import DatasetReport
from core.data.store import Dataset, write_columns
from core.data.tables import Table
from core.errors import CoreError
from core.words import say
from pages.parts import panels

LISTED = 200  # names in a list


def show(dataset: Dataset, report: DatasetReport) -> None:
    """Offer the tables that lie beside the photos, if there are any; using one is a step that can be undone."""
    found = _found(str(dataset.root), f"{dataset.id} {len(report.photos) + len(report.unlabelled) + len(report.aside)}")
    if not found:
        return
    used = next((str(row.values["file"]) for row in report.findings if row.kind == "table"), found[0])
    with st.expander(say("ways.table.title", file=panels.plain(used)), icon=":material/table_chart:"):
        st.markdown(say("ways.table.about"))
        name = used
        if len(found) > 1:
            name = st.selectbox(
                say("ways.table.which"), found, index=found.index(used) if used in found else 0, key="table_name"
            )
        _read(dataset, report, name)


def _read(dataset: Dataset, report: DatasetReport, name: str) -> None:
    photos = (*report.photos, *report.unlabelled, *report.aside)
    paths = tuple(photo.path for photo in photos)
    try:
        table = _table(str(dataset.root), name)
    except CoreError as error:
        panels.error_box(error)
        return
    guessed = matching.guess_columns(table, paths) or Columns(0)
    columns = _choose(table, guessed, name)
    applied = matching.apply(table, columns, paths)
    _tell(applied, len(paths))
    known = {photo.path: (photo.label, photo.part) for photo in photos}
    labels = {path: label for path, label in applied.labels.items() if known[path][0] != label}
    parts = {path: part for path, part in applied.parts.items() if known[path][1] != part}
    if not applied.classes:
        return
    if not labels and not parts:
        st.caption(say("ways.table.used"))
    elif st.button(say("ways.table.use"), type="primary", key="table_use", icon=":material/check:"):
        try:
            mending.use_table(dataset, name, labels, parts)
        except CoreError as error:
            panels.error_box(error)
            return
        write_columns(dataset, matching.values(table, columns, paths))
        st.rerun()


def _choose(table: Table, guessed: Columns, name: str) -> Columns:
    """The guessed columns in boxes; what is chosen there."""
    header = st.checkbox(say("ways.table.header"), guessed.header, key=f"table_header_{name}")
    guessed = replace(guessed, header=header)
    names = table.header(guessed)
    every = list(range(len(names)))
    labels: list[Any] = [*(["one_hot"] if guessed.one_hot else []), *every]

    def shown(column: Any) -> str:
        if column is None:
            return say("ways.table.none")
        if column == "one_hot":
            first, last = names[guessed.one_hot[0]], names[guessed.one_hot[-1]]
            return say("ways.table.columns", first=first, last=last)
        return names[column]

    with st.container(horizontal=True):
        file = st.selectbox(say("ways.table.file"), every, guessed.file, format_func=shown, key=f"table_file_{name}")
        label = st.selectbox(
            say("ways.table.label"),
            labels,
            0 if guessed.one_hot else labels.index(guessed.label) if guessed.label is not None else None,
            format_func=shown,
            key=f"table_label_{name}",
        )
        part = st.selectbox(
            say("ways.table.part"),
            [None, *every],
            0 if guessed.part is None else guessed.part + 1,
            format_func=shown,
            key=f"table_part_{name}",
        )
    one_hot = guessed.one_hot if label == "one_hot" else ()
    taken = {file, label, part, *one_hot}
    return Columns(
        file=file,
        label=label if isinstance(label, int) else None,
        part=part,
        one_hot=one_hot,
        others=tuple(column for column in every if column not in taken),
        header=header,
        part_when=guessed.part_when if part == guessed.part else {},
    )


def _tell(applied: Applied, total: int) -> None:
    told = sum(map(bool, applied.labels.values()))
    if applied.classes:
        st.markdown(panels.shown("ways.table.says", n=told, total=total, classes=named(applied.classes)))
    else:
        st.warning(say("ways.table.says_nothing"), icon=":material/warning:")
    lists = (
        ("unmatched", applied.unmatched_count, applied.unmatched),
        ("without_row", len(applied.without_row), applied.without_row),
        ("torn", len(applied.torn), applied.torn),
    )
    for kind, count, names in lists:
        if count:
            with st.popover(say(f"ways.table.{kind}", n=count)):
                st.code("\n".join(names[:LISTED]), language=None)
                if count > LISTED:
                    st.caption(say("ways.table.more", n=count - LISTED))


@st.cache_data(max_entries=8, show_spinner=False)
def _found(root: str, version: str) -> tuple[str, ...]:
    del version  # part of the cache's key: more photos may bring more tables
    return tables.find_tables(Path(root))


@st.cache_resource(max_entries=2, show_spinner=False)
def _table(root: str, name: str) -> Table:
    return tables.read_table(Path(root) / name, name)
