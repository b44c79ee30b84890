"""Labelling with little work: guesses confirmed many at a time, or the most telling photos one by one."""

from collections.abc import Sequence

import streamlit as st

from core.data import mending
from core.data.datasets import Dataset
from core.data.report import DatasetReport, Photo
from core.data.store import read_report
from core.doctor.labelling import Proposal
from core.words import say
from pages.parts import charts, doctor, examined, mend, panels, steps
from pages.parts.examined import Found
from pages.parts.plot import plot

PLACE = "labelling"  # where a step is told, with its undo
CERTAIN, LEAST, MOST = 95, 50, 99  # percents of the slider
SHOWN = 12  # photos of a class that a round shows
ROUND = 10  # answers one by one, after which the guesses are made anew
SIDE = 480  # pixels of the one photo that is asked about
KEYS = "123456789"


def panel(chosen: Dataset, report: DatasetReport) -> None:
    """What Graft would call the photos without a label, and two ways to say yes or no to it."""
    found = examined.look(chosen, report)
    with st.container(key="checkup_line"):
        doctor.status(chosen, report, found)
        _checked(found)
    st.markdown(say("labelling_page.how", n=len(report.unlabelled)))
    guesses = examined.guesses(report, found)
    if guesses:
        way = st.segmented_control(
            say("labelling_page.way"), ["certain", "useful"], default="certain", required=True, key="labelling_way",
            format_func=lambda name: say(f"labelling_page.ways.{name}"), label_visibility="collapsed",
        )  # fmt: skip
    else:
        way = "useful"
        if found.complete:
            st.info(say("labelling_page.no_guesses"), icon=":material/info:")
    if way == "certain":
        _certain(chosen, guesses)
    else:
        queue = examined.useful(report, found)
        _one_by_one(chosen, queue, {one.path: one for one in guesses})
    _rounds(found)


def _checked(found: Found) -> None:
    """How good the guesses are; it takes the place of the progress, so that nothing moves."""
    known = found.proposals
    if found.complete and known is not None and known.accuracy is not None:
        text = say("labelling_page.checked", share=panels.percent(known.accuracy), n=known.judged)
        st.info(text, icon=":material/lightbulb:")


# Many at a time


@st.fragment
def _certain(chosen: Dataset, guesses: Sequence[Proposal]) -> None:
    """A slider, what it comes to, one button, and the photos by the class they would get."""
    if st.session_state.pop("labelling_said", False):
        st.rerun()
    least = st.slider(say("labelling_page.least"), LEAST, MOST, CERTAIN, format="%d %%", key="labelling_least")
    taken = sorted((one for one in guesses if one.certainty >= least / 100), key=lambda one: -one.certainty)
    wrong = round(sum(1 - one.certainty for one in taken))
    if not taken:
        most = panels.percent(max(one.certainty for one in guesses))
        st.markdown(say("labelling_page.none_so_certain", most=most))
    else:
        st.markdown(
            say("labelling_page.taken", n=len(taken), of=len(guesses)) + " " + say("labelling_page.wrong", n=wrong)
        )

    def confirm() -> None:
        said = {one.path: one.label for one in taken}
        st.session_state["labelling_said"] = steps.do(chosen, PLACE, lambda: mending.confirm(chosen, said))

    st.button(
        say("labelling_page.confirm", n=len(taken)), key="labelling_confirm", icon=":material/done_all:",
        disabled=not taken, on_click=confirm,
    )  # fmt: skip
    steps.done(chosen, PLACE)
    report = read_report(chosen)
    for label in sorted({one.label for one in taken}):
        _class(chosen, report, label, [one for one in taken if one.label == label])


