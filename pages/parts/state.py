"""Who is here and what they are looking at: every session and query key of the app, each behind a typed function."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import streamlit as st

from core.data import datasets, intake
from core.data.datasets import Dataset, DatasetState
from core.data.intake import Upload
from core.data.report import DatasetReport, Split
from core.data.split import split
from core.doctor import checkup
from core.doctor.guesses import sure_enough
from core.errors import CoreError
from core.inference.metrics import Results
from core.runs import RunDirectory, RunState, Watch, open_run
from core.runs.executor import LocalExecutor
from core.workspace import Workspace, default_root

DATASET = "set"  # query key of the data set's id
RUN = "run"  # query key of the run's id
COMPARED = "runs"  # query key of the ids of runs side by side, with commas between
MOST_COMPARED = 4
# Query keys of photos on their way in.
UPLOAD: dict[intake.Purpose, str] = {
    "dataset": "upload", "classes": "classes", "try": "tried", "many": "many", "test": "testing",
    "bundle": "bundle",
}  # fmt: skip
ASSETS = Path(__file__).parent.parent.parent / "assets"


def workspace() -> Workspace:
    """The folders of whoever is here. One person on loopback for now: everything is theirs."""
    return Workspace(default_root(), "me")


def remember_place() -> None:
    """Take the ids in the address, or put the remembered ones there, so that a reload or a shared link comes back."""
    for key in (DATASET, RUN):
        given = st.query_params.get(key)
        if given:
            st.session_state[f"place_{key}"] = given


def show_place(*keys: str) -> None:
    """Write the ids this page depends on into its address."""
    for key in keys:
        value = st.session_state.get(f"place_{key}")
        if value and st.query_params.get(key) != value:
            st.query_params[key] = value


def place() -> dict[str, str]:
    """The ids to carry along in a link."""
    return {key: st.session_state[f"place_{key}"] for key in (DATASET, RUN) if st.session_state.get(f"place_{key}")}


def choose_dataset(identifier: str | None) -> None:
    _choose(DATASET, identifier)


def choose_run(identifier: str | None) -> None:
    _choose(RUN, identifier)


def _choose(key: str, identifier: str | None) -> None:
    st.session_state[f"place_{key}"] = identifier
    if identifier is None:
        st.query_params.pop(key, None)


def dataset() -> Dataset | None:
    """The chosen data set, if there is one and it is still there."""
    identifier = st.session_state.get(f"place_{DATASET}")
    if not identifier:
        run = current_run()
        identifier = run.info().dataset.get("id") if run else None
    if not identifier:
        return None
    try:
        return datasets.open_dataset(workspace(), str(identifier))
    except CoreError:
        return None


def current_run() -> RunDirectory | None:
    """The chosen run, if there is one and it is still there."""
    identifier = st.session_state.get(f"place_{RUN}")
    if not identifier:
        return None
    try:
        return open_run(workspace().runs, identifier)
    except CoreError:
        return None


def report() -> DatasetReport | None:
    """What the scan of the chosen data set found, once it is ready."""
    chosen = dataset()
    if chosen is None:
        return None
    state = look_at(chosen)
    return state.report if state.status == "ready" else None


def look_at(chosen: Dataset) -> DatasetState:
    return datasets.watch(chosen)


@st.cache_data(max_entries=8, show_spinner=False)
def _split(_report: DatasetReport, version: str, seed: int) -> Split:
    return split(_report, seed=seed)


def split_of(known: DatasetReport, seed: int = 0, guesses: Mapping[str, str] | None = None) -> Split:
    """How the photos are divided; with ``guesses``, which of the unlabelled ones teach as well."""
    if guesses:
        return split(known, seed=seed, guesses=guesses)
    ties = hash((known.together, known.groups))  # a rule changes the division, not the photos
    return _split(known, f"{known.root} {known.fingerprint} {ties}", seed)


def guesses(chosen: Dataset, known: DatasetReport, certainty: float) -> Mapping[str, str]:
    """Classes of unlabelled photos that the check-up is at least so sure of. DataError while it hasn't guessed."""
    if not certainty or not known.unlabelled:
        return {}
    return sure_enough(checkup.watch(chosen, known).proposals, known, certainty)


