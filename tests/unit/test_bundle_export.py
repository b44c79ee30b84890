"""Exported for real: every form of three families answers as the app, and a bundle tells when it was changed.

Convolutional families go the whole way; of a transformer only the form, one layer deep: all its layers are alike, and a
whole one takes half a minute. Every family's whole way is in benchmarks/parity.py.
"""

import io
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from PIL import Image

from core.data.report import Sample, Split
from core.data.scan import scan
from core.data.split import split
from core.errors import DataError, ModelError
from core.export import forms
from core.export.bundle import STEPS, ExportStopped, export
from core.export.hard import hard_pictures
from core.export.incoming import import_bundle
from core.export.manifest import sha256
from core.export.parity import Parity
from core.export.samples import spread
from core.export.whole import Whole
from core.inference.answers_file import PhotoAnswer
from core.inference.predictor import Predictor
from core.inference.unknown import Detector, unit
from core.models import registry
from core.models.architecture import empty
from core.models.build import Network
from core.models.head import Head, HeadSpec
from core.models.stages import split as split_stages
from core.runs.store import RunDirectory
from tests.exported import FOLDER, made_run
from tests.photos import make_folder

pytestmark = pytest.mark.slow  # torch needs seconds to write a network down as a program
FAMILIES = ("efficientnet_lite0", "resnet18")
PHONE = 0x0132  # EXIF: when a photo was changed; any tag does


@pytest.fixture(scope="module")
def shapes(tmp_path_factory) -> Split:
    """Photos with notes of the camera's in them."""
    root = make_folder(tmp_path_factory.mktemp("shapes"), per_class=6, classes=("circle", "square", "<b>*x*|"))
    exif = Image.Exif()
    exif[PHONE] = "2026:01:02 03:04:05 secret"
    for path in root.rglob("*.jpg"):
        with Image.open(path) as picture:
            picture.save(path, exif=exif)
    return split(scan(root))


@pytest.fixture(scope="module")
def make(tmp_path_factory, shapes) -> Callable[[str], SimpleNamespace]:
    """A run of this backbone and its bundle, made once."""

    @cache
    def export_of(backbone: str) -> SimpleNamespace:
        folder = tmp_path_factory.mktemp("exported")
        run = made_run(folder / "runs", backbone, shapes, pretrained=backbone == "efficientnet_lite0")
        told: list[tuple[str, int, int]] = []
        out = folder / "bundle.zip"
        parity = export(run, out, lambda *step: told.append(step))
        with zipfile.ZipFile(out) as archive:
            archive.extractall(folder)
        return SimpleNamespace(run=run, out=out, folder=folder / FOLDER, parity=parity, told=told)

    return export_of


@pytest.fixture(params=FAMILIES)
def made(request, make) -> SimpleNamespace:
    return make(request.param)


@pytest.fixture
def one(make) -> SimpleNamespace:
    """For what needs only one family."""
    return make("resnet18")


def test_every_form_answers_as_the_app(made, shapes):
    """The app's answers differ from photo to photo, or this would show nothing."""
    photos = [Path(shapes.root) / sample.path for sample in shapes.test]
    answers = list(Predictor.load(made.run).predict(photos))
    assert np.ptp([dict(answer.top)["circle"] for answer in answers]) > 0.02
    assert set(made.parity.forms) == {"safetensors", "onnx", "program"}
    for form in made.parity.forms.values():
        assert form.photos == len(shapes.test) * 2 + len(hard_pictures())
        assert form.same_top1 == form.same_unknown == form.photos
        assert form.largest_difference <= 1e-3
    assert made.parity.ok
    assert Parity.from_json(json.loads(json.dumps(made.parity.to_json()))).to_json() == made.parity.to_json()


def test_the_onnx_file_takes_any_number_of_photos_and_gives_all_three_answers(made):
    path = made.folder / "model.onnx"
    assert [(entry.domain, entry.version) for entry in onnx.load(path).opset_import] == [("", 20)]
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    pixels = np.random.default_rng(1).normal(size=(7, 3, 224, 224)).astype(np.float32)
    whole = session.run(["probabilities", "calibrated", "strangeness"], {"pixels": pixels})
    assert [output.shape for output in whole] == [(7, 3), (7, 3), (7,)]
    for count in (1, 2):
        for part, all_seven in zip(session.run(None, {"pixels": pixels[:count]}), whole, strict=True):
            np.testing.assert_allclose(part, all_seven[:count], atol=1e-5)
    tempered = whole[0] ** (1 / 1.25)  # softmax(z / T) from softmax(z), by hand
    np.testing.assert_allclose(whole[1], tempered / tempered.sum(axis=1, keepdims=True), atol=1e-5)


