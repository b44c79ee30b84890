"""The pretrained weights of a run: found on disk, or fetched while the run tells how far it is."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

from core.config import TrainConfig
from core.errors import ConfigError, RunError
from core.events import PhaseStarted, Progress
from core.models import registry
from core.models.files import WeightsFile, hashed
from core.models.weights import fetch, find
from core.runs.store import RunDirectory
from core.workspace import ID_PATTERN

POLL_SECONDS = 0.5


def obtain_weights(
    config: TrainConfig, folder: Path, should_stop: Callable[[], bool], run: RunDirectory
) -> Iterator[PhaseStarted | Progress]:
    """Yield progress while fetching; returns the file, or None where training starts from scratch.

    Raises:
        ModelError: they are not at hand and can't be fetched. Random weights never take their place.
        RunError: the earlier model that should be gone on from is not there.
    """
    if config.weights == "scratch" or config.copied_stages in (0, "none"):
        return None
    if config.start_from:
        return earlier_model(config, run)
    backbone = registry.backbone(config.backbone)
    found = find(backbone, folder)
    if found is not None:
        return found
    far = [0, 0]

    def note(done: int, total: int) -> None:
        far[:] = [done, total]

    yield PhaseStarted(phase="weights", total=round(backbone.megabytes * 1e6))
    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(fetch, backbone, folder, on_progress=note, should_stop=should_stop)
        while wait([job], POLL_SECONDS).not_done:
            yield Progress(phase="weights", done=far[0], total=far[1])
        return job.result()


def earlier_model(config: TrainConfig, run: RunDirectory) -> WeightsFile:
    """The model of the run that ``start_from`` names: one beside ``run`` by its id, or a folder as typed."""
    named = config.start_from
    earlier = RunDirectory(run.path.parent / named if ID_PATTERN.fullmatch(named) else Path(named))
    try:
        backbone = str(json.loads(earlier.model_card.read_text("utf-8"))["backbone"])
        sha256 = hashed(earlier.model)
    except (OSError, ValueError, KeyError, TypeError):  # not there, no possible name, or no card of ours
        raise RunError("training.no_earlier_model", run=named[:80]) from None
    if backbone != config.backbone:
        raise ConfigError("training.other_backbone", run=named, earlier=backbone, backbone=config.backbone)
    return WeightsFile(earlier.model, "run", sha256)