def watch_of(run: RunDirectory) -> Watch:
    """One follower a session and run, so that each look reads only what is new."""
    watches: dict[str, Watch] = st.session_state.setdefault("watches", {})
    if run.id not in watches:
        watches[run.id] = Watch(run, LocalExecutor())
    return watches[run.id]


def state_of(run: RunDirectory) -> RunState:
    return watch_of(run).look()


@st.cache_data(max_entries=16, show_spinner=False)
def _results(path: str, changed: float) -> Results:
    del changed  # part of the cache's key: a resumed run is scored again
    return Results.from_json(json.loads(Path(path).read_text("utf-8")))


def results_of(run: RunDirectory) -> Results | None:
    """The scores on the test part, once they are there."""
    if not run.metrics.exists():
        return None
    return _results(str(run.metrics), run.metrics.stat().st_mtime)


def compared() -> tuple[str, ...] | None:
    """What the address names as runs side by side, or what was chosen last; None while nobody has chosen.

    It may hold anything: whoever opens these runs finds out which there are.
    """
    given = st.query_params.get(COMPARED)
    if given is None:
        return st.session_state.get("compared")
    return tuple(dict.fromkeys(given[:400].split(",")))


def choose_compared(identifiers: Sequence[str]) -> None:
    """Put them into the address, so that a link opens the same comparison."""
    st.session_state["compared"] = tuple(identifiers)
    wanted = ",".join(identifiers)
    if not wanted:
        st.query_params.pop(COMPARED, None)
    elif st.query_params.get(COMPARED) != wanted:
        st.query_params[COMPARED] = wanted


def upload(purpose: intake.Purpose) -> Upload:
    """The place this tab's photos arrive in; its id is in the address, so that a reload goes on where it was."""
    key = f"upload_{purpose}"
    identifier = st.query_params.get(UPLOAD[purpose]) or st.session_state.get(key)
    known = _known_upload(identifier, purpose) if identifier else None
    if known is None:
        known = intake.begin(workspace(), purpose=purpose)
    st.session_state[key] = known.id
    if st.query_params.get(UPLOAD[purpose]) != known.id:
        st.query_params[UPLOAD[purpose]] = known.id
    return known


def _known_upload(identifier: str, purpose: intake.Purpose) -> Upload | None:
    try:
        found = intake.open_upload(workspace(), identifier)
    except CoreError:
        return None
    return found if found.purpose == purpose else None


def forget_upload(purpose: intake.Purpose) -> None:
    """The photos have become something else, or are done with: the next upload begins anew."""
    st.session_state.pop(f"upload_{purpose}", None)
    st.query_params.pop(UPLOAD[purpose], None)


def leave_upload(purpose: intake.Purpose) -> None:
    """The page shows something else: the upload stays, and is no longer in the address."""
    st.query_params.pop(UPLOAD[purpose], None)


def has_upload(purpose: intake.Purpose) -> bool:
    """Whether the address names one."""
    return UPLOAD[purpose] in st.query_params


def changes(preset: str) -> dict[str, object]:
    """What was changed in "all settings", by field: each preset keeps its own."""
    return st.session_state.setdefault("changes", {}).setdefault(preset, {})


def scope(backbone: str, preset: str) -> tuple[int, int] | None:
    """Frozen and copied stages as they were chosen for this backbone and preset."""
    return st.session_state.setdefault("scopes", {}).get((backbone, preset))


def remember_scope(backbone: str, preset: str, counts: tuple[int, int] | None) -> None:
    """None goes back to what the preset suggests."""
    scopes = st.session_state.setdefault("scopes", {})
    scopes.pop((backbone, preset), None)
    if counts is not None:
        scopes[backbone, preset] = counts


def start() -> str:
    """Where the network starts from: ``pretrained``, ``scratch``, or the id of an earlier run."""
    return st.session_state.get("chosen_start", "pretrained")


def remember_start(chosen: str) -> None:
    st.session_state["chosen_start"] = chosen


def textbook() -> str | None:
    """The textbook set-up that was asked for last; it stays among the presets' buttons."""
    return st.session_state.get("textbook")


def remember_textbook(preset: str) -> None:
    st.session_state["textbook"] = preset
