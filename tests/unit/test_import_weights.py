"""Importing a user's file of weights: what fits is taken, what is harmful, broken or of another network is refused."""

import hashlib
import pickle
import re
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import get_model, vgg16

from core import words
from core.errors import ModelError
from core.models import files
from core.models.architecture import original
from core.models.build import build
from core.models.load import load_state
from core.models.registry import Backbone, backbone
from core.models.weights import find, import_file

pytestmark = pytest.mark.slow


@pytest.fixture
def mnasnet(tmp_path) -> tuple[Backbone, Path]:
    """A small backbone, and a file that fits it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        state = original("mnasnet0_5").state_dict()
    torch.save(state, tmp_path / "mine.pth")
    return backbone("mnasnet0_5"), tmp_path / "mine.pth"


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors", ".PTH"])
def test_an_imported_file_is_what_is_used_from_then_on(suffix, mnasnet, tmp_path):
    row, path = mnasnet
    given = tmp_path / f"given{suffix}"
    if suffix == ".safetensors":
        save_file(torch.load(path, weights_only=True), given)
    else:
        given.write_bytes(path.read_bytes())
    imported = import_file(given, row, tmp_path / "weights")
    assert imported.sha256 == hashlib.sha256(given.read_bytes()).hexdigest()
    given.unlink()
    assert find(row, tmp_path / "weights") == imported
    wanted = torch.load(path, weights_only=True)["layers.0.weight"]
    assert torch.equal(build(row.name, 2, weights=imported).stages[0][0].weight, wanted)


def test_the_last_import_wins_and_the_first_is_kept(mnasnet, tmp_path):
    row, path = mnasnet
    first = import_file(path, row, tmp_path / "weights")
    state = torch.load(path, weights_only=True)
    state["layers.0.weight"] += 1
    torch.save(state, path)
    second = import_file(path, row, tmp_path / "weights")
    assert find(row, tmp_path / "weights") == second
    assert first.path.exists()


@pytest.mark.parametrize("wrap", ["state_dict", "model", "module", "compiled", "checkpoint of a data-parallel model"])
def test_what_training_scripts_put_around_weights_is_taken_off(wrap, mnasnet, tmp_path):
    row, path = mnasnet
    state = torch.load(path, weights_only=True)
    wrapped = {
        "state_dict": {"state_dict": state, "epoch": 3},
        "model": {"model": state, "optimizer": {"lr": 0.1}},
        "module": {f"module.{key}": tensor for key, tensor in state.items()},
        "compiled": {f"_orig_mod.{key}": tensor for key, tensor in state.items()},
        "checkpoint of a data-parallel model": {
            "epoch": 3,
            "state_dict": {f"module.{key}": tensor for key, tensor in state.items()},
        },
    }[wrap]
    torch.save(wrapped, path)
    assert load_state(path, row).keys() == state.keys()
    import_file(path, row, tmp_path / "weights")


def test_a_head_for_other_classes_does_not_matter(mnasnet, tmp_path):
    row, path = mnasnet
    state = torch.load(path, weights_only=True)
    state["classifier.1.weight"], state["classifier.1.bias"] = torch.zeros(5, 1280), torch.zeros(5)
    torch.save(state, path)
    import_file(path, row, tmp_path / "weights")
    del state["classifier.1.weight"], state["classifier.1.bias"]
    torch.save(state, path)
    import_file(path, row, tmp_path / "weights")


def test_a_file_of_convolutions_alone_is_for_vgg_without_its_top_and_not_for_the_whole_one(tmp_path):
    with torch.device("meta"):
        shapes = {key: tensor.shape for key, tensor in vgg16(weights=None).features.state_dict().items()}
    path = tmp_path / "convolutions.pth"
    torch.save({f"features.{key}": torch.zeros(1).expand(shape) for key, shape in shapes.items()}, path)
    imported = import_file(path, backbone("vgg16_without_top"), tmp_path)
    assert imported.path.name == f"vgg16_without_top-{imported.sha256[:16]}.pth"
    assert find(backbone("vgg16_without_top"), tmp_path) == imported
    assert find(backbone("vgg16"), tmp_path) is None
    with pytest.raises(ModelError, match=r"classifier\.0\.weight"):
        import_file(path, backbone("vgg16"), tmp_path)


def test_a_file_of_another_vgg_is_not_taken_for_the_one_without_its_top(tmp_path):
    for other in ("vgg13", "vgg19", "vgg16_bn"):
        with torch.device("meta"):
            shapes = {key: tensor.shape for key, tensor in get_model(other, weights=None).state_dict().items()}
        torch.save({name: torch.zeros(()).expand(shape) for name, shape in shapes.items()}, tmp_path / "other.pth")
        with pytest.raises(ModelError, match=r"doesn't fit VGG-16 without its top: features\."):
            import_file(tmp_path / "other.pth", backbone("vgg16_without_top"), tmp_path)


class Malicious:
    """What an attacker would send: reading it as a plain pickle makes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("written_by", ["torch", "pickle", "torch, beside real weights"])
