"""The cases of a finding as pictures, each with what would mend it. Drawn from values; what a press does is given."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import streamlit as st

from core.data.report import DatasetReport, Photo
from core.doctor.report import Case, Diagnosis
from core.words import say
from pages.parts import panels

WIDTH = 150  # pixels of a single photo
WIDTH_OF_SEVERAL = 118  # three copies side by side still fit a phone
MOST_OF_SEVERAL = 6  # photos of one case that are shown
MOST_SIDE_BY_SIDE = 3  # photos of cases that lie beside each other; longer ones get a row of their own
TWO_CLASSES = "torn"  # the kind of finding that is mended by saying which class is right
Press = Callable[[Sequence[Case]], None]


@dataclass(frozen=True)
class Presses:
    """What the buttons do."""

    accept: Press
    refuse: Press
    move: Callable[[Case, str], None]  # all photos of the case to this class


def grid(report: DatasetReport, found: Diagnosis, cases: Sequence[Case], presses: Presses) -> None:
    """One place a case: its photos, what is to be said of it, and its buttons."""
    photos = {photo.path: photo for photo in (*report.photos, *report.unlabelled)}
    longest = max(len(case.paths) for case in cases)
    several = longest > 1
    width = 290 if several else WIDTH
    with st.container() if longest > MOST_SIDE_BY_SIDE else st.grid("auto", min_column_width=width, gap="small"):
        for case in cases:
            with st.container(border=several, key=f"case_{found.kind}_{_name(case)}", gap="xsmall"):
                _pictures(report, [photos[path] for path in case.paths if path in photos], case, several)
                _say(found, case, photos)
                _buttons(found, case, photos, presses)


def _name(case: Case) -> str:
    """The case's name in keys: paths may hold anything, so a number made of them."""
    return blake2b("\0".join(case.paths).encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()


def _pictures(report: DatasetReport, photos: list[Photo], case: Case, several: bool) -> None:
    pictures: list[bytes] = []
    captions: list[str] = []
    alts: list[str] = []
    for photo in photos[:MOST_OF_SEVERAL]:
        picture = panels.picture(report.root, photo.path, photo.sha256)
        if picture is not None:
            pictures.append(picture)
            captions.append(_caption(photo, case))
            alts.append(say("photos.alt", label=photo.label, path=photo.path))
    if not pictures:
        st.caption(say("doctorpage.no_picture"))
    elif several:
        st.image(pictures, caption=captions, width=WIDTH_OF_SEVERAL, alt=alts)
        if len(photos) > MOST_OF_SEVERAL:
            st.caption(say("doctorpage.more_copies", n=len(photos) - MOST_OF_SEVERAL))
    else:
        st.image(pictures[0], width=WIDTH, alt=alts[0])


def _caption(photo: Photo, case: Case) -> str:
    """The class of one of several copies, its part where the user gave one, and whether it would go."""
    label = panels.plain(photo.label)
    if photo.part is not None:
        label = f"{label} · {say(f'charts.part.{photo.part}')}"
    if case.suggestion is None or case.suggestion.field != "aside":
        return label
    return say("doctorpage.goes" if photo.path in case.suggestion.paths else "doctorpage.stays", label=label)


def _say(found: Diagnosis, case: Case, photos: Mapping[str, Photo]) -> None:
    text = found.case_text(case)
    if text:
        st.markdown(panels.plain(text))
        if case.suggestion is not None and case.suggestion.field == "label":
            st.caption(say("doctorpage.sure", share=panels.percent(case.confidence)))
    elif len(case.paths) == 1 and case.paths[0] in photos:
        st.caption(panels.plain(photos[case.paths[0]].label))


def _buttons(found: Diagnosis, case: Case, photos: Mapping[str, Photo], presses: Presses) -> None:
    with st.container(horizontal=len(case.paths) > 1, gap="xsmall"):
        if case.suggestion is not None:
            key = f"accept_{found.kind}_{_name(case)}"
            st.button(wording(case), key=key, on_click=presses.accept, args=([case],))
        elif found.kind == TWO_CLASSES:
            labels = sorted({photos[path].label for path in case.paths if path in photos})
            for place, label in enumerate(labels):
                text, key = panels.shown("doctorpage.is", label=label), f"is_{found.kind}_{_name(case)}_{place}"
                st.button(text, key=key, on_click=presses.move, args=(case, label))
        key = f"refuse_{found.kind}_{_name(case)}"
        st.button(say("doctorpage.keep"), key=key, type="tertiary", on_click=presses.refuse, args=([case],))


def wording(case: Case) -> str:
    """What accepting would do: ``Move to “bees”``, ``Set 2 aside``."""
    wanted = case.suggestion
    if wanted is None:
        return ""
    if wanted.field == "label":
        return panels.shown("doctorpage.move", label=wanted.value)
    return say("doctorpage.set_aside", n=len(wanted.paths))
