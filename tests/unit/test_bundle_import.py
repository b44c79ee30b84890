"""A bundle becomes a run again, and one that was tampered with is refused by the name of what is wrong."""

import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save

from core.errors import CoreError, DataError, ModelError
from core.export.arrived import BundleError
from core.export.incoming import import_bundle
from core.inference.metrics import Results
from core.inference.predictor import Predictor
from core.inference.unknown import Detector
from core.runs import list_runs, notes, store
from core.runs.state import fold
from core.runs.store import RunDirectory
from tests.exported import SMALL, bundle_files, listed, made_run, with_json, zipped
from tests.hostile import link_member, with_flags

Files = dict[str, bytes]
MODEL, KNOWN = "model.safetensors", "known.safetensors"


@pytest.fixture(scope="module")
def run(tmp_path_factory, divided) -> RunDirectory:
    return made_run(tmp_path_factory.mktemp("runs"), SMALL, divided)


@pytest.fixture(scope="module")
def whole(run) -> Files:
    return bundle_files(run)


def refused(tmp_path: Path, files: Files, *, hashes: bool = True) -> CoreError:
    """What importing these files comes to; nothing may be left behind."""
    return refused_zip(tmp_path, zipped(tmp_path / "bundle.zip", listed(files) if hashes else files))


def refused_zip(tmp_path: Path, bundle: Path) -> CoreError:
    runs = tmp_path / "runs"
    with pytest.raises(CoreError) as caught:
        import_bundle(bundle, runs)
    assert list(runs.iterdir()) == []
    error = caught.value
    assert bundle.name in error.message or isinstance(error, ModelError)
    assert error.hint
    return error


def test_an_imported_bundle_answers_as_the_run_it_was_made_of(run, whole, divided, tmp_path):
    again = import_bundle(zipped(tmp_path / "shapes.zip", listed(whole)), tmp_path / "runs")
    photos = [Path(divided.root) / sample.path for sample in divided.test]
    first, second = (list(Predictor.load(one).predict(photos)) for one in (run, again))
    assert first == second
    assert len({answer.label for answer in first}) > 1 or np.ptp([answer.confidence for answer in first]) > 0.01
    assert Detector.load(again).limit == 0.5


def test_an_imported_run_is_listed_finished_and_has_its_scores(run, whole, tmp_path):
    again = import_bundle(zipped(tmp_path / "shapes.zip", listed(whole)), tmp_path / "runs")
    [(found, info)] = list_runs(tmp_path / "runs")
    assert (found, info.title, info.config) == (again, "Shapes", run.info().config)
    assert info.fingerprint == run.info().fingerprint
    state = fold(store.read_events(again)[0])
    assert (state.status, state.evaluated.correct) == ("finished", Results.from_json(run.results()).correct)
    scores, original = Results.from_json(again.results()), Results.from_json(run.results())
    assert scores.confusion() == original.confusion()
    assert scores.temperature == 1.25
    assert "shapes.zip" in notes.read(again).text
    assert again.split().classes == run.split().classes
    assert not Path(again.split().root).exists()


@pytest.mark.slow
def test_nothing_of_the_other_computer_comes_along(whole, tmp_path):
    """Neither where its photos lay, nor what its settings named."""
    files = with_json(whole, "graft.json", lambda d: d["settings"].update(start_from="/home/eve/run", device="cuda:1"))
    again = import_bundle(zipped(tmp_path / "b.zip", listed(files)), tmp_path / "runs")
    config = again.info().config
    assert (config.start_from, config.device) == ("", "auto")
    assert {answer.path.split("/")[0] for answer in Results.from_json(again.results()).answers} == {"test"}
    assert {row.path.split("/")[0] for row in Detector.load(again).samples} == {"training"}
    assert not (again.path / "predict.py").exists()
    assert not (again.path / "model.onnx").exists()


@pytest.mark.slow
def test_scores_that_name_files_of_this_computer_show_none_of_them(whole, tmp_path):
    def aim(data: dict) -> None:
        data["answers"][0]["path"] = "/etc/passwd"
        data["answers"][1]["path"] = "../../../secret.jpg"

    again = import_bundle(zipped(tmp_path / "b.zip", listed(with_json(whole, "metrics.json", aim))), tmp_path / "runs")
    assert "passwd" not in again.metrics.read_text("utf-8")
    assert "secret" not in again.metrics.read_text("utf-8")