def test_a_file_with_a_program_in_it_is_refused_and_not_run(written_by, mnasnet, tmp_path):
    row, path = mnasnet
    mark = tmp_path / "the program ran"
    harm = Malicious(mark)
    if written_by == "pickle":
        path.write_bytes(pickle.dumps(harm))
    elif written_by == "torch":
        torch.save(harm, path)
    else:
        torch.save({**torch.load(path, weights_only=True), "extra": harm}, path)
    with pytest.raises(ModelError) as caught:
        import_file(path, row, tmp_path / "weights")
    # To torch, today's plain pickle is not even a file of its own kind.
    assert caught.value.key == ("models.unreadable" if written_by == "pickle" else "models.unsafe")
    assert "mine.pth" in caught.value.message
    assert not mark.exists()
    assert find(row, tmp_path / "weights") is None
    pickle.loads(pickle.dumps(harm))
    assert mark.exists(), "the test's own program would not have run either"


@pytest.mark.parametrize(
    ("content", "key"),
    [
        (b"", "models.unreadable"),
        (b"hello", "models.unreadable"),
        (b"PK\x03\x04 not a zip", "models.unreadable"),
        (b"\xff" * 8 + b"{", "models.unreadable"),
        (b'\x10\x00\x00\x00\x00\x00\x00\x00{"a": 1}        ', "models.unreadable"),
        (b"\x80\x02.", "models.unreadable"),
    ],
)
def test_a_file_of_another_kind_is_refused(content, key, mnasnet, tmp_path):
    row, path = mnasnet
    path.write_bytes(content)
    with pytest.raises(ModelError) as caught:
        import_file(path, row, tmp_path / "weights")
    assert caught.value.key == key
    assert "mine.pth" in caught.value.message


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.999])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_truncated_file_is_refused(kept, suffix, mnasnet, tmp_path):
    row, path = mnasnet
    whole = tmp_path / f"torn{suffix}"
    if suffix == ".safetensors":
        save_file(torch.load(path, weights_only=True), whole)
    else:
        whole.write_bytes(path.read_bytes())
    whole.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * kept)])
    with pytest.raises(ModelError) as caught:
        import_file(whole, row, tmp_path / "weights")
    assert caught.value.key == "models.unreadable"


@pytest.mark.parametrize("held", [{}, {"epoch": 3}, [1, 2], 5, {"state_dict": {"a": "b"}}])
def test_a_file_without_weights_is_refused(held, mnasnet, tmp_path):
    row, path = mnasnet
    torch.save(held, path)
    with pytest.raises(ModelError) as caught:
        import_file(path, row, tmp_path / "weights")
    assert caught.value.key == "models.no_tensors"


def test_missing_parts_are_counted_and_named(mnasnet, tmp_path):
    row, path = mnasnet
    state = torch.load(path, weights_only=True)
    del state["layers.3.weight"], state["layers.4.running_var"]
    torch.save(state, path)
    with pytest.raises(ModelError) as caught:
        import_file(path, row, tmp_path / "weights")
    assert "2 of its" in caught.value.message
    assert "layers.3.weight, layers.4.running_var" in caught.value.message
    assert not list((tmp_path / "weights" / "imported").iterdir())


def test_foreign_parts_are_named(mnasnet, tmp_path):
    row, path = mnasnet
    state = torch.load(path, weights_only=True)
    state["decoder.weight"] = torch.zeros(2)
    torch.save(state, path)
    with pytest.raises(ModelError, match=r"decoder\.weight"):
        import_file(path, row, tmp_path / "weights")


