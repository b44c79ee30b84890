"""How the photos are divided, why, and which are kept together: by likeness always, by the user's rule as well."""

import streamlit as st

from core.data.datasets import Dataset
from core.data.report import PARTS, DatasetReport, Split
from core.words import say
from pages.parts import charts, panels, rules, steps
from pages.parts.cards import stat_row
from pages.parts.plot import plot


def panel(chosen: Dataset, report: DatasetReport, divided: Split | None) -> None:
    """The parts with their numbers and a picture of them, then what must not be torn apart."""
    st.subheader(say("photos.split"), anchor=False)
    st.markdown(say("photos.split_why"))
    if divided is not None:
        _parts(report, divided)
    st.subheader(say("division.together"), anchor=False)
    st.markdown(say("division.together_why"))
    _bound(report)
    steps.done(chosen, rules.PLACE)
    rules.choose(chosen, report)


def _parts(report: DatasetReport, divided: Split) -> None:
    total = sum(len(divided.part(part)) for part in PARTS)
    stat_row(
        [
            (
                say(f"photos.part.{part}"),
                f"{len(divided.part(part)):,} · {panels.percent(len(divided.part(part)) / max(1, total))}",
                say(f"photos.part_help.{part}"),
            )
            for part in PARTS
        ]
    )
    _given(report)
    counts = charts.part_counts(divided)
    plot(charts.class_counts(counts), key="class_counts", alt=charts.class_counts_alt(counts))
    st.markdown(say("division.test_why"))
    for note in divided.notes:
        st.info(panels.shown(f"data.finding.{note.kind}", **note.values), icon=":material/info:")


def _given(report: DatasetReport) -> None:
    """Which parts the photos came with, and what was therefore left to Graft."""
    given = {part: sum(photo.part == part for photo in report.photos) for part in PARTS}
    named = [say("division.given_part", part=say(f"charts.part.{part}"), n=n) for part, n in given.items() if n]
    if named:
        st.markdown(say("division.given", parts=charts.listed(named)))
    else:
        st.markdown(say("division.drawn"))


def _bound(report: DatasetReport) -> None:
    """How many photos can't be torn apart in the version that is current: by likeness, and by the user's rule."""
    for name, groups in (("alike", report.together), ("ruled", report.groups)):
        if groups:
            photos = len({path for group in groups for path in group})
            st.markdown(say(f"division.{name}", n=len(groups), photos=photos))
