"""What a scan found, shown: counts, pictures, what was left out, what to know, and how the photos are divided."""

from itertools import islice

import streamlit as st

from core.data.report import PARTS, DatasetReport, Finding, Photo, Split
from core.errors import CoreError
from core.words import say
from pages.parts import charts, panels, state
from pages.parts.cards import stat_row
from pages.parts.plot import plot

SHOWN_CLASSES = 8  # classes with a row of pictures before "more" is asked for
SHOWN_PHOTOS = 5
SERIOUS = ("one_class", "leak", "contradiction", "tiny_class")


def show(known: DatasetReport) -> None:
    """The report, and at its end the one way on."""
    stat_row(
        [
            (say("photos.stat.photos"), f"{len(known.photos):,}", None),
            (say("photos.stat.classes"), f"{len(known.classes):,}", None),
            (say("photos.stat.left_out"), f"{len(known.left_out):,}", None),
        ]
    )
    divided = _divided(known)
    if divided is not None:
        panels.next_step("model", say("photos.next"))
    for finding in sorted(known.findings, key=lambda one: one.kind not in SERIOUS):
        _finding(finding)
    _classes(known, divided)
    _left_out(known)
    if divided is not None:
        _split(divided)


def _divided(known: DatasetReport) -> Split | None:
    try:
        return state.split_of(known)
    except CoreError as error:
        panels.error_box(error)
        return None


def _finding(finding: Finding) -> None:
    text = panels.shown(f"data.finding.{finding.kind}", **finding.values)
    if finding.kind in SERIOUS:
        st.warning(text, icon=":material/warning:")
    else:
        st.info(text, icon=":material/info:")


def _classes(known: DatasetReport, divided: Split | None) -> None:
    st.subheader(say("photos.classes"), anchor=False)
    counts = {label: {"all": count} for label, count in known.counts.items()}
    if divided is not None:
        counts = charts.part_counts(divided)
    plot(charts.class_counts(counts), key="class_counts", alt=charts.class_counts_alt(counts))
    samples = _samples(known)
    labels = list(samples)
    more = len(labels) > SHOWN_CLASSES and st.toggle(say("photos.all_classes", n=len(labels)), key="all_classes")
    for label in labels if more else labels[:SHOWN_CLASSES]:
        photos = samples[label]
        st.markdown(f"**{panels.plain(label)}** · {say('photos.count', n=known.counts[label])}")
        sizes = [f"{photo.width}×{photo.height}" for photo in photos]
        alts = [say("photos.alt", label=label, path=photo.path) for photo in photos]
        panels.photo_grid(known.root, [(photo.path, photo.sha256) for photo in photos], sizes, alts)


def _samples(known: DatasetReport) -> dict[str, list[Photo]]:
    """A few photos of each class, from the beginning, the middle and the end."""
    rows: dict[str, list[Photo]] = {label: [] for label in known.classes}
    for photo in known.photos:
        rows[photo.label].append(photo)
    return {
        label: list(islice(photos, 0, None, max(1, len(photos) // SHOWN_PHOTOS)))[:SHOWN_PHOTOS]
        for label, photos in rows.items()
    }


def _left_out(known: DatasetReport) -> None:
    if not known.left_out:
        return
    with st.expander(say("photos.left_out", n=len(known.left_out)), icon=":material/block:"):
        rows = [{say("photos.file"): row.path, say("photos.why"): row.text} for row in known.left_out]
        st.dataframe(rows, hide_index=True, key="left_out")


def _split(divided: Split) -> None:
    st.subheader(say("photos.split"), anchor=False)
    st.markdown(say("photos.split_why"))
    stat_row(
        [
            (say(f"photos.part.{part}"), f"{len(divided.part(part)):,}", say(f"photos.part_help.{part}"))
            for part in PARTS
        ]
    )
    for note in divided.notes:
        st.info(panels.shown(f"data.finding.{note.kind}", **note.values), icon=":material/info:")
