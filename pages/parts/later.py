"""A run tested on other photos than its own test part: bringing them, watching it, choosing whose score to see."""

import zlib
from collections import Counter

import streamlit as st

from core import background
from core.background import Known
from core.data import datasets
from core.data.datasets import Dataset
from core.errors import CoreError
from core.inference import later, later_worker
from core.inference.batch_folder import model_stamp
from core.inference.later import LaterTest, TestFolder
from core.inference.metrics import Results
from core.runs import RunDirectory
from core.words import say
from pages.parts import panels, scores, state, ways_in
from pages.parts.uploader import uploader

TEST = "test"  # query key of the test whose score is shown
OWN = ""  # the choice of the run's own test part
POLL_SECONDS = 0.7
NAMED = 8  # classes that a sentence bears
PROBLEM = "later_problem"
CLOSE = "later_close"  # the photos have come: the drop area goes


# Whose score is shown


def choose(run: RunDirectory, *, has_own: bool) -> LaterTest | None:
    """The test in the address, or chosen here; None for the run's own test part, and where nothing else is there."""
    finished = {folder.id: folder for folder in later.tests(run) if folder.result.exists()}
    options = [*([OWN] if has_own else []), *finished]
    given = st.query_params.get(TEST, OWN)
    if not finished:
        return None
    chosen = given if given in options else options[0]
    _choice(run, finished, options, chosen)
    return _read(finished[chosen]) if chosen != OWN else None


def _choice(run: RunDirectory, finished: dict[str, TestFolder], options: list[str], chosen: str) -> None:
    words = _labels(finished)
    # The browser keeps the texts of what is chosen: other texts are another widget, or it would answer with old ones.
    key = f"later_choice_{run.id}_{zlib.crc32(repr(words).encode('utf-8', 'replace'))}"
    if st.session_state.get(key) != chosen:
        st.session_state[key] = chosen  # the address says which

    def note_choice() -> None:
        _show(st.session_state[key])

    st.selectbox(say("later.which"), options, key=key, format_func=words.__getitem__, on_change=note_choice)


def _show(identifier: str) -> None:
    if identifier:
        st.query_params[TEST] = identifier
    else:
        st.query_params.pop(TEST, None)


def _labels(finished: dict[str, TestFolder]) -> dict[str, str]:
    """By id; no two are the same, for the browser answers with the text of an option: later ones get a number."""
    labels = {OWN: say("later.own")}
    seen: Counter[str] = Counter()
    for identifier in sorted(finished):
        plan = finished[identifier].plan()
        label = say("later.one", name=plan.get("name", ""), when=panels.moment(float(plan.get("created", 0))))
        seen[label] += 1
        labels[identifier] = label if seen[label] == 1 else f"{label} ({seen[label]})"
    return labels


def _read(folder: TestFolder) -> LaterTest | None:
    """None, with the reason shown, where it can't be read."""
    try:
        facts = folder.result.stat()
        return _cached(str(folder.result), facts.st_mtime_ns, facts.st_size, folder)
    except FileNotFoundError:  # deleted in another tab
        return None
    except CoreError as error:
        panels.error_box(error)
        return None


@st.cache_resource(max_entries=16, show_spinner=False)
def _cached(path: str, changed_ns: int, size: int, _folder: TestFolder) -> LaterTest | None:
    """Shared by all sessions, and never changed."""
    del path, changed_ns, size  # the cache's key
    return later.read(_folder)


def score(run: RunDirectory, test: LaterTest) -> Results:
    """The chosen test's answers, with what was left out of them and why told above."""
    st.caption(panels.shown("later.told", name=test.name, when=panels.moment(test.created)))
    if test.model != model_stamp(run):
        st.warning(say("later.changed"), icon=":material/warning:")
    key, with_seen = f"later_seen_{test.id}", False
    if test.seen:
        with_seen = bool(st.session_state.get(key, False))  # told first, changed below
        st.info(say("later.seen_counted" if with_seen else "later.seen", n=len(test.seen)), icon=":material/info:")
        st.checkbox(say("later.seen_in"), key=key)
    for text in _left_out(test):
        st.info(text, icon=":material/info:")
    results = test.score(with_seen=with_seen)
    if not results.total:
        st.warning(say("later.nothing_left"), icon=":material/warning:")
    return results


def _left_out(test: LaterTest) -> list[str]:
    told: list[str] = []
    if test.unknown:
        names = sorted(test.unknown)
        listed = ", ".join(f"“{name}”" for name in names[:NAMED]) + (", …" if len(names) > NAMED else "")
        told.append(panels.shown("later.unknown", n=sum(test.unknown.values()), names=listed))
    for name, count in (("unlabelled", test.unlabelled), ("unreadable", len(test.results.unreadable))):
        if count:
            told.append(say(f"later.{name}", n=count))
    return told


def dataset_of(identifier: str) -> Dataset | None:
    try:
        return datasets.open_dataset(state.workspace(), identifier)
    except CoreError:
        return None


# Testing


def panel(run: RunDirectory) -> None:
    """The tests there are with what can be done with each, and the ways to make another."""
    st.subheader(say("later.title"), anchor=False)
    st.markdown(say("later.how"))
    problem = st.session_state.pop(PROBLEM, None)
    if isinstance(problem, CoreError):
        panels.error_box(problem)
    folders = later.tests(run)
    if any(background.is_working(folder) for folder in folders):
        _working(run)
    for folder in folders:
        known = later.known_of(folder)
        if known.status != "working":
            with st.container(border=True, key=f"later_{folder.id}"):
                _stand(run, folder, known)
    _new(run)