@pytest.mark.slow
def test_a_bundle_packed_again_by_a_mac_is_taken(whole, tmp_path):
    bundle = zipped(tmp_path / "b.zip", listed(whole), folder="graft-model 2")
    with zipfile.ZipFile(bundle, "a") as archive:
        archive.writestr("__MACOSX/graft-model 2/._model.json", b"\0\5\26\7")
        archive.writestr("graft-model 2/.DS_Store", b"\0")
    assert import_bundle(bundle, tmp_path / "runs").has_model


def test_changed_weights_are_refused(whole, tmp_path):
    data = bytearray(whole[MODEL])
    data[-3] ^= 1
    error = refused(tmp_path, {**listed(whole), MODEL: bytes(data)}, hashes=False)
    assert error.key == "export.refused.changed"
    assert MODEL in error.message


@pytest.mark.parametrize("name", ["../outside.json", "/etc/cron.d/x", "C:\\x.json", "a\\..\\b", "graft-model/a\x1b.md"])
def test_a_name_that_leads_elsewhere_is_refused(name, whole, tmp_path):
    bundle = zipped(tmp_path / "bundle.zip", listed(whole))
    with zipfile.ZipFile(bundle, "a") as archive:
        archive.writestr(name, b"{}")
    assert refused_zip(tmp_path, bundle).key == "export.refused.unsafe_name"
    assert not (tmp_path / "outside.json").exists()


PICKLE = b"\x80\x04\x95\x10\0\0\0\0\0\0\0\x8c\x05posix\x94\x8c\x06system\x94\x93."


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.pkl", b"anything"), ("weights.PT", b"anything"), ("pytorch_model.bin", b"anything"),
        ("notes.txt", PICKLE), ("old.txt", b"cos\nsystem\n(S'echo'\ntR."), ("samples/a.jpg", PICKLE),
    ],
)  # fmt: skip
def test_a_pickle_is_refused_by_name_and_by_content(name, content, whole, tmp_path):
    for files in (listed({**whole, name: content}), {**listed(whole), name: content}):
        error = refused(tmp_path, files, hashes=False)
        assert error.key == "export.refused.pickle"
        assert name in error.message


@pytest.mark.slow
def test_a_pickle_inside_torchs_program_is_refused(whole, tmp_path):
    for inner, key in (("model/data/sample_inputs/model.pt", "export.refused.pickle"), ("model/weights/w0", None)):
        path = tmp_path / "model.pt2"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(inner, PICKLE)
        files = {**whole, "model.pt2": path.read_bytes()}
        if key is None:
            assert import_bundle(zipped(tmp_path / "good.zip", listed(files)), tmp_path / "more").has_model
        else:
            assert refused(tmp_path, files).key == key


def test_a_zip_hidden_behind_another_name_is_refused(whole, tmp_path):
    """As torch.save writes them: a zip with a pickle inside."""
    torch.save({"a": torch.ones(2)}, tmp_path / "saved")
    files = {**whole, "picture.png": (tmp_path / "saved").read_bytes()}
    assert refused(tmp_path, files).key == "export.refused.pickle"


def test_files_that_the_list_does_not_name_or_that_lack_are_refused(whole, tmp_path):
    complete = listed(whole)
    error = refused(tmp_path, {**complete, "extra.md": b"hello"}, hashes=False)
    assert (error.key, "extra.md" in error.message) == ("export.refused.unlisted", True)
    error = refused(tmp_path, {name: data for name, data in complete.items() if name != "README.md"}, hashes=False)
    assert (error.key, "README.md" in error.message) == ("export.refused.missing", True)
    error = refused(tmp_path, {name: data for name, data in whole.items() if name != MODEL})
    assert (error.key, MODEL in error.message) == ("export.refused.missing", True)


def test_what_is_no_bundle_is_refused(whole, tmp_path):
    assert refused(tmp_path, {"a.jpg": b"x", "graft.txt": b"{}"}, hashes=False).key == "export.refused.no_manifest"
    (tmp_path / "text.zip").write_bytes(b"no zip at all")
    with pytest.raises(DataError):
        import_bundle(tmp_path / "text.zip", tmp_path / "runs")
    assert refused(tmp_path, {**whole, "graft.json": b"[1]"}, hashes=False).key == "export.refused.not_json"
    deep = b'{"a":' * 100_000
    assert refused(tmp_path, {**whole, "graft.json": deep}, hashes=False).key == "export.refused.not_json"


