"""From events to what a page shows: a pure fold. The state of a run is never stored, so it can't be wrong."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from core.events import (
    TRAINING_PHASES,
    Ended,
    EpochEnded,
    Evaluated,
    Event,
    Failed,
    Notice,
    Phase,
    PhaseStarted,
    Progress,
    Started,
    WeightsReady,
)

Status = Literal["starting", "running", "finished", "stopped", "failed", "lost"]
OPEN: tuple[Status, ...] = ("starting", "running")


@dataclass(frozen=True)
class RunState:
    """Everything the events of a run add up to."""

    status: Status = "starting"
    phase: Phase | None = None
    started: Started | None = None
    weights: WeightsReady | None = None
    phases: Mapping[Phase, PhaseStarted] | None = None  # the latest start of each phase
    progress: Progress | None = None  # of the current phase
    epochs: tuple[EpochEnded, ...] = ()  # head first, then fine-tuning; told again after a resume, never twice here
    notices: tuple[Notice, ...] = ()
    evaluated: Evaluated | None = None
    ended: Ended | None = None
    failed: Failed | None = None
    memory_megabytes: float = 0.0  # the most that was taken so far
    last_at: float = 0.0

    @property
    def open(self) -> bool:
        return self.status in OPEN

    @property
    def best(self) -> EpochEnded | None:
        """The epoch whose weights are kept."""
        return next((epoch for epoch in reversed(self.epochs) if epoch.best), None)

    @property
    def seconds(self) -> float:
        """How long the phases of the last start took together; 0 while it is open."""
        return sum((self.ended.seconds or {}).values()) if self.ended else 0.0

    @property
    def share_done(self) -> float:
        """How much of the current phase is behind us, in [0, 1]."""
        if self.progress is not None and self.progress.total:
            return min(1.0, self.progress.done / self.progress.total)
        return 0.0

    @property
    def seconds_left(self) -> float | None:
        """Until the current phase is over at the latest speed; None while nothing was measured."""
        if not self.open or self.progress is None or self.progress.per_second <= 0:
            return None
        return max(0, self.progress.total - self.progress.done) / self.progress.per_second


def fold(events: Iterable[Event], state: RunState | None = None) -> RunState:
    """Add ``events`` to ``state``; folding in two halves gives the same as folding at once."""
    state = state or RunState()
    for event in events:
        memory = max(state.memory_megabytes, getattr(event, "memory_megabytes", 0.0))
        state = replace(_step(state, event), last_at=max(state.last_at, event.at), memory_megabytes=memory)
    return state


def _step(state: RunState, event: Event) -> RunState:
    match event:
        case Started():
            # A resumed run is alive again: what ended it before is history.
            return replace(state, status="running", started=event, ended=None, failed=None, progress=None)
        case WeightsReady():
            return replace(state, weights=event)
        case PhaseStarted():
            return _start_phase(state, event)
        case Progress():
            return replace(state, progress=event)
        case EpochEnded():
            return replace(state, epochs=(*state.epochs, event))
        case Notice():
            return replace(state, notices=(*state.notices, event))
        case Evaluated():
            return replace(state, evaluated=event)
        case Ended():
            return replace(state, status="stopped" if event.reason == "stopped" else "finished", ended=event)
        case Failed():
            return replace(state, status="failed", failed=event)
        case _:
            return state


def _start_phase(state: RunState, event: PhaseStarted) -> RunState:
    epochs = state.epochs
    if event.phase in TRAINING_PHASES:
        # Epochs after the checkpoint are told again, and so are all of later phases.
        place = TRAINING_PHASES.index(event.phase)
        epochs = tuple(
            epoch
            for epoch in epochs
            if TRAINING_PHASES.index(epoch.phase) < place or (epoch.phase == event.phase and epoch.epoch <= event.done)
        )
    phases = {**(state.phases or {}), event.phase: event}
    progress = Progress(at=event.at, phase=event.phase, done=event.done, total=event.total)
    return replace(state, phase=event.phase, phases=phases, progress=progress, epochs=epochs)
