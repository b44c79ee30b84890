"""What a scan found, shown: numbers, one picture of each class, what was left out, and what the folders tell."""

from itertools import islice

import streamlit as st

from core.data.findings import named
from core.data.report import DatasetReport, Finding, Photo
from core.words import say
from pages.parts import panels
from pages.parts.cards import stat_row

SHOWN_CLASSES = 6  # classes with a picture: one row on a desk, two on a phone
WIDTH = 130  # pixels of such a picture
SERIOUS = ("one_class", "lost_class", "untrained_class")
# What the check-up says better, with the photos and what mends it.
OF_THE_DOCTOR = (
    "duplicates", "contradiction", "leak", "few_photos", "tiny_class", "imbalance", "small_pictures", "animated",
)  # fmt: skip


def numbers(known: DatasetReport) -> None:
    """How much there is; what is none of a data set's business is not among them."""
    counts = {
        "photos": len(known.photos), "classes": len(known.classes), "unlabelled": len(known.unlabelled),
        "aside": len(known.aside), "left_out": len(known.left_out),
    }  # fmt: skip
    rare = ("unlabelled", "aside")
    stat_row([(say(f"photos.stat.{name}"), f"{n:,}", None) for name, n in counts.items() if n or name not in rare])


def classes(known: DatasetReport) -> None:
    """One photo of each of the first classes, with how many there are."""
    st.subheader(say("photos.classes"), anchor=False)
    first: dict[str, Photo] = {}
    for photo in known.photos:
        first.setdefault(photo.label, photo)
    shown = list(islice(known.classes, SHOWN_CLASSES))
    with st.grid("auto", min_column_width=WIDTH, gap="small", key="classes"):
        for label in shown:
            with st.container(gap="xsmall"):
                _picture(known, first[label])
                st.markdown(f"**{panels.plain(label)}**  \n{say('photos.count', n=known.counts[label])}")
    if others := known.classes[SHOWN_CLASSES:]:
        st.caption(panels.shown("photos.more_classes", n=len(others), names=named(others)))


def _picture(known: DatasetReport, photo: Photo) -> None:
    picture = panels.picture(known.root, photo.path, photo.sha256)
    if picture is not None:
        st.image(picture, width=WIDTH, alt=say("photos.alt", label=photo.label, path=photo.path))


def findings(known: DatasetReport) -> None:
    """What was left out and why, and what the folders and names tell: all known before any check-up."""
    if known.left_out:
        with st.expander(say("photos.left_out", n=len(known.left_out)), icon=":material/block:"):
            rows = [{say("photos.file"): row.path, say("photos.why"): row.text} for row in known.left_out]
            st.dataframe(rows, hide_index=True, key="left_out")
    for finding in sorted(known.findings, key=lambda one: one.kind not in SERIOUS):
        if finding.kind not in OF_THE_DOCTOR:
            _finding(finding)


def _finding(finding: Finding) -> None:
    text = panels.shown(f"data.finding.{finding.kind}", **finding.values)
    if finding.kind in SERIOUS:
        st.warning(text, icon=":material/warning:")
    else:
        st.info(text, icon=":material/info:")
