"""Runs with a model, made in a moment, and bundles put together by hand: for exporting, importing and tampering."""

import json
import zipfile
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from onnx import TensorProto, helper, save

from core.config import TrainConfig
from core.data.pixels import centre, square
from core.data.report import Split
from core.events import Ended, Started
from core.export import manifest
from core.inference.metrics import Answer, Results
from core.inference.predictor import ModelCard, write_model
from core.inference.unknown import Detector, Reference
from core.models import registry
from core.models.build import Network, build
from core.models.weights import find
from core.runs import store
from core.runs.store import EventWriter, RunDirectory
from core.training.kept import normalised

FOLDER = "graft-model"
SMALL = "shufflenet_v2_x0_5"


def made_run(folder: Path, backbone: str, divided: Split, *, pretrained: bool = False) -> RunDirectory:
    """A whole run whose network was drawn, not trained; its head is such that photos get different answers."""
    row = registry.backbone(backbone)
    weights = find(row, folder / "none") if pretrained else None
    network = build(backbone, len(divided.classes), weights=weights, seed=1).eval()
    config = TrainConfig(backbone=backbone)
    dataset = {"name": "photos", "fingerprint": "ab" * 32, "photos": len(divided.train), "skipped": 0}
    run = store.create(folder, config, divided, title="Shapes", dataset=dataset)
    features = features_of(network, divided)
    spread = float(features.std(dim=0).mean())
    torch.nn.init.normal_(network.head.layers.output.weight, std=1 / max(spread, 1e-6) / features.shape[1] ** 0.5)
    network.head.mean.copy_(features.mean(dim=0))
    write_model(run, network, ModelCard.of(config, divided, network, weights))
    rows = torch.nn.functional.normalize(features, dim=1)
    references = [Reference(sample.path, divided.classes[sample.target]) for sample in divided.train]
    Detector(rows, references, limit=0.5, neighbours=2).save(run)
    _write_scores(run, divided)
    writer = EventWriter(run)
    writer.append(Started(device="cpu", device_name="a computer", versions={"torch": torch.__version__}))
    writer.append(Ended(reason="complete", seconds={"head": 1.0}))
    writer.close()
    return run


def features_of(network: Network, divided: Split) -> torch.Tensor:
    how = network.backbone.preprocessing
    paths = [Path(divided.root) / sample.path for sample in divided.train]
    crops = np.stack([centre(square(path, how.resize, how.interpolation), how.crop) for path in paths])
    with torch.no_grad():
        return network.features(normalised(torch.from_numpy(crops).permute(0, 3, 1, 2), how))


def _write_scores(run: RunDirectory, divided: Split) -> None:
    """Every second test photo is right; every validation photo is, but the first."""
    classes = len(divided.classes)
    answers = tuple(
        Answer(sample.path, sample.target, (((sample.target + place % 2) % classes, 0.7), (0, 0.2)))
        for place, sample in enumerate(divided.test)
    )
    results = Results(divided.classes, answers, temperature=1.25)
    run.metrics.write_text(json.dumps(results.to_json()), "utf-8")
    targets = [sample.target for sample in divided.val]
    logits = [[2.0 if place == target else -1.0 for place in range(classes)] for target in targets]
    logits[0] = logits[0][1:] + logits[0][:1]
    kept = {
        "format": 1, "phase": "head", "epoch": 3, "classes": list(divided.classes), "targets": targets,
        "paths": [sample.path for sample in divided.val], "logits": logits,
    }  # fmt: skip
    run.validation.write_text(json.dumps(kept), "utf-8")


def bundle_files(run: RunDirectory) -> dict[str, bytes]:
    """What the export writes of a run, but for the forms that take long to make: import never opens those."""
    card = json.loads(run.model_card.read_text("utf-8"))
    data = {**manifest.made(), **manifest.origin(run), "backbone": card["backbone"], "labels": card["classes"]}
    data |= {"temperature": 1.25, "unknown_limit": 0.5, "preprocessing": card["preprocessing"]}
    files = {path.name: path.read_bytes() for path in (run.model, run.model_card, run.known, run.metrics)}
    files |= {"validation.json": run.validation.read_bytes(), "README.md": b"# Shapes\n"}
    files |= {"model.onnx": b"\x08\n\x12\x07pytorch", "predict.py": b"print('never run')\n"}
    return {**files, manifest.NAME: json.dumps(data).encode()}


def listed(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The same with every file's hash in graft.json, as whoever tampers cleverly would have it."""
    data = json.loads(files[manifest.NAME])
    hashes = {name: sha256(content).hexdigest() for name, content in files.items() if name != manifest.NAME}
    return {**files, manifest.NAME: json.dumps({**data, "files": hashes}).encode()}


def zipped(path: Path, files: Mapping[str, bytes], folder: str = FOLDER, kind: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, content in files.items():
            archive.writestr(f"{folder}/{name}", content)
    return path


def with_json(files: Mapping[str, bytes], name: str, change: Callable[[dict[str, Any]], object]) -> dict[str, bytes]:
    """The same after ``change`` has had its way with one JSON file."""
    data = json.loads(files[name])
    change(data)
    return {**files, name: json.dumps(data).encode()}


def tiny_onnx(path: Path, classes: int, side: int) -> None:
    """A network that is hardly one: the mean of each colour, as often as there are classes, and no strangeness."""
    pixels = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", 3, side, side])
    outputs = [
        helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", classes]),
        helper.make_tensor_value_info("calibrated", TensorProto.FLOAT, ["batch", classes]),
        helper.make_tensor_value_info("strangeness", TensorProto.FLOAT, ["batch"]),
    ]
    places = helper.make_tensor("places", TensorProto.INT64, [classes], [place % 3 for place in range(classes)])
    nodes = [
        helper.make_node("ReduceMean", ["pixels"], ["means"], axes=[2, 3], keepdims=0),
        helper.make_node("Gather", ["means", "places"], ["chosen"], axis=1),
        helper.make_node("Softmax", ["chosen"], ["probabilities"], axis=1),
        helper.make_node("Identity", ["probabilities"], ["calibrated"]),
        helper.make_node("ReduceMax", ["chosen"], ["strangeness"], axes=[1], keepdims=0),
    ]
    graph = helper.make_graph(nodes, "tiny", [pixels], outputs, [places])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
