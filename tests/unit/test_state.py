"""The state of a run is folded from its events, whatever happened in between."""

from core.events import Ended, EpochEnded, Failed, Notice, PhaseStarted, Progress, Started, WeightsReady
from core.runs.state import RunState, fold


def epoch(number: int, phase: str = "finetune", **values: object) -> EpochEnded:
    return EpochEnded(phase=phase, epoch=number, of=5, **values)


def test_a_run_without_events_is_starting_and_open():
    assert fold([]).status == "starting"
    assert fold([]).open


def test_a_run_goes_from_running_to_finished_or_stopped():
    begun = [Started(device="cpu"), PhaseStarted(phase="head", total=5)]
    assert fold(begun).status == "running"
    assert fold([*begun, Ended(reason="patience")]).status == "finished"
    assert fold([*begun, Ended(reason="stopped")]).status == "stopped"
    assert fold([*begun, Failed(detail="boom")]).status == "failed"


def test_epochs_after_the_checkpoint_are_told_again_without_a_gap_or_a_double():
    before = [Started(), PhaseStarted(phase="head", total=1), epoch(1, "head"), PhaseStarted(phase="finetune", total=5)]
    told = [epoch(1), epoch(2), epoch(3, train_loss=9.0)]
    again = [Started(resumed=True), PhaseStarted(phase="finetune", total=5, done=2), epoch(3, train_loss=1.0), epoch(4)]
    state = fold([*before, *told, *again])
    assert [(e.phase, e.epoch) for e in state.epochs] == [("head", 1), *(("finetune", n) for n in (1, 2, 3, 4))]
    assert state.epochs[3].train_loss == 1.0
    assert state.status == "running"


def test_a_resume_in_the_head_phase_forgets_fine_tuning_epochs():
    state = fold([Started(), epoch(1, "head"), epoch(1), PhaseStarted(phase="head", total=5, done=1)])
    assert [(e.phase, e.epoch) for e in state.epochs] == [("head", 1)]


def test_a_resumed_run_is_no_longer_stopped_or_failed():
    state = fold([Started(), Ended(reason="stopped"), Started(resumed=True)])
    assert (state.status, state.ended) == ("running", None)
    assert fold([Started(), Failed(detail="x"), Started(resumed=True)]).failed is None


def test_folding_in_two_halves_gives_the_same_as_at_once():
    events = [
        Started(at=1.0), WeightsReady(at=2.0, name="x"), PhaseStarted(at=3.0, phase="head", total=2),
        epoch(1, "head", best=True), Notice(key="training.notice.diverged"), epoch(2, "head"), Ended(at=9.0),
    ]  # fmt: skip
    for cut in range(len(events) + 1):
        assert fold(events[cut:], fold(events[:cut])) == fold(events)


def test_the_best_epoch_is_the_last_one_that_was_best():
    state = fold([epoch(1, best=True), epoch(2, best=True), epoch(3)])
    assert state.best is not None
    assert state.best.epoch == 2


def test_time_left_is_what_remains_at_the_latest_speed():
    state = fold(
        [
            Started(),
            PhaseStarted(phase="photos", total=300),
            Progress(phase="photos", done=100, total=300, per_second=50.0),
        ]
    )
    assert state.seconds_left == 4.0
    assert state.share_done == 100 / 300
    assert RunState().seconds_left is None
