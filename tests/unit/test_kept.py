"""What the frozen part makes of photos is computed once, whoever asks, and is what the plain network computes."""

import errno
import itertools
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from core.data import pixels
from core.data.pixels import centre, square
from core.data.report import Sample
from core.data.scan import scan
from core.errors import DataError
from core.events import Notice, Progress
from core.inference.predictor import ModelCard, Predictor
from core.models.build import Network, build
from core.models.registry import backbone
from core.models.weights import find
from core.training import kept, rows
from core.training.fresh import Fresh
from core.training.frozen import FrozenPart, half, normalised, read_mix, remember_mix
from core.training.kept import Kept, Recipe, Stopped, keep
from core.words import say
from tests.photos import make_folder

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
NAME = "efficientnet_lite0"
LAST = Recipe("w", frozen_stages=7, augment="flip", views=2, features=True, activations=True)
HEAD = Recipe("w", frozen_stages=8, augment="none", views=1, features=True, activations=False)
ALL = Recipe("w", frozen_stages=0, augment="none", views=1, features=False, activations=True)


@dataclass
class Told:
    """What a call of ``keep`` yielded, and what it came to."""

    events: list[Progress | Notice] = field(default_factory=list)
    kept: Kept | None = None

    @property
    def notices(self) -> list[Notice]:
        return [event for event in self.events if isinstance(event, Notice)]


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> tuple[Path, list[Sample]]:
    root = make_folder(tmp_path_factory.mktemp("photos"), per_class=6)
    return root, [Sample(photo.path, 0, photo.sha256) for photo in scan(root).photos]


@pytest.fixture(scope="module")
def network(tmp_path_factory) -> Network:
    return build(NAME, 3, weights=find(backbone(NAME), tmp_path_factory.mktemp("weights"))).eval()


@pytest.fixture
def small_batches(monkeypatch):
    """Four photos each, and progress after every one."""
    monkeypatch.setattr(kept, "BATCH", 4)
    monkeypatch.setattr(kept, "REPORT_SECONDS", 0.0)


@pytest.fixture
def computed(monkeypatch) -> list[str]:
    """The hashes that the frozen stages ran for, one entry a view."""
    found: list[str] = []
    make = FrozenPart.make

    def counted(part, squares, hashes, view, wanted):
        found.extend(hashes)
        return make(part, squares, hashes, view, wanted)

    monkeypatch.setattr(FrozenPart, "make", counted)
    return found


def run(network, recipe, photos, cache, **options) -> Told:
    told = Told()

    def follow():
        told.kept = yield from keep(network, recipe, photos[1], photos[0], cache, CPU, lambda: False, **options)

    told.events = list(follow())
    return told


def exact_photos(network: Network, photos) -> torch.Tensor:
    """(n, 3, 224, 224) float32, decoded and cut one by one."""
    look = network.backbone.preprocessing
    cut = [centre(square(photos[0] / s.path, look.resize, look.interpolation), look.crop) for s in photos[1]]
    return normalised(torch.from_numpy(np.stack(cut)).permute(0, 3, 1, 2), look)


def near(found: np.ndarray, wanted: torch.Tensor) -> bool:
    """As near as 16 bits are, photo by photo."""
    flat = torch.from_numpy(found.astype(np.float32)).flatten(1)
    return float(torch.nn.functional.cosine_similarity(flat, wanted.flatten(1)).min()) > 0.99


def test_features_and_activations_of_each_view_are_the_plain_network_s(network, photos, tmp_path):
    told = run(network, LAST, photos, tmp_path)
    plain = exact_photos(network, photos)
    for view, x in enumerate((plain, plain.flip(-1))):
        with torch.inference_mode():
            assert near(told.kept.activations[view][:], network.run_stages(x, last=7))
            assert near(told.kept.features[view][:], network.features(x))


def test_in_exact_precision_the_head_gives_the_predictor_s_probabilities(network, photos, tmp_path):
    told = run(network, replace(HEAD, exact=True), photos, tmp_path)
    with torch.inference_mode():
        wanted = network.features(exact_photos(network, photos))
        logits = network.head(torch.from_numpy(told.kept.features[0][:]))
    assert np.abs(told.kept.features[0][:] - wanted.numpy()).max() < 1e-4
    card = ModelCard(NAME, ("a", "b", "c"), network.backbone.preprocessing, None, network.head.spec)
    predictor = Predictor(network, card, CPU)
    said = [chances for _, chances in predictor.probabilities(photos[0] / sample.path for sample in photos[1])]
    np.testing.assert_allclose(logits.softmax(1).numpy(), np.concatenate(said), atol=1e-6)


def test_exact_rows_are_kept_apart_from_those_in_16_bits(network, photos, tmp_path, computed):
    run(network, HEAD, photos, tmp_path)
    run(network, replace(HEAD, exact=True), photos, tmp_path)
    assert len(computed) == 2 * len(photos[1])
    assert len(list(tmp_path.glob("*/data"))) == 2