def test_a_vision_transformer_takes_any_number_of_photos_in_every_form(tmp_path):
    family = registry.backbone("vit_b_16")
    first, *_, last = split_stages(empty(family.name), family.family).values()
    stages = [first[:2], last[-2:]]  # tokens and one layer; the last norm and the class token
    network = Network(family, stages, Head(HeadSpec(), family.feature_width, 3)).to_empty(device="cpu")
    torch.manual_seed(0)
    for name, values in (*network.named_parameters(), *network.named_buffers()):
        torch.nn.init.ones_(values) if "scale" in name else torch.nn.init.normal_(values, std=0.1)
    whole = Whole(network, 1.25, Detector(unit(torch.randn(9, 768)), [], limit=0.5, neighbours=2))
    program = forms.program(whole, torch.zeros(2, 3, 224, 224))
    forms.write_program(program, tmp_path / "model.pt2")
    forms.write_onnx(program, tmp_path / "model.onnx")
    again = torch.export.load(tmp_path / "model.pt2").module()
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    photos = torch.randn(7, 3, 224, 224)
    with torch.no_grad():
        expected = [output.numpy() for output in whole(photos)]
    assert np.ptp(expected[0][:, 0]) > 0.01
    for count in (1, 2, 7):
        for said in (again(photos[:count]), session.run(None, {"pixels": photos[:count].numpy()})):
            for one, right in zip(said, expected, strict=True):
                np.testing.assert_allclose(np.asarray(one), right[:count], atol=1e-4)


def test_predict_py_in_a_process_of_its_own_gives_the_apps_answers(made, shapes):
    photos = [Path(shapes.root) / sample.path for sample in shapes.test]
    command = [sys.executable, "-I", str(made.folder / "predict.py"), *map(str, photos)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    for line, photo, answer in zip(lines, photos, Predictor.load(made.run).predict(photos), strict=True):
        expected = PhotoAnswer.of(str(photo), answer).to_json()
        assert {name: line[name] for name in ("path", "label", "unknown")} == {
            name: expected[name] for name in ("path", "label", "unknown")
        }
        chances = {row["label"]: row["confidence"] for row in line["top"]}
        assert chances == pytest.approx({row["label"]: row["confidence"] for row in expected["top"]}, abs=1e-3)


def test_the_program_takes_any_number_of_photos_and_holds_no_pickle(one):
    program = torch.export.load(one.folder / "model.pt2").module()
    for count in (1, 2, 7):
        assert program(torch.zeros(count, 3, 224, 224))[0].shape == (count, 3)
    with zipfile.ZipFile(one.folder / "model.pt2") as inside:
        for member in inside.infolist():
            assert not member.filename.endswith((".pt", ".pkl")) or member.file_size == 0


@pytest.fixture
def quickly(one, monkeypatch) -> None:
    """Another bundle of the same run takes the forms of the first one."""
    monkeypatch.setattr(forms, "program", lambda whole, photos: None)
    monkeypatch.setattr(forms, "write_program", lambda _, path: shutil.copyfile(one.folder / "model.pt2", path))
    monkeypatch.setattr(forms, "write_onnx", lambda _, path: shutil.copyfile(one.folder / "model.onnx", path))


def verify(folder: Path) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, str(folder / "verify.py")], capture_output=True, text=True, check=False, timeout=120
    )
    return done.returncode, done.stdout + done.stderr


def test_verify_py_is_content_with_the_bundle_and_finds_what_was_changed(one):
    status, said = verify(one.folder)
    assert (status, "0 different" in said, "0 changed" in said) == (0, True, True), said
    path = one.folder / "model.onnx"
    kept = path.read_bytes()
    network = onnx.load(path)
    largest = max(network.graph.initializer, key=lambda tensor: numpy_helper.to_array(tensor).size)
    largest.CopyFrom(numpy_helper.from_array(-numpy_helper.to_array(largest), largest.name))
    onnx.save(network, path)
    manifest, readme = one.folder / "graft.json", one.folder / "README.md"
    originals = {manifest: manifest.read_bytes(), readme: readme.read_bytes(), path: kept}
    told = json.loads(originals[manifest])
    told["files"]["model.onnx"] = sha256(path)  # whoever writes the new hash into the list is found by the answers
    manifest.write_text(json.dumps(told), "utf-8")
    readme.write_bytes(originals[readme] + b" ")
    status, said = verify(one.folder)
    assert (status, "DIFFERENT" in said, "model.onnx was changed" in said) == (1, True, False), said
    assert "README.md was changed" in said
    for file, content in originals.items():
        file.write_bytes(content)
    path.rename(one.folder / "away")
    status, said = verify(one.folder)
    assert (status, "model.onnx is missing" in said, "Traceback" in said) == (1, True, False), said
    (one.folder / "away").rename(path)


