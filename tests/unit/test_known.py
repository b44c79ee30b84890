"""Unlike anything seen: distances against scikit-learn, the limit's promise, and files that are not what they say."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from safetensors.torch import save_file
from sklearn.neighbors import NearestNeighbors

from core.data.report import Sample
from core.errors import RunError
from core.inference.answers_file import PhotoAnswer
from core.inference.conformal import fewest
from core.inference.metrics import Answer, Results
from core.inference.predictor import Prediction
from core.inference.unknown import Detector, Reference, unit
from core.runs.store import RunDirectory
from core.training import known
from core.training.known import COVERAGE, Chosen, among, evenly, find_limit

WIDTH = 12
DISTANCES = st.integers(2, 120).flatmap(lambda n: arrays(np.float64, n, elements=st.floats(0, 2)))


def features(count: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).gamma(2.0, size=(count, WIDTH)).astype(np.float32))


def detector(rows: torch.Tensor, neighbours: int = 5, limit: float = 0.2) -> Detector:
    samples = [Reference(f"class{place % 3}/{place}.jpg", f"class{place % 3}") for place in range(len(rows))]
    return Detector(unit(rows), samples, limit=limit, neighbours=neighbours)


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory(tmp_path)


# What is measured


@pytest.mark.parametrize("neighbours", [1, 5])
def test_strangeness_is_the_mean_cosine_distance_to_the_nearest_training_photos(neighbours):
    rows, new = features(40), features(7, seed=1)
    found = detector(rows, neighbours)(new, torch.zeros(7, 3))
    theirs, _ = NearestNeighbors(n_neighbors=neighbours, metric="cosine").fit(rows.numpy()).kneighbors(new.numpy())
    assert found.dtype == torch.float32
    assert np.allclose(found.numpy(), theirs.mean(axis=1), atol=1e-3)  # rows are kept in 16 bits


def test_the_nearest_training_photos_come_with_their_names_the_most_alike_first():
    rows, new = features(40), features(3, seed=1)
    likeness, places = NearestNeighbors(n_neighbors=4, metric="cosine").fit(rows.numpy()).kneighbors(new.numpy())
    found = detector(rows).nearest(new, 4)
    assert [[near.path for near in row] for row in found] == [[f"class{i % 3}/{i}.jpg" for i in row] for row in places]
    assert np.allclose([[near.likeness for near in row] for row in found], 1 - likeness, atol=1e-3)
    assert [len(row) for row in detector(rows).nearest(new, 100)] == [40, 40, 40]


def test_a_training_photo_is_compared_with_the_others_and_not_with_itself(monkeypatch):
    monkeypatch.setattr(known, "COMPARED_AT_ONCE", 7)
    rows = features(30)
    theirs, _ = NearestNeighbors(n_neighbors=4, metric="cosine").fit(rows.numpy()).kneighbors(rows.numpy())
    assert np.allclose(among(unit(rows), 3), theirs[:, 1:].mean(axis=1), atol=1e-5)


def test_it_is_plain_tensor_work_that_exporters_take_for_any_number_of_photos():
    made = detector(features(40))
    exported = torch.export.export(
        made, (features(4), torch.zeros(4, 3)), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},) * 2
    )
    new = features(9, seed=2)
    assert torch.allclose(exported.module()(new, torch.zeros(9, 3)), made(new, torch.zeros(9, 3)), atol=1e-6)


# The limit


@given(DISTANCES, DISTANCES)
def test_at_most_one_photo_in_twenty_lies_above_the_limit(unseen, among_themselves):
    limit = find_limit(unseen, among_themselves, learnt=False)
    refused = (unseen > limit).sum()
    together = refused + (among_themselves > limit).sum()
    from_everybody = together <= (1 - COVERAGE) * (len(unseen) + len(among_themselves))
    assert from_everybody or refused <= (1 - COVERAGE) * len(unseen)


@given(DISTANCES, DISTANCES)
def test_where_the_body_has_learnt_from_the_training_photos_the_validation_photos_decide(unseen, among_themselves):
    limit = find_limit(unseen, among_themselves, learnt=True)
    assert (unseen > limit).sum() <= (1 - COVERAGE) * len(unseen)
    if len(unseen) >= fewest(COVERAGE):
        assert limit == find_limit(unseen, among_themselves + 1, learnt=True)


def test_a_quantile_of_100_photos_is_the_96th():
    values = np.arange(1.0, 101.0)  # ⌈0.95 · 101⌉ = 96
    assert find_limit(values[:50], values[50:], learnt=False) == 96
    assert find_limit(values, np.zeros(9), learnt=True) == 96


def test_training_photos_in_series_are_not_believed_against_the_validation_photos():
    series, unseen = np.full(200, 0.01), np.linspace(0.1, 0.5, 40)
    assert find_limit(unseen, series, learnt=False) == pytest.approx(np.sort(unseen)[38])
    assert find_limit(unseen[:9], series, learnt=False) == unseen[8]  # too few for a quantile: all of them are known


def test_without_validation_photos_the_training_photos_decide():
    assert find_limit(np.empty(0), np.arange(1.0, 101.0), learnt=False) == 96
    assert find_limit(np.empty(0), np.arange(1.0, 101.0), learnt=True) == 96


def test_new_photos_of_the_same_kind_are_refused_one_time_in_twenty():
    random = np.random.default_rng(0)
    refused = []
    for _ in range(300):
        rows, new = random.normal(size=(60, 8)), random.normal(size=(200, 8))
        references = unit(torch.from_numpy(rows[:50]))
        near = NearestNeighbors(n_neighbors=3, metric="cosine").fit(rows[:50])
        unseen, later = (near.kneighbors(some)[0].mean(axis=1) for some in (rows[50:], new))
        refused.append((later > find_limit(unseen, among(references, 3), learnt=False)).mean())
    assert 0.03 < float(np.mean(refused)) < 0.055


# Which training photos


@given(st.lists(st.integers(1, 40), min_size=2, max_size=6), st.integers(6, 150))
def test_rows_are_drawn_evenly_over_the_classes(sizes, most):
    samples = [Sample(f"{label}/{n}", label, "") for label, size in enumerate(sizes) for n in range(size)]
    places = evenly(samples, most)
    assert len(places) == len(set(places.tolist())) <= most
    counts = np.bincount([samples[place].target for place in places], minlength=len(sizes))
    if sum(sizes) <= most:
        assert counts.tolist() == sizes
        return
    assert most - len(places) < len(sizes)
    whole = counts == np.array(sizes)
    # A class that isn't there whole has as many as any other, but for what doesn't divide.
    assert whole.all() or counts[~whole].min() >= counts.max() - 1


def test_chosen_rows_are_read_as_if_they_were_all():
    rows = np.arange(20).reshape(10, 2)
    chosen = Chosen(rows, np.array([7, 1, 4]))
    assert len(chosen) == 3
    assert chosen[1:].tolist() == [[2, 3], [8, 9]]


# The file


def test_what_is_saved_is_what_is_loaded(run):
    made = detector(features(20), limit=0.125)
    made.save(run)
    found = Detector.load(run, WIDTH)
    assert found is not None
    assert (found.limit, found.neighbours, found.samples) == (0.125, 5, made.samples)
    assert torch.equal(found.references, made.references)
    assert [path.name for path in run.path.iterdir()] == ["known.safetensors"]


def test_a_run_of_an_earlier_graft_has_none(run):
    assert Detector.load(run) is None


GOOD = {"format": 1, "limit": 0.5, "neighbours": 2, "samples": [["a.jpg", "a"], ["b.jpg", "b"], ["c.jpg", "a"]]}
ROWS = torch.ones(3, WIDTH, dtype=torch.float16)


def deep(levels: int) -> str:
    return '{"format": 1, "samples": ' + "[" * levels + "]" * levels + "}"


def damaged() -> dict[str, tuple[dict[str, torch.Tensor], str | None]]:
    def told(**changes: object) -> str:
        return json.dumps({**GOOD, **changes})

    rows = {"references": ROWS}
    return {
        "no rows": ({"something": ROWS}, told()),
        "rows of another width": ({"references": torch.ones(3, WIDTH + 1)}, told()),
        "more rows than photos": ({"references": torch.ones(4, WIDTH)}, told()),
        "rows of one dimension": ({"references": torch.ones(3)}, told()),
        "whole numbers": ({"references": torch.ones(3, WIDTH, dtype=torch.int64)}, told()),
        "no number": ({"references": ROWS * float("nan")}, told()),
        "no text beside": (rows, None),
        "text that is no JSON": (rows, "{"),
        "a list": (rows, "[]"),
        "endless nesting": (rows, deep(100_000)),
        "no limit": (rows, json.dumps({"format": 1, "neighbours": 2, "samples": GOOD["samples"]})),
        "an infinite limit": (rows, told(limit=float("inf"))),
        "a limit in words": (rows, told(limit="much")),
        "more neighbours than rows": (rows, told(neighbours=4)),
        "no neighbour": (rows, told(neighbours=0)),
        "endless neighbours": (rows, told(neighbours=float("inf"))),
        "a name that is none": (rows, told(samples=[["a.jpg"], ["b.jpg", "b"], ["c.jpg", "a"]])),
    }


@pytest.mark.parametrize("what", damaged())
def test_a_file_that_is_not_what_it_must_be_is_an_error_with_a_way_out(run, what):
    tensors, told = damaged()[what]
    save_file(tensors, run.known, metadata=None if told is None else {"graft": told})
    with pytest.raises(RunError) as raised:
        Detector.load(run, WIDTH)
    assert raised.value.key == "known.broken"
    assert "known.safetensors" in raised.value.message


@pytest.mark.parametrize("shape", [[10**9, 10**9], [2**62, 4], [3, -1]])
def test_a_header_that_claims_more_than_the_file_holds_is_refused_before_anything_is_read(run, shape):
    header = {
        "__metadata__": {"graft": json.dumps(GOOD)},
        "references": {"dtype": "F16", "shape": shape, "data_offsets": [0, 16]},
    }
    text = json.dumps(header).encode()
    run.known.write_bytes(struct.pack("<Q", len(text)) + text + bytes(16))
    with pytest.raises(RunError):
        Detector.load(run)


@pytest.mark.parametrize("content", [b"", b"\x80\x04pickle", struct.pack("<Q", 2**60) + b"{}"])
def test_bytes_that_are_no_such_file_are_refused(run, content):
    run.known.write_bytes(content)
    with pytest.raises(RunError):
        Detector.load(run)


def test_a_file_of_a_newer_graft_says_so(run):
    save_file({"references": ROWS}, run.known, metadata={"graft": json.dumps({**GOOD, "format": 99})})
    with pytest.raises(RunError) as raised:
        Detector.load(run)
    assert raised.value.key == "predict.newer"


# What is told


def test_an_answer_always_says_whether_it_is_known_and_older_lines_mean_that_it_is():
    strange = PhotoAnswer.of("a.jpg", Prediction((("cat", 0.9),), strangeness=0.7, unknown=True))
    assert strange.to_json()["unknown"] is True
    assert PhotoAnswer.from_json(json.loads(json.dumps(strange.to_json()))) == strange
    assert PhotoAnswer("b.jpg", error="It is damaged.").to_json()["unknown"] is False
    older = strange.to_json()
    del older["unknown"]
    assert PhotoAnswer.from_json(older).unknown is False


def test_refused_photos_are_counted_where_the_run_can_tell():
    answers = tuple(Answer(f"{n}", 0, ((0, 1.0),), None, n / 10) for n in range(10))
    told = Results(("a", "b"), answers, limit=0.65)
    assert (told.refused, told.to_json()["refused"]) == (3, 3)
    assert Results.from_json(json.loads(json.dumps(told.to_json()))) == told
    older = told.to_json()
    del older["limit"]
    assert Results.from_json(older).refused is None
    assert Results(("a", "b"), (Answer("x", 0, ((0, 1.0),)),), limit=0.65).refused is None
