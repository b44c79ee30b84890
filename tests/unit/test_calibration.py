"""Temperatures against known ones and scipy's minimum; bins and thresholds by hand; what a run keeps to fit them."""

import json
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from core.config import TrainConfig
from core.data.report import Split
from core.data.scan import scan
from core.data.split import split
from core.inference.calibration import (
    Answering,
    answering,
    calibration_error,
    fit_temperature,
    reliability,
    tempered,
    trade,
)
from core.inference.evaluate import evaluate
from core.inference.metrics import Results
from core.inference.predictor import Predictor
from core.runs import store
from core.runs.store import RunDirectory
from core.training.fit import fit
from core.training.run import Folders
from core.training.score import Best
from tests.photos import make_folder
from tests.trained import head_loop, run_loop, small_network

HEAD = TrainConfig(head_epochs=6, device="cpu", patience=100, head_patience=100, refit="none")


def said(count: int, temperature: float, seed: int = 0, classes: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and classes that are drawn as softmax(logits / temperature) says."""
    random = np.random.default_rng(seed)
    logits = random.normal(scale=3, size=(count, classes))
    shares = softmax(logits / temperature, axis=1).cumsum(axis=1)
    targets = (random.random((count, 1)) > shares).sum(axis=1)
    return logits, np.minimum(targets, classes - 1)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_a_known_temperature_is_found_again(temperature):
    logits, targets = said(20_000, temperature)
    assert fit_temperature(logits, targets.tolist()) == pytest.approx(temperature, rel=0.03)


@pytest.mark.parametrize(("count", "seed"), [(20, 1), (60, 2), (500, 3)])
def test_the_temperature_is_where_scipy_finds_the_least_loss(count, seed):
    logits, targets = said(count, 1.7, seed)

    def loss(temperature: float) -> float:
        return float(-log_softmax(logits / temperature, axis=1)[np.arange(count), targets].mean())

    least = minimize_scalar(loss, bounds=(0.05, 20), method="bounded", options={"xatol": 1e-9})
    found = fit_temperature(logits, targets.tolist())
    assert found == pytest.approx(least.x, rel=1e-4)
    assert loss(found) <= loss(1.0)


def test_too_few_photos_and_photos_without_a_mistake_tell_no_temperature():
    logits, targets = said(19, 1.0)
    assert fit_temperature(logits, targets.tolist()) is None
    logits, _ = said(200, 1.0)
    assert fit_temperature(logits, logits.argmax(axis=1).tolist()) is None


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_a_temperature_changes_how_sure_but_never_what_is_said(temperature):
    logits, _ = said(300, 1.0)
    cooled = tempered(softmax(logits, axis=1), temperature)
    assert np.allclose(cooled, softmax(logits / temperature, axis=1), atol=1e-9)
    assert np.array_equal(cooled.argmax(axis=1), logits.argmax(axis=1))


def test_certainty_is_compared_with_truth_bin_by_bin():
    bins = reliability([0.95, 0.85, 0.9, 1.0, 0.05], [True, True, False, True, False])
    # (0.9, 1]: 0.95 and 1.0, both right. (0.8, 0.9]: 0.85 right and 0.9 wrong. (0, 0.1]: 0.05, wrong.
    assert [one.photos for one in bins] == [1, 0, 0, 0, 0, 0, 0, 0, 2, 2]
    assert [one.right for one in bins] == [0, 0, 0, 0, 0, 0, 0, 0, 1, 2]
    assert [bins[place].certainty for place in (0, 8, 9)] == pytest.approx([0.05, 0.875, 0.975])
    # (1 · 0.05 + 2 · 0.375 + 2 · 0.025) / 5
    assert calibration_error(bins) == pytest.approx(0.17)
    assert calibration_error(reliability([], [])) == 0


def test_photos_that_behave_as_promised_have_next_to_no_calibration_error():
    random = np.random.default_rng(3)
    sure = random.uniform(0.2, 1, 50_000)
    bins = reliability(sure.tolist(), (random.random(50_000) < sure).tolist())
    assert calibration_error(bins) < 0.01


SURE, RIGHT = [0.9, 0.6, 0.6, 0.3], [True, True, False, False]


def test_a_threshold_leaves_the_answers_that_are_sure_enough():
    assert answering(SURE, RIGHT, 0.6) == Answering(0.6, answered=3, right=2, total=4)
    nothing = answering(SURE, RIGHT, 0.95)
    assert (nothing.share, nothing.accuracy, nothing.interval) == (0, None, (0, 1))


def test_the_trade_goes_from_answering_all_to_answering_the_surest_and_takes_ties_together():
    points = trade(SURE, RIGHT)
    assert [(point.threshold, point.answered, point.right) for point in points] == [
        (0.3, 4, 2),
        (0.6, 3, 2),
        (0.9, 1, 1),
    ]
    assert list(points) == [answering(SURE, RIGHT, point.threshold) for point in points]


def test_the_best_epochs_logits_are_those_of_its_loss_and_come_back_with_a_resume():
    config = TrainConfig(head_epochs=8, head_patience=100, device="cpu", head_learning_rate=0.3)
    loop = head_loop(config, small_network(config))
    _, best, saved = run_loop(loop)
    assert best.logits is not None
    targets = torch.from_numpy(np.arange(9) % 3)
    assert float(torch.nn.functional.cross_entropy(best.logits, targets)) == pytest.approx(best.loss, rel=1e-5)
    again = Best()
    list(head_loop(config, small_network(config)).run(
        resumed=saved[-1], best=again, save=lambda _: None, stop=lambda: False
    ))  # fmt: skip
    assert again.logits is not None
    assert torch.equal(again.logits, best.logits)


@pytest.fixture(scope="module")
def divided(tmp_path_factory) -> Split:
    return split(scan(make_folder(tmp_path_factory.mktemp("photos"), per_class=8)))


@pytest.fixture(scope="module")
def trained(tmp_path_factory, divided):
    """``trained(config)``: a run to its end; kept features are shared."""
    folder = tmp_path_factory.mktemp("runs")

    def make(config: TrainConfig) -> RunDirectory:
        run = store.create(folder, config, divided, title="t", dataset={})
        list(fit(config, divided, run, Folders(folder / "weights", folder / "kept")))
        return run

    return make


def returned(steps: Generator[object, None, Results]) -> Results:
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value


def kept(run: RunDirectory) -> dict:
    return json.loads(run.validation.read_text("utf-8"))


def test_a_run_keeps_what_its_network_says_about_the_validation_photos_before_they_teach(trained, divided):
    plain = trained(HEAD)
    found = kept(plain)
    assert (found["paths"], found["targets"]) == (
        [sample.path for sample in divided.val],
        [sample.target for sample in divided.val],
    )
    predictor = Predictor.load(plain)
    photos = [Path(divided.root) / sample.path for sample in divided.val]
    (batch,) = list(predictor.probabilities(photos))
    assert np.allclose(softmax(np.array(found["logits"]), axis=1), batch[1], atol=5e-3)
    # Learning once more from the validation photos changes the model, and not what was kept.
    refit = trained(replace(HEAD, refit="head"))
    assert kept(refit) == found
    assert refit.results() != plain.results()


def test_a_temperature_is_told_with_the_score_and_changes_no_answer(trained, divided, monkeypatch):
    assert len(divided.val) < 20
    without = Results.from_json(trained(HEAD).results() or {})
    assert (without.temperature, {answer.calibrated for answer in without.answers}) == (None, {None})
    monkeypatch.setattr("core.training.judged.fit_temperature", lambda logits, targets: 2.0)
    told = Results.from_json(trained(HEAD).results() or {})
    assert told.temperature == 2.0
    assert [(answer.path, answer.top) for answer in told.answers] == [
        (answer.path, answer.top) for answer in without.answers
    ]
    for answer in told.answers:
        chances = np.sqrt(
            [chance for _, chance in answer.top]
        )  # at a temperature of 2; three classes, all of them kept
        assert answer.calibrated == pytest.approx(chances[0] / chances.sum(), abs=2e-3)


def test_a_model_that_is_scored_photo_by_photo_tells_the_same(trained, divided, monkeypatch):
    monkeypatch.setattr("core.training.judged.fit_temperature", lambda logits, targets: 2.0)
    run = trained(HEAD)
    told = Results.from_json(run.results() or {})
    again = returned(evaluate(Predictor.load(run), divided.test, Path(divided.root), 2.0))
    assert again.temperature == 2.0
    for ours, theirs in zip(again.answers, told.answers, strict=True):
        assert ours.calibrated == pytest.approx(theirs.calibrated, abs=5e-3)