@st.fragment(run_every=POLL_SECONDS)
def _working(run: RunDirectory) -> None:
    """How far each is; the page is drawn again when one has ended."""
    now = [folder.id for folder in later.tests(run) if background.is_working(folder)]
    if st.session_state.setdefault("later_working", now) != now:
        st.session_state["later_working"] = now
        st.rerun()
    for folder in later.tests(run):
        known = later.known_of(folder)
        if known.status != "working":
            continue
        done, total = int(known.told.get("done", 0)), int(known.told.get("total", 0))
        phase = known.told.get("phase", "load")
        text = panels.shown(f"later.phase.{phase if phase in ('scan', 'look') else 'load'}",
            name=str(folder.plan().get("name", "")), done=done, total=total)  # fmt: skip
        st.progress(min(1.0, done / total) if total else 0.0, text=text)
        st.button(
            say("later.stop"), key=f"later_stop_{folder.id}", icon=":material/stop_circle:", on_click=background.stop,
            args=(folder,),
        )  # fmt: skip


def _stand(run: RunDirectory, folder: TestFolder, known: Known) -> None:
    """One test that isn't at work: its score or what ended it, and what can be done."""
    plan = folder.plan()
    name = str(plan.get("name", ""))
    test = _read(folder) if folder.result.exists() else None
    if test is not None:
        st.markdown(f"**{panels.plain(name)}** · {panels.moment(test.created)}")
        scores.in_words(test.score())
    source = dataset_of(str(plan.get("dataset", "")))
    _ended(name, known, tested=test is not None)
    if source is None:
        st.caption(say("later.gone"))
    with st.container(horizontal=True, gap="small"):
        if test is not None and st.query_params.get(TEST) != folder.id:
            st.button(
                say("later.show"), key=f"later_show_{folder.id}", icon=":material/fact_check:", on_click=_show,
                args=(folder.id,),
            )  # fmt: skip
        if source is not None:
            st.button(
                say("later.go_on" if known.status in ("stopped", "lost", "failed") else "later.again"),
                key=f"later_go_{folder.id}", icon=":material/play_arrow:", on_click=_start, args=(folder, source),
            )  # fmt: skip
        st.button(
            say("later.delete"), key=f"later_delete_{folder.id}", icon=":material/delete:", type="tertiary",
            help=say("later.delete_help"), on_click=_delete, args=(folder,),
        )  # fmt: skip


def _ended(name: str, known: Known, *, tested: bool) -> None:
    if known.status == "failed" and known.error is not None:
        panels.error_box(known.error)
    elif known.status == "stopped":
        done, total = int(known.told.get("done", 0)), int(known.told.get("total", 0))
        st.info(panels.shown("later.stopped", name=name, done=done, n=total), icon=":material/pause_circle:")
    elif known.status == "lost":
        st.warning(say("later.lost"), icon=":material/warning:")
        if known.log:
            with st.expander(say("later.log")):
                st.code(known.log, language=None)
    elif known.status == "waiting":
        text = say("later.changed") if tested else panels.shown("later.untested", name=name)
        st.info(text, icon=":material/info:")


def _start(folder: TestFolder, source: Dataset) -> None:
    later_worker.start(folder, source)


def _delete(folder: TestFolder) -> None:
    try:
        later.delete(folder)
    except CoreError as error:
        st.session_state[PROBLEM] = error
        return
    if st.query_params.get(TEST) == folder.id:
        _show(OWN)


def _new(run: RunDirectory) -> None:
    """Photos that come now, or a photo set that is there."""
    ways = {"new": say("later.new"), "sets": say("later.sets")}
    if st.session_state.pop(CLOSE, False):
        st.session_state["later_way"] = None
    elif state.has_upload("test"):
        st.session_state.setdefault("later_way", "new")
    way = st.segmented_control(say("later.from_where"), list(ways), format_func=ways.get, key="later_way")
    if way != "new":
        state.leave_upload("test")
    if way == "new":
        _bring(run)
    elif way == "sets":
        _choose_set(run)


def _bring(run: RunDirectory) -> None:
    upload = state.upload("test")
    st.caption(say("later.kept"))
    arrived = uploader("test_upload", upload=upload, mode="test")
    if arrived is not None and arrived.problem:
        st.warning(arrived.problem, icon=":material/warning:")
    if arrived is None or not arrived.ready:
        return
    try:
        made = datasets.adopt(state.workspace(), arrived.upload, ways_in.name_of(arrived.upload))
    except CoreError as error:
        panels.error_box(error)
        return
    state.forget_upload("test")
    st.session_state[CLOSE] = True
    later_worker.start(later.begin(run, made), made)
    st.rerun()


def _choose_set(run: RunDirectory) -> None:
    listed = [one for one in datasets.list_datasets(state.workspace()) if one.summary is not None]
    if not listed:
        st.caption(say("later.no_sets"))
        return
    seen: Counter[str] = Counter()
    labels: list[str] = []
    for one in listed:
        seen[label := say("later.one", name=one.name, when=panels.moment(one.created))] += 1
        labels.append(label if seen[label] == 1 else f"{label} ({seen[label]})")
    place = st.selectbox(say("later.choose_set"), range(len(listed)), format_func=labels.__getitem__, key="later_set")
    chosen = listed[place if place in range(len(listed)) else 0]
    st.button(
        say("later.start"), key="later_start", type="primary", icon=":material/play_arrow:", on_click=_begin,
        args=(run, chosen),
    )  # fmt: skip


def _begin(run: RunDirectory, chosen: Dataset) -> None:
    """A callback, so that nothing breaks it off."""
    later_worker.start(later.begin(run, chosen), chosen)