def test_sample_photos_have_lost_what_the_camera_noted(one, shapes):
    copies = sorted((one.folder / "samples").glob("photo-*.jpg"))
    assert len(copies) == min(8, len(shapes.test))
    first = Path(shapes.root) / shapes.test[0].path
    assert b"secret" in first.read_bytes()
    for path in copies:
        assert b"secret" not in path.read_bytes()
        with Image.open(path) as picture:
            assert not picture.getexif()


def test_samples_are_spread_over_the_classes():
    photos = [(Sample(f"{number}.jpg", number // 20, ""), Path(f"{number}.jpg")) for number in range(100)]
    assert {sample.target for sample, _ in spread(photos, 8)} == {0, 1, 2, 3, 4}
    assert spread(photos[:3], 8) == photos[:3]


def test_no_name_of_a_photo_travels_with_the_bundle(one, shapes):
    names = {Path(sample.path).name for sample in (*shapes.train, *shapes.val, *shapes.test)}
    for path in one.folder.rglob("*"):
        if path.is_file() and path.suffix not in (".jpg", ".png", ".onnx", ".pt2"):
            content = path.read_bytes()
            assert [name for name in names if name.encode() in content] == []
            assert shapes.root.encode() not in content


def test_a_bundle_comes_back_as_a_run_that_predict_opens(one, shapes, tmp_path):
    photos = [Path(shapes.root) / sample.path for sample in shapes.test]
    expected = list(Predictor.load(one.run).predict(photos))
    again = import_bundle(one.out, tmp_path / "runs")
    assert list(Predictor.load(again).predict(photos)) == expected
    assert list(Predictor.load(RunDirectory(one.folder)).predict(photos)) == expected


def test_the_card_says_what_was_measured_and_obeys_no_class_name(one, shapes):
    card = (one.folder / "README.md").read_text("utf-8")
    assert r"\<b\>\*x\*\|" in card
    assert "<b>" not in card
    assert f"of {len(shapes.test)} test photos right" in card
    assert "ResNet-18 started from random numbers" in card
    assert "ab" * 32 in card


def test_steps_are_told_in_order_and_to_their_end(one):
    steps = list(dict.fromkeys(step for step, _, _ in one.told))
    assert steps == list(STEPS)
    assert one.told[-1][1] == one.told[-1][2] > 0
    assert all(0 <= done <= total for _, done, total in one.told)


def test_nothing_is_written_over_and_nothing_is_left_behind(one, tmp_path):
    (tmp_path / "there.zip").write_bytes(b"mine")
    with pytest.raises(DataError):
        export(one.run, tmp_path / "there.zip")
    with pytest.raises(DataError):
        export(one.run, tmp_path / "nowhere" / "b.zip")
    with pytest.raises(ExportStopped):
        export(one.run, tmp_path / "stopped.zip", should_stop=lambda: True)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("there.zip", b"mine")]


@pytest.mark.usefixtures("quickly")
def test_a_form_that_answers_differently_is_never_written(one, tmp_path, monkeypatch):
    """The exported head has weights a tenth larger than the app's."""

    def tampered(_: object, path: Path) -> None:
        network = onnx.load(one.folder / "model.onnx")
        for tensor in network.graph.initializer:
            if numpy_helper.to_array(tensor).shape == (3, 512):
                tensor.CopyFrom(numpy_helper.from_array(1.1 * numpy_helper.to_array(tensor), tensor.name))
        onnx.save(network, path)

    monkeypatch.setattr(forms, "write_onnx", tampered)
    with pytest.raises(ModelError) as caught:
        export(one.run, tmp_path / "b.zip")
    assert (caught.value.key, caught.value.values["form"]) == ("export.different", "onnx")
    assert float(str(caught.value.values["difference"])) > 1e-3
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("quickly")
def test_without_samples_only_drawn_pictures_go_along_and_the_page_is_made_of_the_onnx_file(one, tmp_path):
    def page(data: bytes, card: dict) -> bytes:
        assert onnx.load_model(io.BytesIO(data)).graph.input[0].name == "pixels"
        return json.dumps([card["title"], card["classes"], card["unknown_limit"]]).encode()

    parity = export(one.run, tmp_path / "b.zip", samples=False, page=page)
    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        names = {name.removeprefix(f"{FOLDER}/") for name in archive.namelist()}
        told = json.loads(archive.read(f"{FOLDER}/graft.json"))
        assert json.loads(archive.read(f"{FOLDER}/index.html")) == ["Shapes", ["<b>*x*|", "circle", "square"], 0.5]
    assert {name for name in names if name.startswith("samples/")} == {f"samples/{name}" for name in hard_pictures()}
    assert set(told["files"]) == names - {"graft.json"}
    assert parity.to_json()["browser"] == "index.html"
    assert one.parity.to_json()["browser"] is None
    assert one.parity.left_out["browser"].hint