def test_all_views_of_a_photo_are_made_from_one_decoding(network, photos, tmp_path, monkeypatch):
    opened: list[Path] = []
    decode = pixels.square
    monkeypatch.setattr(pixels, "square", lambda source, *how: opened.append(source) or decode(source, *how))
    recipe = replace(LAST, augment="standard", views=3)
    told = run(network, recipe, photos, tmp_path)
    assert len(opened) == len(photos[1])
    assert (told.events[-1].done, told.events[-1].total) == (3 * len(photos[1]), 3 * len(photos[1]))
    assert len(told.kept.features) == len(told.kept.activations) == 3
    views = [view[:] for view in told.kept.features]
    assert all(not np.array_equal(one, other) for one, other in itertools.combinations(views, 2))


def test_another_boundary_finds_the_features_and_computes_the_same_ones(network, photos, tmp_path, computed):
    first = run(network, HEAD, photos, tmp_path)
    assert len(computed) == len(photos[1])
    run(network, replace(HEAD, views=1), photos, tmp_path)
    assert len(computed) == len(photos[1])
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    mix = next(tmp_path.glob("*mix*.json"))
    (elsewhere / mix.name).write_bytes(mix.read_bytes())
    cut = run(network, replace(HEAD, frozen_stages=5, activations=True), photos, elsewhere)
    np.testing.assert_array_equal(cut.kept.features[0][:], first.kept.features[0][:])


@pytest.mark.parametrize(
    ("change", "made_anew"),
    [
        ({}, False), ({"mean": (0.1, 0.2, 0.3)}, True), ({"std": (1.0, 1.0, 1.0)}, True),
        ({"resize": 240}, True), ({"crop": 192}, True), ({"interpolation": "bilinear"}, True),
    ],
)  # fmt: skip
def test_features_are_made_anew_when_anything_of_the_preprocessing_changes(
    network, photos, tmp_path, computed, change, made_anew
):
    few = photos[0], photos[1][:2]
    run(network, HEAD, few, tmp_path)
    before = network.backbone
    try:
        network.backbone = replace(before, preprocessing=replace(before.preprocessing, **change))
        run(network, HEAD, few, tmp_path)
    finally:
        network.backbone = before
    assert len(computed) == (4 if made_anew else 2)


@pytest.mark.parametrize(
    ("change", "made_anew"),
    [({"mean": (0.1, 0.2, 0.3)}, False), ({"crop": 192}, False), ({"resize": 240}, True),
     ({"interpolation": "bilinear"}, True)],
)  # fmt: skip
def test_decoded_squares_depend_on_resize_and_interpolation_alone(
    network, photos, tmp_path, computed, change, made_anew
):
    few = photos[0], photos[1][:2]
    look = network.backbone.preprocessing
    squares = run(network, ALL, few, tmp_path).kept.activations[0][:]
    assert np.array_equal(squares[1], square(few[0] / few[1][1].path, look.resize, look.interpolation))
    other = replace(network.backbone, name="another", preprocessing=replace(look, **change))
    changed = Network(other, list(network.stages), network.head)
    run(changed, replace(ALL, weights_sha256="others"), few, tmp_path)
    assert len(computed) == (4 if made_anew else 2)


def test_other_weights_make_other_rows(network, photos, tmp_path, computed):
    run(network, HEAD, photos, tmp_path)
    run(network, replace(HEAD, weights_sha256="others"), photos, tmp_path)
    assert len(computed) == 2 * len(photos[1])


def test_activations_too_large_for_16_bits_become_the_largest_number_and_not_infinite():
    x = torch.tensor([[1e6, -1e9, 65504.0, 70000.0, 1.5, float("inf")]])
    assert half(x).tolist() == [[65504.0, -65504.0, 65504.0, 65504.0, 1.5, 65504.0]]


# ---- Several processes ----------------------------------------------------------------------------------------------


def test_two_that_keep_the_same_photos_at_once_share_the_work(network, photos, tmp_path, small_batches, computed):
    calls = [keep(network, LAST, photos[1], photos[0], tmp_path, CPU, lambda: False) for _ in range(2)]
    found: list[Kept] = []
    while len(found) < 2:
        for call in list(calls):
            try:
                event = next(call)
                assert event.done <= event.total
            except StopIteration as ended:
                found.append(ended.value)
                calls.remove(call)
    assert len(computed) == 2 * len(photos[1])  # each view of each photo once, by either
    alone = run(network, LAST, photos, tmp_path / "alone").kept
    for one in found:
        for view in range(2):
            assert near(one.features[view][:], torch.from_numpy(alone.features[view][:]))
    assert np.array_equal(found[0].activations[1][:], found[1].activations[1][:])


def test_of_those_who_decide_about_16_bits_at_once_the_first_decides_for_all(tmp_path):
    path = tmp_path / "new" / "mix.json"
    with ThreadPoolExecutor(8) as pool:  # each opens the lock's file anew, as another process would
        agreed = set(pool.map(lambda number: remember_mix(path, number), range(40)))
    assert agreed == {read_mix(path)}


