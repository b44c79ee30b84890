"""Which runs were trained on a data set: what depends on it when somebody wants to delete it. Torch-free."""

from pathlib import Path

from core.data.store import Dataset
from core.runs import list_runs, watch
from core.runs.executor import Executor
from core.runs.store import RunDirectory, RunInfo


def dependants(runs: Path, dataset: Dataset) -> tuple[tuple[RunDirectory, RunInfo], ...]:
    """The runs in the folder ``runs`` that learnt from the data set, newest first.

    Their models and scores don't need it any more; their photos can't be shown again, and they can't be resumed.
    """
    return tuple((run, info) for run, info in list_runs(runs) if info.dataset.get("id") == dataset.id)


def at_work(runs: Path, dataset: Dataset, executor: Executor | None = None) -> tuple[RunInfo, ...]:
    """Those that are reading its photos at this moment: it can't be deleted under them."""
    return tuple(
        info for run, info in dependants(runs, dataset) if watch(run, executor).status in ("starting", "running")
    )
