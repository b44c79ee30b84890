"""The process that draws a run's map, on real networks: which features it shows, what it finds, stops and misses."""

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from core.data.pixels import centre, squares
from core.data.report import Split
from core.inference import map_worker, spaces
from core.inference.feature_map import drawn
from core.inference.map_folder import MapFolder
from core.inference.metrics import Results
from core.inference.predictor import Predictor
from core.models import registry
from core.models.build import Network, build, restore
from core.models.head import HeadSpec
from core.models.weights import find
from core.runs.store import EventWriter, RunDirectory
from core.training.frozen import normalised
from tests.trained import PLAIN, new_run, train

pytestmark = pytest.mark.slow
FROZEN = replace(PLAIN, head_epochs=3, head="hidden", hidden_units=8)
TUNED = replace(PLAIN, head_epochs=1, freeze_depth=7, epochs=2, batch_size=3, head_first=False)


@dataclass(frozen=True)
class Made:
    """A finished run in a workspace of its own."""

    run: RunDirectory
    split: Split

    @property
    def folder(self) -> MapFolder:
        return MapFolder(self.run)

    @property
    def network(self) -> Network:
        """As it is now, put together without any of the map's parts."""
        card = json.loads(self.run.model_card.read_text())
        head = HeadSpec.from_json(card["head"])
        return restore(card["backbone"], len(card["classes"]), load_file(self.run.model), head=head).eval()

    def pixels(self) -> torch.Tensor:
        """The drawn photos as the network takes them."""
        look = registry.backbone("efficientnet_lite0").preprocessing
        paths = [Path(self.split.root) / sample.path for _, sample in drawn(self.split)]
        crops = [centre(square, look.crop) for square in squares(paths, look.resize, look.interpolation)]
        return normalised(torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2), look)


def make(home: Path, config, divided: Split) -> Made:
    """A run of photos of its own, so that a test can take them away."""
    root = home / "photos"
    shutil.copytree(divided.root, root)
    split = replace(divided, root=str(root))
    run = new_run(home / "runs", config, split)
    writer = EventWriter(run)
    for event in train(run, home / "cache"):
        writer.append(event)
    writer.close()
    return Made(run, split)


@pytest.fixture(scope="module")
def frozen(tmp_path_factory, divided) -> Made:
    return make(tmp_path_factory.mktemp("frozen") / "me", FROZEN, divided)


@pytest.fixture(scope="module")
def tuned(tmp_path_factory, divided) -> Made:
    return make(tmp_path_factory.mktemp("tuned") / "me", TUNED, divided)


@pytest.fixture(autouse=True)
def no_map(frozen, tuned):
    """Each test begins without one."""
    yield
    for made in (frozen, tuned):
        shutil.rmtree(made.folder.path, ignore_errors=True)


def found(made: Made) -> spaces.Spaces:
    return spaces.spaces(made.folder, drawn(made.split), lambda step, done, total: None, lambda: False)