def _class(chosen: Dataset, report: DatasetReport, label: str, taken: Sequence[Proposal]) -> None:
    """The photos that would get one class, the most certain first."""
    st.markdown(f"**{panels.plain(label)}** · {say('photos.count', n=len(taken))}")
    if st.toggle(say("labelling_page.pick", n=len(taken)), key=f"all_of_{label}"):
        mend.panel(chosen, report, shown=[one.path for one in taken], key=f"guessed_{label}")
        return
    photos = {photo.path: photo for photo in report.unlabelled}
    shown = [one for one in taken if one.path in photos][:SHOWN]
    panels.photo_grid(
        report.root,
        [(one.path, photos[one.path].sha256) for one in shown],
        [panels.percent(one.certainty) for one in shown],
        [say("labelling_page.alt", path=one.path, label=label) for one in shown],
    )


# One by one


@st.fragment
def _one_by_one(chosen: Dataset, queue: Sequence[str], guesses: dict[str, Proposal]) -> None:
    """The next photo with a button for every class; a number key does the same."""
    report = read_report(chosen)
    waiting = {photo.path: photo for photo in report.unlabelled}
    skipped: set[str] = st.session_state.setdefault(f"skipped_{chosen.id}", set())
    left = [path for path in queue if path in waiting and path not in skipped]
    if not left or st.session_state.get("labelling_answers", 0) >= ROUND:
        st.session_state["labelling_answers"] = 0
        if len(left) != len(queue):  # a round is over: guess anew
            skipped.clear() if not left else None
            st.rerun()
    steps.done(chosen, PLACE)
    if not left:
        return
    photo, guess = waiting[left[0]], guesses.get(left[0])
    picture, answers = st.columns([1, 1], gap="large")
    with picture:
        _large(report, photo)
    with answers:
        st.markdown(say("labelling_page.question"))
        if guess is not None:
            st.caption(panels.shown("labelling_page.guess", label=guess.label, share=panels.percent(guess.certainty)))
        _answers(chosen, report, photo)


def _large(report: DatasetReport, photo: Photo) -> None:
    picture = panels.picture(report.root, photo.path, photo.sha256, side=SIDE)
    if picture is None:
        st.caption(say("doctorpage.no_picture"))
    else:
        st.image(picture, width="stretch", alt=say("mend.alt_none", path=photo.path))
    st.caption(panels.plain(photo.path))


def _answers(chosen: Dataset, report: DatasetReport, photo: Photo) -> None:
    def show(label: str) -> None:
        _count(steps.do(chosen, PLACE, lambda: mending.move(chosen, [photo.path], label)))

    def aside() -> None:
        _count(steps.do(chosen, PLACE, lambda: mending.set_aside(chosen, [photo.path], "other")))

    def skip() -> None:
        st.session_state[f"skipped_{chosen.id}"].add(photo.path)

    def name() -> None:
        typed = str(st.session_state.get("labelling_new", ""))
        if typed.strip():
            show(typed)
            st.session_state["labelling_new"] = ""

    for place, label in enumerate(report.classes):
        key = KEYS[place] if place < len(KEYS) else None
        st.button(
            panels.plain(label), key=f"label_{place}", width="stretch", shortcut=key, on_click=show, args=(label,)
        )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input(say("labelling_page.new"), key="labelling_new", max_chars=80)
        st.button(say("labelling_page.use_new"), key="label_new", on_click=name)
    with st.container(horizontal=True):
        st.button(say("labelling_page.skip"), key="label_skip", type="tertiary", shortcut="0", on_click=skip)
        st.button(say("labelling_page.none_of_these"), key="label_aside", type="tertiary", on_click=aside)


def _count(said: bool) -> None:
    if said:
        st.session_state["labelling_answers"] = st.session_state.get("labelling_answers", 0) + 1


# What it brought


def _rounds(found: Found) -> None:
    """The accuracy of the guesses, round by round, once there are two."""
    made = examined.rounds(found)
    if len(made) > 1:
        st.subheader(say("labelling_page.rounds"), anchor=False)
        st.markdown(say("labelling_page.rounds_mean"))
        plot(charts.rounds(made), key="labelling_rounds", alt=charts.rounds_alt(made))
