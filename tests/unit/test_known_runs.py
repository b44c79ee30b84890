"""What a run keeps of its training photos: theirs alone, by the finished network, with an honest limit."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from core.config import TrainConfig
from core.data.pixels import centre, squares
from core.data.report import Sample, Split
from core.data.scan import scan
from core.data.split import split
from core.errors import DataError
from core.events import Ended
from core.inference.conformal import rank
from core.inference.metrics import Results
from core.inference.predictor import Prediction, Predictor, write_model
from core.inference.unknown import Detector
from core.runs.store import RunDirectory
from core.training import known
from core.training.kept import normalised
from tests.photos import make_folder
from tests.trained import new_run, train

pytestmark = pytest.mark.slow  # a real backbone
HEAD = TrainConfig(head_epochs=4, device="cpu", precision="float32")
TUNE = replace(HEAD, freeze_depth=7, epochs=2, head_first=False, learning_rate=1e-3, batch_size=8)
Trained = Callable[[TrainConfig], RunDirectory]


@pytest.fixture(scope="module")
def divided(tmp_path_factory) -> Split:
    return split(scan(make_folder(tmp_path_factory.mktemp("photos"), per_class=9)))


@pytest.fixture
def trained(tmp_path, divided, cache) -> Trained:
    def make(config: TrainConfig, photos: Split = divided) -> RunDirectory:
        run = new_run(tmp_path / "runs", config, photos)
        assert isinstance(train(run, cache)[-1], Ended)
        return run

    return make


def features(predictor: Predictor, samples: tuple[Sample, ...], root: str) -> np.ndarray:
    """As the predictor computes them."""
    look = predictor.card.preprocessing
    crops = [
        centre(square, look.crop)
        for square in squares((Path(root) / sample.path for sample in samples), look.resize, look.interpolation)
        if isinstance(square, np.ndarray)
    ]
    pixels = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2)
    with torch.inference_mode():
        return predictor._body(normalised(pixels, look)).numpy()


def detector_of(predictor: Predictor) -> Detector:
    assert predictor.detector is not None
    return predictor.detector


def test_a_run_knows_its_training_photos_alone_and_finds_the_limit_from_each_photo_beside_the_others(trained, divided):
    predictor = Predictor.load(trained(HEAD))
    detector = detector_of(predictor)
    assert [(row.path, row.label) for row in detector.samples] == [
        (sample.path, divided.classes[sample.target]) for sample in divided.train
    ]
    rows = features(predictor, divided.train, divided.root)
    near = NearestNeighbors(n_neighbors=6, metric="cosine").fit(rows)
    every = [
        *near.kneighbors(rows)[0][:, 1:].mean(axis=1),
        *near.kneighbors(features(predictor, divided.val, divided.root), 5)[0].mean(axis=1),
    ]
    assert detector.limit == pytest.approx(sorted(every)[rank(len(every), 0.95) - 1], abs=5e-3)


def test_the_score_counts_the_photos_that_the_predictor_refuses(trained, divided):
    run = trained(HEAD)
    results = Results.from_json(run.results() or {})
    photos = [Path(divided.root) / sample.path for sample in divided.test]
    said = [answer for answer in Predictor.load(run).predict(photos, near=2) if isinstance(answer, Prediction)]
    assert [answer.strangeness for answer in results.answers] == pytest.approx(
        [answer.strangeness for answer in said], abs=1e-5
    )
    assert results.refused == sum(answer.unknown for answer in said)
    assert {len(answer.near) for answer in said} == {2}


def test_noise_is_unknown_and_a_training_photo_is_not(trained, divided, tmp_path):
    from PIL import Image

    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    first = divided.train[0]
    predictor = Predictor.load(trained(HEAD))
    strange, same = predictor.predict([tmp_path / "noise.png", Path(divided.root) / first.path], near=1)
    assert isinstance(strange, Prediction)
    assert isinstance(same, Prediction)
    assert (strange.unknown, same.unknown) == (True, False)
    assert same.near[0].path == first.path
    assert same.near[0].likeness == pytest.approx(1, abs=2e-3)


def test_fine_tuned_references_are_of_the_final_weights_and_the_limit_of_those_that_no_validation_photo_taught(
    trained, divided
):
    plain, again = (Predictor.load(trained(replace(TUNE, refit=refit))) for refit in ("none", "all"))
    for predictor in (plain, again):
        rows = features(predictor, divided.train, divided.root)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        cosines = (detector_of(predictor).references.float().numpy() * rows).sum(axis=1)
        assert cosines.min() > 0.999  # activations are kept in fewer bits
    assert not torch.equal(detector_of(plain).references, detector_of(again).references)
    assert detector_of(again).limit == detector_of(plain).limit


def test_without_validation_photos_there_is_a_limit_as_well(trained, divided):
    run = trained(HEAD, replace(divided, val=()))
    detector = Detector.load(run)
    assert detector is not None
    assert len(detector.samples) == len(divided.train)


def test_a_run_is_whole_where_its_photos_can_not_be_looked_at_again(trained, monkeypatch):
    def gone(*_: object) -> Detector:
        raise DataError("training.photo_lost", path="a.jpg", reason="It is gone.")

    monkeypatch.setattr(known, "make_detector", gone)
    run = trained(HEAD)
    predictor = Predictor.load(run)
    assert predictor.detector is None
    results = Results.from_json(run.results() or {})
    assert (results.refused, results.limit, {answer.strangeness for answer in results.answers}) == (None, None, {None})


def test_what_an_earlier_model_of_the_run_knew_is_forgotten_with_it(trained, divided):
    run = trained(HEAD)
    predictor = Predictor.load(run)
    assert run.known.exists()
    from core.models.build import build

    write_model(run, build("efficientnet_lite0", len(divided.classes), weights=None), predictor.card)
    assert not run.known.exists()
    (answer,) = Predictor.load(run).predict([Path(divided.root) / divided.test[0].path], near=3)
    assert isinstance(answer, Prediction)
    assert (answer.strangeness, answer.unknown, answer.near) == (None, False, ())
