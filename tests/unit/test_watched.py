"""What each epoch said about the validation photos: as the network said it, once each, whatever was killed."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix

from core.config import TrainConfig
from core.data.report import Sample, Split
from core.events import EpochEnded, PhaseStarted
from core.inference.epochs import SHOWN, Epochs, WatchedEpoch, choose
from core.runs import store
from core.runs.state import fold
from core.runs.store import RunDirectory
from core.training.loop import Loop
from core.training.run import Folders, Run
from core.training.watched import FEWEST_PHOTOS, MOST_PHOTOS, Watched
from tests.trained import CPU, new_run, train

HEAD = TrainConfig(head_epochs=6, device="cpu", patience=100, head_patience=100)
TUNE = TrainConfig(head_epochs=3, freeze_depth=7, epochs=2, augment="none", batch_size=8, device="cpu", patience=100)


def epochs_of(run: RunDirectory) -> dict[tuple[str, int], WatchedEpoch]:
    record = Epochs(run)
    read = {place: record.read(*place) for place in record.look()}
    return {place: epoch for place, epoch in read.items() if epoch is not None}


def made_up(folder: Path, photos: int, classes: int = 3, **changes: object) -> Run:
    """A run that has photos in its split and nowhere else."""
    samples = tuple(Sample(f"{place}.jpg", place % classes, f"{place:064}") for place in range(photos))
    divided = Split(tuple(map(str, range(classes))), samples[:1], samples, (), "/nowhere")
    config = replace(TrainConfig(), **changes)  # type: ignore[arg-type]
    directory = store.create(folder, config, divided, title="t", dataset={})
    return Run(config, divided, directory, Folders(folder, folder), lambda: False, CPU)


def logits_of(run: Run, seed: int = 0) -> torch.Tensor:
    torch.manual_seed(seed)
    return 3 * torch.randn(len(run.split.val), len(run.split.classes))


def write(run: Run, *epochs: tuple[str, int]) -> None:
    with Watched(run) as watched:
        for phase, epoch in epochs:
            watched.tell(phase, epoch, logits_of(run, epoch))  # type: ignore[arg-type]


@pytest.mark.slow
def test_each_epoch_is_what_the_network_said_then(tmp_path, divided, cache, monkeypatch):
    said: list[np.ndarray] = []
    judge = Loop._judge

    def listen(self: Loop):
        score, logits = judge(self)
        said.append(logits.numpy().copy())
        return score, logits

    monkeypatch.setattr(Loop, "_judge", listen)
    run = new_run(tmp_path, TUNE, divided)
    events = [event for event in train(run, cache) if isinstance(event, EpochEnded)]
    found = epochs_of(run)
    assert list(found) == [("head", 1), ("head", 2), ("head", 3), ("finetune", 1), ("finetune", 2)]
    targets = np.array([sample.target for sample in divided.val])
    photos = Epochs(run)
    photos.look()
    assert photos.photos is not None
    assert photos.photos.samples == divided.val
    for event, logits, epoch in zip(events, said, found.values(), strict=True):
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        assert list(epoch.said) == list(logits.argmax(axis=1))
        assert np.allclose(epoch.sure, shares.max(axis=1), atol=0.00051)
        assert np.allclose(epoch.true, shares[np.arange(len(targets)), targets], atol=0.00051)
        matrix = np.zeros((3, 3), int)
        for (true, called), count in epoch.confusion(photos.photos).items():
            matrix[true, called] = count
        assert (matrix == confusion_matrix(targets, logits.argmax(axis=1), labels=[0, 1, 2])).all()
        assert matrix.trace() / len(targets) == pytest.approx(event.val_accuracy)


@pytest.mark.slow
def test_a_line_is_there_before_its_epoch_is_told(tmp_path, divided, cache):
    run = new_run(tmp_path, HEAD, divided)

    def look(event: object) -> bool:
        if isinstance(event, EpochEnded):
            assert Epochs(run).look()[-1] == (event.phase, event.epoch)
        return False

    assert sum(isinstance(event, EpochEnded) for event in train(run, cache, until=look)) == HEAD.head_epochs


@pytest.mark.slow
@pytest.mark.parametrize("killed_at", [("head", 3), ("finetune", 2)])
def test_after_a_kill_and_a_resume_every_epoch_is_there_once(tmp_path, divided, cache, killed_at):
    whole, killed = new_run(tmp_path, TUNE, divided), new_run(tmp_path, TUNE, divided)
    train(whole, cache)
    events = train(
        killed, cache, until=lambda event: isinstance(event, EpochEnded) and (event.phase, event.epoch) == killed_at
    )
    record = Epochs(killed)
    record.look()  # a page that watched all along
    with killed.judged.open("ab") as file:
        file.write(b'{"phase":"finetune","epoch":2,"said":[0,')  # as a kill in the middle of a line leaves it
    events += train(killed, cache)
    expected = [("head", 1), ("head", 2), ("head", 3), ("finetune", 1), ("finetune", 2)]
    assert record.look() == expected
    assert epochs_of(killed) == epochs_of(whole)
    assert [(epoch.phase, epoch.epoch) for epoch in fold(events).epochs] == expected


def test_a_resume_that_has_not_come_as_far_yet_has_no_epochs_of_the_first_telling(tmp_path):
    run = made_up(tmp_path, 9)
    write(run, ("head", 1), ("head", 2), ("head", 3), ("finetune", 1))
    record = Epochs(run.directory)
    assert len(record.look()) == 4
    write(run, ("head", 2))
    assert record.look() == [("head", 1), ("head", 2)] == Epochs(run.directory).look()


def test_a_torn_last_line_is_read_once_it_is_whole(tmp_path):
    run = made_up(tmp_path, 9)
    write(run, ("head", 1), ("head", 2))
    whole = run.directory.judged.read_bytes()
    record = Epochs(run.directory)
    for end in [*range(0, len(whole), 41), len(whole) - 1, len(whole)]:
        run.directory.judged.write_bytes(whole[:end])
        told = record.look()
        assert told == [("head", number + 1) for number in range(whole[:end].count(b"\n") - 1)]
        assert all(record.read(*place) is not None for place in told)


def test_every_line_is_whole_json_even_where_a_network_says_nothing_finite(tmp_path):
    run = made_up(tmp_path, 4)
    logits = torch.tensor([[0.0, 1.0, 2.0], [torch.inf, 0.0, 0.0], [torch.nan, 0.0, 0.0], [-torch.inf] * 3])
    with Watched(run) as watched:
        watched.tell("head", 1, logits)

    def refuse(name: str) -> None:
        raise AssertionError(name)

    lines = [json.loads(line, parse_constant=refuse) for line in run.directory.judged.read_text().splitlines()]
    assert lines[1]["said"] == logits.argmax(dim=1).tolist()
    assert lines[1]["sure"] == [665, 0, 0, 0]  # e²/(1 + e + e²)


def test_of_very_many_photos_an_even_sample_is_written_and_it_says_so(tmp_path):
    run = made_up(tmp_path, 3 * MOST_PHOTOS + 1)
    write(run, ("head", 1))
    record = Epochs(run.directory)
    record.look()
    assert record.photos is not None
    numbers = [int(sample.path.removesuffix(".jpg")) for sample in record.photos.samples]
    assert len(numbers) == MOST_PHOTOS
    assert set(np.diff(numbers)) <= {3, 4}
    assert record.photos.of == 3 * MOST_PHOTOS + 1
    epoch = record.read("head", 1)
    assert epoch is not None
    assert list(epoch.said) == logits_of(run, 1).argmax(dim=1)[numbers].tolist()


def test_a_run_of_very_many_epochs_writes_fewer_photos_of_each(tmp_path):
    run = made_up(tmp_path, MOST_PHOTOS, head_epochs=10_000, epochs=10_000)
    write(run, ("head", 1))
    record = Epochs(run.directory)
    record.look()
    assert record.photos is not None
    assert len(record.photos.samples) == FEWEST_PHOTOS


@pytest.mark.slow
def test_a_run_without_validation_photos_writes_nothing(tmp_path, divided, cache):
    run = new_run(tmp_path, HEAD, replace(divided, val=()))
    train(run, cache, until=lambda event: isinstance(event, PhaseStarted) and event.phase == "test")
    assert not run.judged.exists()
    assert Epochs(run).look() == []


def test_what_another_start_began_about_other_photos_is_begun_again(tmp_path):
    run = made_up(tmp_path, 9)
    write(run, ("head", 1), ("head", 2))
    record = Epochs(run.directory)
    record.look()
    write(replace(run, split=replace(run.split, val=run.split.val[:5])), ("head", 2))
    assert record.look() == [("head", 2)]
    assert record.photos is not None
    assert len(record.photos.samples) == 5


@pytest.mark.parametrize("first_line", [b'{"format":1,"cla', b'{"format":99}', b"[]", b"\xff\xfe", b""])
def test_a_first_line_that_is_torn_or_of_a_newer_graft_hides_the_rest(tmp_path, first_line):
    run = made_up(tmp_path, 4)
    write(run, ("head", 1))
    _, epochs = run.directory.judged.read_bytes().split(b"\n", 1)
    run.directory.judged.write_bytes(first_line + b"\n" + epochs)
    record = Epochs(run.directory)
    assert (record.look(), record.photos, record.read("head", 1)) == ([], None, None)


def test_the_photos_to_watch_stay_the_same_after_a_resume(tmp_path):
    run = made_up(tmp_path, 90)
    write(run, ("head", 1))
    first = Epochs(run.directory)
    first.look()
    write(run, ("head", 2))
    again = Epochs(run.directory)
    again.look()
    assert first.photos is not None
    assert first.photos == again.photos
    assert len(first.photos.shown) == SHOWN


def test_the_photos_to_watch_are_of_all_classes_and_half_of_them_wrong_at_first():
    targets = [place % 3 for place in range(300)]
    said = [target if place % 10 else (target + 1) % 3 for place, target in enumerate(targets)]  # every tenth is wrong
    chosen = choose(targets, said, seed=7)
    assert len(set(chosen)) == SHOWN
    assert [sum(targets[place] == label for place in chosen) for label in range(3)] == [4, 4, 4]
    assert sum(said[place] != targets[place] for place in chosen) == SHOWN / 2
    assert choose(targets, said, seed=7) == chosen != choose(targets, said, seed=8)


def test_fewer_photos_than_there_is_room_for_are_all_watched():
    assert choose([0, 1, 1], [1, 1, 1], seed=0) == (0, 1, 2)


def test_of_more_classes_than_there_is_room_for_each_is_seen_once():
    targets = [place % 40 for place in range(400)]
    chosen = choose(targets, targets, seed=3)
    assert len({targets[place] for place in chosen}) == SHOWN