def test_who_decides_about_16_bits_too_late_does_as_the_first_did(network, photos, tmp_path, monkeypatch):
    """The decision of another process arrives after this one has looked and before it has decided."""
    part = FrozenPart(network, HEAD, CPU, tmp_path)
    part.body.stages  # noqa: B018 - looked: nobody had decided
    other = 3
    part.body.mix.write_text(json.dumps({"exact_stages": other}))
    monkeypatch.setattr("core.models.fast._gain", lambda *_: 1.0)  # alone, it would stay with 32 bits throughout
    told = run(network, HEAD, photos, tmp_path, part=part)
    assert part.body.stages.exact_stages == other
    again = run(network, HEAD, photos, tmp_path / "again", part=part)  # the decision holds from the first row on
    assert np.array_equal(told.kept.features[0][:], again.kept.features[0][:])


def test_stages_prepared_once_serve_other_recipes_of_the_same_network(network, photos, tmp_path):
    part = FrozenPart(network, HEAD, CPU, tmp_path)
    run(network, HEAD, photos, tmp_path, part=part)
    assert part.following(LAST).body is part.body
    exact = part.following(replace(HEAD, exact=True))
    assert exact.body.stages is part.body.plain
    assert exact.body.stages.exact_stages == len(exact.body.stages.body)
    with pytest.raises(ValueError, match="precision"):
        exact.following(HEAD)


# ---- Stopping, and what can go wrong --------------------------------------------------------------------------------


def test_who_is_stopped_goes_on_where_it_was(network, photos, tmp_path, small_batches, computed):
    asked: list[bool] = []
    stopped = keep(
        network, HEAD, photos[1], photos[0], tmp_path, CPU, lambda: asked.append(True) is None and len(asked) > 2
    )
    with pytest.raises(Stopped):
        list(stopped)
    assert len(computed) == 8
    told = run(network, HEAD, photos, tmp_path)
    assert len(computed) == len(photos[1])
    assert (told.events[0].done, told.events[-1].done) == (8, len(photos[1]))


def test_a_photo_that_is_gone_is_named(network, photos, tmp_path):
    lost = Sample("circle/gone.jpg", 0, "ab" * 32)
    with pytest.raises(DataError, match=r"gone\.jpg"):
        run(network, HEAD, (photos[0], [*photos[1][:3], lost]), tmp_path)


def test_a_full_disk_ends_the_run_with_the_next_step(network, photos, tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(rows, "_write", full)
    with pytest.raises(DataError, match="Free some space"):
        run(network, HEAD, photos, tmp_path)


# ---- The budget -----------------------------------------------------------------------------------------------------


def bytes_of_a_view(network: Network, photos) -> int:
    return len(photos[1]) * 2 * int(np.prod(network.backbone.stages[6].output_shape))


def feature_bytes(network: Network, photos, views: int) -> int:
    return len(photos[1]) * views * 4 * network.backbone.feature_width


def test_over_the_budget_fewer_views_are_kept_and_it_is_said(network, photos, tmp_path):
    view = bytes_of_a_view(network, photos)
    budget = feature_bytes(network, photos, 3) + 2 * view + view // 2
    told = run(network, replace(LAST, augment="standard", views=3), photos, tmp_path, budget_bytes=budget)
    assert (len(told.kept.features), len(told.kept.activations)) == (3, 2)
    assert [notice.key for notice in told.notices] == ["training.notice.fewer_views"]
    assert "2 of 3" in say(told.notices[0].key, **told.notices[0].values)
    held = sum(path.stat().st_size for path in tmp_path.glob("*/data"))
    assert held <= budget


def test_without_any_room_activations_are_computed_when_asked_for_and_features_still_kept(network, photos, tmp_path):
    told = run(network, LAST, photos, tmp_path / "none", budget_bytes=1)
    assert [notice.key for notice in told.notices] == ["training.notice.not_kept"]
    assert str(len(photos[1])) in say(told.notices[0].key, **told.notices[0].values)
    assert all(isinstance(view, Fresh) for view in told.kept.activations)
    assert {path.parent.name.split("-")[1] for path in (tmp_path / "none").glob("*/data")} == {"features"}
    wanted = run(network, LAST, photos, tmp_path / "all").kept
    assert len(told.kept.activations) == len(wanted.activations) == 2
    for view in range(2):
        fresh = torch.from_numpy(told.kept.activations[view][:].astype(np.float32))
        assert near(wanted.activations[view][:], fresh)


def test_what_is_kept_already_needs_no_room(network, photos, tmp_path, computed):
    run(network, LAST, photos, tmp_path)
    before = len(computed)
    told = run(network, LAST, photos, tmp_path, budget_bytes=1)
    assert (told.notices, len(told.kept.activations), len(computed)) == ([], 2, before)


def test_half_of_what_is_free_on_the_disk_bounds_what_is_kept(network, photos, tmp_path, monkeypatch):
    free = bytes_of_a_view(network, photos)  # half of it is too little for one view

    class Usage:
        pass

    usage = Usage()
    usage.free = free
    monkeypatch.setattr("core.training.budget.shutil.disk_usage", lambda _: usage)
    told = run(network, LAST, photos, tmp_path)
    assert [notice.key for notice in told.notices] == ["training.notice.not_kept"]