def likeness(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    return (ours * theirs).sum(axis=1) / np.linalg.norm(ours, axis=1) / np.linalg.norm(theirs, axis=1)


def test_where_only_the_head_learnt_after_is_what_its_hidden_layer_makes_of_the_same_features(frozen):
    shown = found(frozen)
    network = frozen.network
    with torch.inference_mode():
        features = network.features(frozen.pixels())
        hidden = network.head.layers.hidden1((features - network.head.mean) / network.head.scale).relu()
        chances = network.head(features).softmax(dim=1).numpy()
    assert shown.kind == "head"
    assert shown.before.shape == (len(features), 1280)
    assert likeness(shown.before, features.numpy()).min() > 0.995  # kept features may have 16 bits
    assert shown.after.shape == (len(features), 8)
    assert np.abs(shown.after - hidden.numpy()).max() < 0.05 * np.abs(hidden.numpy()).max()
    assert np.abs(shown.probabilities - chances).max() < 0.05


def test_where_the_body_learnt_before_and_after_are_what_two_networks_see(tuned):
    shown = found(tuned)
    backbone = registry.backbone("efficientnet_lite0")
    began = build(backbone.name, 3, weights=find(backbone, tuned.folder.weights)).eval()
    with torch.inference_mode():
        before, after = (network.features(tuned.pixels()).numpy() for network in (began, tuned.network))
    assert shown.kind == "body"
    assert likeness(shown.before, before).min() > 0.995
    assert likeness(shown.after, after).min() > 0.99999
    assert likeness(before, after).max() < 0.9999  # it did learn


def test_the_map_says_of_test_photos_what_the_results_say_and_of_others_what_the_predictor_says(tuned):
    map_worker.work(tuned.folder)
    assert map_worker.watch(tuned.folder).status == "ready"
    made = tuned.folder.read()
    assert (made.of, made.unreadable, made.kind) == (15, 0, "body")
    results = Results.from_json(tuned.run.results())
    known = {answer.path: (answer.predicted, answer.confidence) for answer in results.answers}
    paths = [Path(tuned.split.root) / photo.path for photo in made.photos]
    for photo, answer in zip(made.photos, Predictor.load(tuned.run).predict(paths), strict=True):
        if photo.part == "test":
            assert (photo.said, photo.confidence) == known.pop(photo.path)
        else:
            assert made.classes[photo.said] == answer.label
            assert photo.confidence == pytest.approx(answer.confidence, abs=1e-3)
    assert known == {}
    assert len(made.after.tsne) == len(made.before.pca) == 15
    assert made.after.neighbours.total == len(tuned.split.test)
    assert not tuned.folder.rows.exists()


def test_one_that_was_stopped_goes_on_without_looking_at_a_photo_twice(tuned, monkeypatch):
    looked: list[str] = []
    real = spaces.squares

    def counted(paths, *look):
        def noted():
            for path in paths:
                looked.append(path.name)
                yield path

        return real(noted(), *look)

    monkeypatch.setattr(spaces, "squares", counted)
    monkeypatch.setattr(spaces, "BATCH", 5)
    whole = spaces.RowStore.append

    def stop_after_five(store, hashes, rows):
        whole(store, hashes, rows)
        map_worker.stop(tuned.folder)

    found(tuned)  # features as before training are shared with it, and kept there
    shutil.rmtree(tuned.folder.rows)
    monkeypatch.setattr(spaces.RowStore, "append", stop_after_five)
    map_worker.work(tuned.folder)
    known = map_worker.watch(tuned.folder)
    assert (known.status, known.step, known.total) == ("stopped", "after", 15)
    assert tuned.folder.read() is None
    monkeypatch.setattr(spaces.RowStore, "append", whole)
    tuned.folder.stop.unlink()
    first = len(looked)
    map_worker.work(tuned.folder)
    assert map_worker.watch(tuned.folder).status == "ready"
    assert len(looked) - first == 10


def test_photos_that_are_gone_are_left_out_unless_what_was_seen_of_them_is_kept(frozen, tmp_path):
    copy = tmp_path / "me"
    shutil.copytree(frozen.run.path.parent.parent, copy)
    run = RunDirectory(copy / "runs" / frozen.run.id)
    never_seen = tuple(replace(sample, sha256=f"{place:064x}") for place, sample in enumerate(frozen.split.test))
    split = replace(frozen.split, root=str(tmp_path / "nowhere"), test=never_seen)
    (run.path / "split.json").write_text(json.dumps(split.to_json()))
    map_worker.work(MapFolder(run))
    made = MapFolder(run).read()
    assert {photo.part for photo in made.photos} == {"train", "val"}  # training kept what it saw of them
    assert made.unreadable == len(split.test)
    shutil.rmtree(copy / "cache")
    (run.map / "map.json").unlink()
    map_worker.work(MapFolder(run))
    known = map_worker.watch(MapFolder(run))
    assert (known.status, known.error.key) == ("failed", "map.no_photos")
    assert known.error.message
    assert known.error.hint


def test_without_the_weights_it_began_with_after_is_shown_alone(tuned, monkeypatch):
    monkeypatch.setattr(spaces, "find", lambda backbone, folder: None)
    map_worker.work(tuned.folder)
    made = tuned.folder.read()
    assert made.before is None
    assert len(made.after.pca) == 15


def test_another_model_makes_the_map_an_old_one(frozen):
    map_worker.work(frozen.folder)
    assert frozen.folder.read() is not None
    assert map_worker.watch(frozen.folder).status == "ready"
    model = frozen.run.model.read_bytes()
    frozen.run.model.write_bytes(model)
    assert frozen.folder.read() is None
    assert map_worker.watch(frozen.folder).status != "ready"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # the heart has nowhere to beat
def test_a_run_that_is_deleted_meanwhile_leaves_nothing_behind(frozen, tmp_path, monkeypatch):
    copy = tmp_path / "me"
    shutil.copytree(frozen.run.path.parent.parent, copy)
    run = RunDirectory(copy / "runs" / frozen.run.id)
    real = map_worker.laid_out

    def delete_first(*given):
        shutil.rmtree(run.path)
        return real(*given)

    monkeypatch.setattr(map_worker, "laid_out", delete_first)
    map_worker.work(MapFolder(run))
    assert not run.path.exists()
