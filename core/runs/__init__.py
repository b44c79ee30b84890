"""Jobs as a page knows them: submit, watch, stop, resume, list. Torch-free, and fast to import."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from core.config import TrainConfig
from core.data.report import Split
from core.errors import RunError
from core.runs.executor import Executor, LocalExecutor
from core.runs.state import RunState, fold
from core.runs.store import RunDirectory, RunInfo, all_runs, create, open_run, read_events

__all__ = ["RunDirectory", "RunInfo", "RunState", "Watch", "list_runs", "open_run", "resume", "stop", "submit", "watch"]


@dataclass
class Watch:
    """Follows one run: keeps what was read, so that each look costs only the new bytes."""

    run: RunDirectory
    executor: Executor
    offset: int = 0
    folded: RunState = field(default_factory=RunState)

    def look(self) -> RunState:
        """The state right now; ``lost`` where the worker is gone without having said so."""
        state = self._read()
        if state.open and self.executor.died(self.run):
            state = self._read()  # its last words may have come between the two looks
            if state.open:
                return replace(state, status="lost")
        return state

    def _read(self) -> RunState:
        events, self.offset = read_events(self.run, self.offset)
        self.folded = fold(events, self.folded)
        if not self.folded.open and self.run.asked_to_resume_at > self.folded.last_at:
            # Its worker has been started again and hasn't said anything yet.
            return replace(self.folded, status="starting", ended=None, failed=None, progress=None)
        return self.folded


def submit(
    parent: Path,
    config: TrainConfig,
    split: Split,
    *,
    title: str,
    dataset: Mapping[str, object],
    executor: Executor | None = None,
) -> RunDirectory:
    """Write the run's directory and start its worker."""
    run = create(parent, config, split, title=title, dataset=dataset)
    (executor or LocalExecutor()).start(run)
    return run


def watch(run: RunDirectory, executor: Executor | None = None) -> RunState:
    """One look at a run, read from its beginning."""
    return Watch(run, executor or LocalExecutor()).look()


def stop(run: RunDirectory) -> None:
    """Ask the worker to save and end; it looks between batches."""
    run.stop_flag.touch()


def resume(run: RunDirectory, executor: Executor | None = None) -> None:
    """Go on from the last checkpoint. RunError when the run is still working or has nothing left to do."""
    executor = executor or LocalExecutor()
    status = watch(run, executor).status
    if status in ("starting", "running"):
        raise RunError("runs.still_running", run=run.id)
    if status == "finished":
        raise RunError("runs.already_finished", run=run.id)
    run.ask_to_resume()
    executor.start(run)


def list_runs(parent: Path) -> list[tuple[RunDirectory, RunInfo]]:
    """Every readable run below ``parent``, newest first; one that can't be read doesn't hide the others."""
    listed: list[tuple[RunDirectory, RunInfo]] = []
    for run in all_runs(parent):
        try:
            listed.append((run, run.info()))
        except (RunError, KeyError):
            continue
    return listed
