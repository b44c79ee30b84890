"""The check-up: one line that says how it stands, and below it a card for each finding with what would mend it."""

from collections.abc import Sequence

import streamlit as st

from core.data import mending
from core.data.datasets import Dataset
from core.data.report import DatasetReport
from core.data.store import facts_of
from core.doctor.report import Case, Diagnosis
from core.words import say
from pages.parts import cases, charts, examined, mend, panels, steps, told_by
from pages.parts.examined import Found
from pages.parts.plot import plot

POLL_SECONDS = 0.7
FIRST, MORE = 6, 12  # cases of a finding: at first, and when more is asked for; then all of them as a grid
PLACE = "doctor_"  # before a kind of finding: where its presses are told
CERTAIN = 0.99  # confidence from which all cases may be accepted unseen
BADGES = {
    "serious": ("red", ":material/error:"),
    "look": ("orange", ":material/search:"),
    "note": ("gray", ":material/info:"),
}


def panel(chosen: Dataset, report: DatasetReport) -> None:
    """Everything the doctor has to say on this version."""
    found = examined.look(chosen, report)
    with st.container(key="checkup_line"):
        if found.complete:
            _summary(found)
        else:
            status(chosen, report, found)
    kinds = [one.kind for one in found.diagnoses]
    for place in steps.places(chosen):
        if place.startswith(PLACE) and place.removeprefix(PLACE) not in kinds:
            steps.done(chosen, place)
    grave = any(one.weight == "serious" for one in found.diagnoses)
    for one in found.diagnoses:
        _card(chosen, report, one, grave)


# How it stands


def status(chosen: Dataset, report: DatasetReport, found: Found) -> None:
    """What keeps the check-up from being complete; nothing where nothing does."""
    if found.checkup.status == "working":
        _working(chosen, report, found)
    elif not found.complete:
        _interrupted(chosen, found)


@st.fragment(run_every=POLL_SECONDS)
def _working(chosen: Dataset, report: DatasetReport, before: Found) -> None:
    """How far it is; the page is drawn again when there is something new to say."""
    found = examined.look(chosen, report)
    was, now = before.checkup, found.checkup
    if now.status != "working" or (now.fast, now.deep) != (was.fast, was.deep):
        st.rerun()
    share = now.done / now.total if now.total else 0.0
    text = say(f"doctorpage.phase.{now.phase or 'begin'}", done=now.done, total=now.total)
    st.progress(min(1.0, share), text=text)


def _summary(found: Found) -> None:
    """Green where nothing misleads the model; else how much there is, by weight."""
    if (reason := found.checkup.without_deep) is not None:
        st.info(say(f"doctor.without_deep.{reason}"), icon=":material/info:")
    counts = {weight: sum(one.weight == weight for one in found.diagnoses) for weight in BADGES}
    if not counts["serious"] and not counts["look"]:
        st.success(say("doctorpage.clean"), icon=":material/check_circle:")
        return
    told = [say(f"doctorpage.count.{weight}", n=count) for weight, count in counts.items() if count]
    icon = ":material/error:" if counts["serious"] else ":material/search:"
    box = st.warning if counts["serious"] else st.info
    box(say("doctorpage.found", what=charts.listed(told)), icon=icon)


def _interrupted(chosen: Dataset, found: Found) -> None:
    """The check-up died, or couldn't be finished: say so, and go on where that helps."""
    if found.checkup.error is not None:
        panels.error_box(found.checkup.error)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.warning(say("doctorpage.interrupted"), icon=":material/warning:", width="stretch")
        st.button(say("doctorpage.again"), key="checkup_again", on_click=examined.start, args=(chosen,))


# A finding