def test_a_part_of_another_shape_is_named_with_both_shapes(mnasnet, tmp_path):
    _, path = mnasnet
    with pytest.raises(ModelError) as caught:
        import_file(path, backbone("mnasnet1_0"), tmp_path / "weights")
    assert "layers.0.weight is 16×3×3×3 and should be 32×3×3×3" in caught.value.message


def test_values_that_are_no_numbers_are_refused(mnasnet, tmp_path):
    row, path = mnasnet
    state = torch.load(path, weights_only=True)
    state["layers.3.weight"][0, 0, 0, 0] = float("nan")
    torch.save(state, path)
    with pytest.raises(ModelError, match=r"layers\.3\.weight"):
        import_file(path, row, tmp_path / "weights")


def test_a_file_that_is_not_there_or_named_otherwise_is_refused(mnasnet, tmp_path):
    row, path = mnasnet
    for wrong, key in (
        (tmp_path / "none.pth", "no_file"),
        (tmp_path, "no_file"),
        (path.rename(tmp_path / "a.zip"), "file_kind"),
    ):
        with pytest.raises(ModelError) as caught:
            import_file(wrong, row, tmp_path / "weights")
        assert caught.value.key == f"models.{key}"


def test_the_users_name_for_an_uploaded_file_is_what_the_error_says(mnasnet, tmp_path):
    row, path = mnasnet
    path.write_bytes(b"hello")
    with pytest.raises(ModelError, match="Oma's weights"):
        import_file(path, row, tmp_path / "weights", name="Oma's weights.pt")


@pytest.mark.parametrize("name", ["../../escape.pth", "/etc/x.pth", "a/b.pth", "a\x00.pth", "🐜" * 300 + ".pth"])
def test_a_hostile_name_never_becomes_a_path(name, mnasnet, tmp_path):
    row, path = mnasnet
    before = set(tmp_path.rglob("*"))
    imported = import_file(path, row, tmp_path / "weights", name=name)
    assert imported.path.parent == tmp_path / "weights" / "imported"
    assert imported.path.name == f"mnasnet0_5-{imported.sha256[:16]}.pth"
    new = set(tmp_path.rglob("*")) - before
    assert {entry.name for entry in new if entry.is_file()} <= {imported.path.name, "hashes.json"}


def test_a_small_file_that_describes_a_giant_tensor_is_refused_before_it_fills_the_memory(mnasnet, tmp_path):
    row, path = mnasnet
    state = torch.load(path, weights_only=True)
    for name in ("layers.3.weight", "unknown"):
        torch.save({**state, name: torch.zeros(1, dtype=torch.float16).expand(10**6, 10**7)}, path)
        assert path.stat().st_size < 20e6
        with pytest.raises(ModelError) as caught:
            import_file(path, row, tmp_path / "weights")
        assert caught.value.key in ("models.wrong_shape", "models.foreign_weights")


def test_a_compressed_archive_in_place_of_torchs_own_is_refused(mnasnet, tmp_path):
    """It could unpack to any size."""
    row, path = mnasnet
    torch.save({"a": torch.zeros(10**6)}, tmp_path / "plain.pth")
    with zipfile.ZipFile(tmp_path / "plain.pth") as plain, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for entry in plain.namelist():
            packed.writestr(entry, plain.read(entry))
    assert path.stat().st_size < 10**5
    with pytest.raises(ModelError) as caught:
        import_file(path, row, tmp_path / "weights")
    assert caught.value.key == "models.unreadable"


def test_weights_that_are_whole_numbers_are_refused(mnasnet, tmp_path):
    row, path = mnasnet
    torch.save({key: tensor.to(torch.int8) for key, tensor in torch.load(path, weights_only=True).items()}, path)
    with pytest.raises(ModelError) as caught:
        import_file(path, row, tmp_path / "weights")
    assert caught.value.key == "models.unreadable"


def test_everything_that_can_go_wrong_with_weights_has_its_words():
    """Each key that the source raises is in the catalogue, with what is wrong and what to do."""
    source = "".join(path.read_text("utf-8") for path in Path(files.__file__).parent.glob("*.py"))
    keys = set(re.findall(r'"models\.(\w+)"', source)) | set(re.findall(r'_error\("(\w+)"', source))
    assert {"damaged", "no_network", "unsafe", "unknown", "depth"} <= keys
    for key in keys:
        assert words.has(f"models.{key}.message"), key
        assert words.has(f"models.{key}.hint"), key
