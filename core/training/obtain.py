"""The pretrained weights of a run: found on disk, or fetched while the run tells how far it is."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

from core.config import TrainConfig
from core.events import PhaseStarted, Progress
from core.models import registry
from core.models.weights import fetch, find

POLL_SECONDS = 0.5


def obtain_weights(
    config: TrainConfig, folder: Path, should_stop: Callable[[], bool]
) -> Iterator[PhaseStarted | Progress]:
    """Yield progress while fetching; returns the file, or None where training starts from scratch.

    Raises:
        ModelError: they are not at hand and can't be fetched. Random weights never take their place.
    """
    if config.weights == "scratch":
        return None
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
