"""How fast a backbone is: measured, kept for this device, added up to an estimate."""

import json
import subprocess
import sys

import pytest
import torch

from core.errors import ModelError
from core.models import speed
from core.models.registry import backbone
from core.models.speed import Speed, estimate_seconds, load, measure, save

pytestmark = pytest.mark.slow

KNOWN = Speed(
    "mnasnet0_5",
    device="a",
    torch="1",
    forward=(0.01, 0.02, 0.03),
    train=(0.1, 0.2, 0.3),
)


def estimate(**changes: int) -> float:
    numbers = {"frozen_stages": 3, "train_photos": 100, "val_photos": 20, "views": 1, "epochs": 0, "head_epochs": 0}
    return estimate_seconds(KNOWN, **{**numbers, **changes}) - speed.START_SECONDS


def test_a_frozen_body_runs_once_over_all_photos():
    assert estimate() == pytest.approx((100 + 20) * 0.06)


def test_every_view_of_a_training_photo_costs_once_more():
    assert estimate(views=3) == pytest.approx((300 + 20) * 0.06)


def test_each_epoch_trains_what_is_not_frozen_and_judges_the_validation_photos():
    once = 120 * 0.06
    assert estimate(frozen_stages=2, epochs=5) == pytest.approx(once + 5 * (100 * 0.3 + 20 * 0.03))
    assert estimate(frozen_stages=0, epochs=1) == pytest.approx(once + 100 * 0.6 + 20 * 0.06)


def test_the_heads_epochs_cost_little():
    assert 0 < estimate(head_epochs=100) - estimate() < 1


def test_deeper_freezing_never_takes_longer():
    seconds = [estimate(frozen_stages=depth, epochs=4) for depth in range(4)]
    assert seconds == sorted(seconds, reverse=True)


def here() -> Speed:
    return Speed("mnasnet0_5", speed.device_name(), speed.torch_version(), KNOWN.forward, KNOWN.train)


def test_what_was_measured_is_read_again(tmp_path):
    save(tmp_path / "speeds", here())
    assert load(tmp_path / "speeds", "mnasnet0_5") == here()


@pytest.mark.parametrize("changes", [{"device": "another computer"}, {"torch": "0.1"}])
def test_what_another_computer_or_torch_measured_does_not_count(changes, tmp_path):
    save(tmp_path, Speed.from_json({**here().to_json(), **changes}))
    assert load(tmp_path, "mnasnet0_5") is None


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b'{"name": 1}'])
def test_a_spoilt_file_counts_as_not_measured(content, tmp_path):
    (tmp_path / "mnasnet0_5.json").write_bytes(content)
    assert load(tmp_path, "mnasnet0_5") is None


def test_a_name_that_is_no_backbone_never_becomes_a_path(tmp_path):
    with pytest.raises(ModelError):
        load(tmp_path, "../../etc/passwd")


def test_every_stage_is_timed_and_learning_takes_longer_than_looking():
    measured = measure("mnasnet0_5", torch.device("cpu"), seconds_budget=1.5)
    stages = len(backbone("mnasnet0_5").stages)
    assert (len(measured.forward), len(measured.train)) == (stages, stages)
    assert all(seconds > 0 for seconds in (*measured.forward, *measured.train))
    assert sum(measured.train) > sum(measured.forward)
    assert measured.photos_per_second == pytest.approx(1 / sum(measured.forward))
    assert measured.torch == torch.__version__.split("+")[0]


def test_from_a_terminal_speeds_land_in_a_folder(tmp_path):
    folder = tmp_path / "speeds"
    command = [sys.executable, "-m", "core.models.speed", "mnasnet0_5", "--into", str(folder)]
    subprocess.run(command, check=True, timeout=120)
    found = load(folder, "mnasnet0_5")
    assert found is not None
    json.loads((folder / "mnasnet0_5.json").read_text("utf-8"))


def test_reading_a_speed_does_not_load_torch(tmp_path):
    save(tmp_path, here())
    program = "import sys; from pathlib import Path; from core.models import speed; "
    program += f"assert speed.load(Path({str(tmp_path)!r}), 'mnasnet0_5'); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