def test_links_and_locked_files_are_refused(whole, tmp_path):
    bundle = zipped(tmp_path / "bundle.zip", listed(whole))
    with zipfile.ZipFile(bundle, "a") as archive:
        archive.writestr(link_member("graft-model/link"), b"/etc/passwd")
    assert refused_zip(tmp_path, bundle).key == "export.refused.odd_member"
    bundle.write_bytes(with_flags(zipped(bundle, listed(whole)).read_bytes(), 0x1))
    assert refused_zip(tmp_path, bundle).key == "export.refused.odd_member"


def test_the_same_name_twice_is_refused(whole, tmp_path):
    bundle = zipped(tmp_path / "bundle.zip", listed(whole))
    with zipfile.ZipFile(bundle, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("graft-model/model.json", whole["model.json"])
    assert refused_zip(tmp_path, bundle).key == "export.refused.twice"


def test_a_zip_bomb_is_refused_before_it_is_unpacked(whole, tmp_path):
    flat = {**whole, "samples/flat.bmp": bytes(90_000_000)}
    bundle = zipped(tmp_path / "bundle.zip", flat, kind=zipfile.ZIP_DEFLATED)
    assert refused_zip(tmp_path, bundle).key == "export.refused.bomb"


@pytest.mark.parametrize("file", ["graft.json", "model.json"])
def test_a_newer_format_is_refused_with_the_way_out(file, whole, tmp_path):
    error = refused(tmp_path, with_json(whole, file, lambda data: data.update(format=99)))
    assert (error.key, "99" in error.message) == ("export.refused.newer", True)
    assert "Update" in error.hint


def test_an_unknown_backbone_is_refused_by_name(whole, tmp_path):
    error = refused(tmp_path, with_json(whole, "model.json", lambda data: data.update(backbone="evilnet")))
    assert isinstance(error, ModelError)
    assert "evilnet" in error.message


def renamed(names: list[object]) -> Callable[[Files], Files]:
    return lambda files: with_json(
        with_json(files, "model.json", lambda data: data.update(classes=names)),
        "graft.json", lambda data: data.update(labels=names),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("names", "key"),
    [
        (["a" * 201, "b", "c"], "class_name"), (["a\x00", "b", "c"], "class_name"),
        (["a\u202e", "b", "c"], "class_name"), (["", "b", "c"], "class_name"), ([3, "b", "c"], "class_name"),
        (["a\n# b", "b", "c"], "class_name"), ([str(number) for number in range(5000)], "classes"),
        (["a"], "classes"), (["a", "a", "b"], "class_list"), (["a", "b", "c", "d"], "shape"),
    ],
)  # fmt: skip
def test_hostile_class_names_are_refused(names, key, whole, tmp_path):
    files = {name: data for name, data in renamed(names)(whole).items() if name not in ("metrics.json", KNOWN)}
    files.pop("validation.json")
    assert refused(tmp_path, files).key == f"export.refused.{key}"


def with_header(data: bytes, change: Callable[[dict], object]) -> bytes:
    """A safetensors file with another header."""
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data[8 + length :]


def first_and_last(header: dict) -> tuple[dict, dict]:
    rows = sorted((row for name, row in header.items() if name != "__metadata__"), key=lambda row: row["data_offsets"])
    return rows[0], rows[-1]


def huge(header: dict) -> None:
    first_and_last(header)[0]["shape"] = [2**40, 2**40]


def wrapping(header: dict) -> None:
    """A product that is small again in 64 bits."""
    first_and_last(header)[0]["shape"] = [2**32, 2**32, 2**32, 1]


def overlapping(header: dict) -> None:
    """The last tensor lies a little before its place, over the end of the one before it; a single one after it."""
    first, last = first_and_last(header)
    last["data_offsets"] = [offset + (2 if last is first else -2) for offset in last["data_offsets"]]


def negative(header: dict) -> None:
    first_and_last(header)[0]["data_offsets"] = [-8, 8]


def odd_type(header: dict) -> None:
    first_and_last(header)[0]["dtype"] = "F1024"


@pytest.mark.parametrize(
    ("change", "key"),
    [(huge, "header"), (wrapping, "header"), (negative, "header"), (odd_type, "header"), (overlapping, "offsets")],
)
@pytest.mark.parametrize("file", [MODEL, KNOWN])
def test_a_safetensors_header_that_cannot_be_true_is_refused(file, change, key, whole, tmp_path):
    error = refused(tmp_path, {**whole, file: with_header(whole[file], change)})
    assert (error.key, file in error.message) == (f"export.refused.{key}", True)


@pytest.mark.parametrize("data", [b"", b"\xff" * 64, struct.pack("<Q", 2**60) + b"{}", PICKLE])
def test_what_is_no_safetensors_file_is_refused(data, whole, tmp_path):
    assert refused(tmp_path, {**whole, MODEL: data}).key == "export.refused.header"


@pytest.mark.slow
def test_weights_of_another_shape_name_or_number_are_refused(whole, tmp_path, run):
    state = load_file(run.model)
    name = "head.layers.output.weight"
    for changed, key in (
        ({**state, name: torch.zeros(3, 5)}, "shape"),
        ({**state, "extra": torch.zeros(2)}, "shape"),
        ({key: tensor for key, tensor in state.items() if key != name}, "shape"),
        ({**state, name: state[name].half()}, "shape"),
        ({**state, name: torch.full_like(state[name], torch.nan)}, "not_finite"),
        ({**state, "head.scale": torch.tensor(torch.inf)}, "not_finite"),
        ({**state, "head.scale": torch.tensor(0.0)}, "no_answer"),
    ):
        assert refused(tmp_path, {**whole, MODEL: save(changed)}).key == f"export.refused.{key}"


def test_a_detector_of_another_network_is_refused(whole, tmp_path, run):
    tensors = load_file(run.known)
    with safe_open(run.known, framework="pt") as file:
        told = file.metadata()
    rows = tensors["references"]
    unlabelled = {"graft": told["graft"].replace('"circle"', '"elsewhere"')}
    for changed, metadata, key in (
        (rows[:, :-1].clone(), told, "known"),  # features of another width
        (rows[:-1].clone(), told, "known"),  # fewer than photos
        (rows, None, "known"),
        (rows, unlabelled, "known"),
        (torch.full_like(rows, torch.inf), told, "not_finite"),
    ):
        error = refused(tmp_path, {**whole, KNOWN: save({"references": changed}, metadata=metadata)})
        assert error.key == f"export.refused.{key}"


def aimed(place: object) -> Callable[[dict], object]:
    return lambda data: data["answers"][0].update(target=place)


@pytest.mark.parametrize(
    "change",
    [
        aimed(99), aimed(-1), aimed("a"), lambda data: data["answers"][0].update(top=[]),
        lambda data: data["answers"][0].update(top=[[7, 0.5]]), lambda data: data["answers"][0].update(top=[[0, 7.0]]),
        lambda data: data.update(classes=["x", "y", "z"]), lambda data: data.update(temperature=1e9),
        lambda data: data.update(temperature=10**400), lambda data: data["answers"][0].update(top=[[10**400, 0.5]]),
        lambda data: data.pop("answers"),
    ],
)  # fmt: skip
def test_scores_that_cannot_be_are_refused(change, whole, tmp_path):
    assert refused(tmp_path, with_json(whole, "metrics.json", change)).key == "export.refused.scores"


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data["targets"].__setitem__(0, 44), lambda data: data["logits"][0].pop(),
        lambda data: data["logits"][0].__setitem__(0, "x"), lambda data: data["logits"].pop(),
    ],
)  # fmt: skip
def test_validation_answers_that_cannot_be_are_refused(change, whole, tmp_path):
    assert refused(tmp_path, with_json(whole, "validation.json", change)).key == "export.refused.scores"


def test_settings_and_preprocessing_that_cannot_be_are_refused(whole, tmp_path):
    error = refused(tmp_path, with_json(whole, "graft.json", lambda data: data["settings"].update(epochs=-4)))
    assert error.key == "export.refused.settings"
    for change in (
        lambda data: data["preprocessing"].update(crop=100_000, resize=100_000),
        lambda data: data["preprocessing"].update(std=[0, 1, 1]),
        lambda data: data["preprocessing"].update(mean=[1, 2]),
        lambda data: data["head"].update(kind="hidden", hidden_units=10**9),
        lambda data: data.update(head=None),
    ):
        error = refused(tmp_path, with_json(whole, "model.json", change))
        assert isinstance(error, BundleError)
        assert (error.key, "model.json" in error.message) == ("export.refused.card", True)