def _card(chosen: Dataset, report: DatasetReport, found: Diagnosis, grave: bool) -> None:
    """One finding; ``grave`` if there is one that spoils the score."""

    place = f"{PLACE}{found.kind}"

    def accept(chosen_cases: Sequence[Case]) -> None:
        wanted = [case.suggestion for case in chosen_cases if case.suggestion is not None]
        steps.do(chosen, place, lambda: mending.accept(chosen, wanted))

    def refuse(chosen_cases: Sequence[Case]) -> None:
        paths = list(dict.fromkeys(path for case in chosen_cases for path in case.paths))
        steps.do(chosen, place, lambda: mending.refuse(chosen, found.kind, paths))

    def move(case: Case, label: str) -> None:
        steps.do(chosen, place, lambda: mending.move(chosen, case.paths, label))

    colour, icon = BADGES[found.weight]
    label = f":{colour}-badge[{icon} {say(f'doctorpage.weight.{found.weight}')}] **{panels.plain(found.title)}**"
    box = st.expander(
        label, expanded=_begins_open(chosen, found, grave), key=f"finding_{found.kind}", on_change="rerun"
    )
    if not box.open:
        return
    with box:
        st.markdown(f"{panels.plain(found.meaning)} {panels.plain(found.mend)}")
        _measured(chosen, report, found)
        steps.done(chosen, place)
        if not found.cases:
            return
        count = _how_many(found)
        if count > MORE:
            mend.panel(chosen, report, shown=found.paths, key=f"all_{found.kind}")
        else:
            cases.grid(report, found, found.cases[:count], cases.Presses(accept, refuse, move))
        _bar(found, count, accept, refuse)


def _begins_open(chosen: Dataset, found: Diagnosis, grave: bool) -> bool:
    """What spoils the score is open at first, or where nothing does, what is worth a look; decided once a session."""
    opened: dict[str, bool] = st.session_state.setdefault(f"open_{chosen.id}", {})
    return opened.setdefault(found.kind, found.weight == "serious" or (found.weight == "look" and not grave))


def _measured(chosen: Dataset, report: DatasetReport, found: Diagnosis) -> None:
    """The numbers behind a finding about classes, as a picture."""
    if found.kind == "imbalance":
        counts = {label: {"all": count} for label, count in report.counts.items()}
        plot(charts.class_counts(counts), key="imbalance_counts", alt=charts.class_counts_alt(counts))
    if found.kind == "shortcut":
        facts = facts_of(chosen)
        for fact in dict.fromkeys(str(case.values.get("told_by")) for case in found.cases):
            first = next(case for case in found.cases if case.values.get("told_by") == fact)
            if (made := told_by.by_class(report, facts, first)) is not None:
                plot(charts.fact_by_class(*made), key=f"fact_{fact}", alt=charts.fact_by_class_alt(*made))


def _how_many(found: Diagnosis) -> int:
    """How many cases are shown: what was asked for in this session."""
    return min(len(found.cases), st.session_state.get(f"shown_{found.kind}", FIRST))


def _bar(found: Diagnosis, count: int, accept: cases.Press, refuse: cases.Press) -> None:
    """Buttons for all that is shown; what is certain may be accepted as a whole."""
    certain = all(case.confidence >= CERTAIN and case.suggestion is not None for case in found.cases)
    reached = list(found.cases if certain else found.cases[:count])
    mendable = [case for case in reached if case.suggestion is not None]
    with st.container(horizontal=True, vertical_alignment="center", key=f"bar_{found.kind}"):
        if len(mendable) > 1:
            st.button(
                say("doctorpage.accept_all", n=len(mendable)), key=f"accept_all_{found.kind}",
                icon=":material/done_all:", on_click=accept, args=(mendable,),
            )  # fmt: skip
        if len(reached) > 1:
            st.button(
                say("doctorpage.refuse_all", n=len(reached)), key=f"refuse_all_{found.kind}",
                type="tertiary", on_click=refuse, args=(reached,),
            )  # fmt: skip
        _more(found, count)


def _more(found: Diagnosis, count: int) -> None:
    """A way to the rest: first a dozen, then all of them in a grid."""
    following = next((step for step in (MORE, len(found.cases)) if step > count), None)
    if following is None or count >= len(found.cases):
        return

    def show() -> None:
        st.session_state[f"shown_{found.kind}"] = following

    wanted = min(following, len(found.cases))
    st.button(
        say("doctorpage.show", n=wanted, of=len(found.cases)), key=f"more_{found.kind}", type="tertiary",
        icon=":material/expand_more:", on_click=show,
    )  # fmt: skip
