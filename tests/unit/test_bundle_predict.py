"""predict.py sees and answers photos as the app does, in forty lines and with three packages."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from core.data.image import UnusablePhoto
from core.data.pixels import centre, square
from core.export import manifest
from core.export.bundle import TAKEN
from core.export.hard import hard_pictures
from core.models import registry
from core.models.registry import Preprocessing
from tests.exported import tiny_onnx
from tests.hostile import ODD, UNUSABLE, encoded, jpeg, picture, with_orientation

PROJECT = Path(__file__).parent.parent.parent
BICUBIC = registry.backbone("efficientnet_lite0").preprocessing
BILINEAR = registry.backbone("resnet18").preprocessing
TURNED = {
    f"{kind} {turn}": with_orientation(picture(120, 90, seed=turn), turn, kind)
    for kind in ("JPEG", "PNG", "TIFF", "WEBP")
    for turn in range(1, 9)
}
LARGE = {f"{width} wide": jpeg(3, width, 600) for width in (511, 512, 1024, 2600)}
SHAPES = {"odd sides": encoded(picture(301, 97), "PNG"), "tall": encoded(picture(30, 1200), "PNG")}


def load(folder: Path, how: Preprocessing) -> ModuleType:
    """predict.py beside a graft.json and a model of the right size."""
    (folder / "predict.py").write_bytes((TAKEN / "predict.py").read_bytes())
    labels = ["red", "green", "blue", "rouge", "vert", "bleu"]
    told = {"labels": labels, "unknown_limit": None, "preprocessing": manifest.preprocessing(how)}
    (folder / "graft.json").write_text(json.dumps(told), "utf-8")
    tiny_onnx(folder / "model.onnx", len(labels), how.crop)
    spec = importlib.util.spec_from_file_location(f"predict_{how.interpolation}", folder / "predict.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def scripts(tmp_path_factory) -> dict[Preprocessing, ModuleType]:
    return {how: load(tmp_path_factory.mktemp("script"), how) for how in (BICUBIC, BILINEAR)}


def app_pixels(data: bytes, how: Preprocessing) -> np.ndarray:
    seen = centre(square(data, how.resize, how.interpolation), how.crop).astype(np.float64)
    return ((seen / 255 - how.mean) / how.std).transpose(2, 0, 1)


@pytest.mark.parametrize("how", [BICUBIC, BILINEAR], ids=lambda how: how.interpolation)
def test_predict_py_sees_every_photo_as_the_app_does(how, scripts, tmp_path):
    photos = {**hard_pictures(), **LARGE, **SHAPES}
    if how is BICUBIC:
        photos |= {**{name: make() for name, make in ODD.items()}, **TURNED}
    different = {}
    for place, (name, data) in enumerate(photos.items()):
        path = tmp_path / f"{place}.photo"
        path.write_bytes(data)
        seen = scripts[how].pixels(path)
        assert (seen.dtype, seen.shape) == (np.float32, (3, how.crop, how.crop))
        gap = float(np.abs(seen - app_pixels(data, how)).max())
        if gap > 1e-5:
            different[name] = gap
    assert different == {}


def test_a_wrong_filter_would_be_seen(scripts, tmp_path):
    (tmp_path / "a.jpg").write_bytes(jpeg(5, 400, 300))
    seen = scripts[BICUBIC].pixels(tmp_path / "a.jpg")
    other = Preprocessing(BICUBIC.resize, BICUBIC.crop, BICUBIC.mean, BICUBIC.std, "bilinear")
    assert np.abs(seen - app_pixels((tmp_path / "a.jpg").read_bytes(), other)).max() > 1e-2


@pytest.mark.parametrize("name", ["text.jpg", "cut_off.jpg", "cut_off.png", "one_pixel.png", "thread.png", "zero.jpg"])
def test_what_the_app_refuses_predict_py_refuses(name, scripts, tmp_path):
    data = UNUSABLE[name][1]()
    with pytest.raises(UnusablePhoto):
        square(data, 256, "bicubic")
    (tmp_path / name).write_bytes(data)
    with pytest.raises((OSError, ValueError, SyntaxError)):
        scripts[BICUBIC].pixels(tmp_path / name)


def test_predict_py_has_forty_lines_and_needs_three_packages():
    text = (TAKEN / "predict.py").read_text("utf-8")
    assert len(text.splitlines()) <= 40
    assert max(map(len, text.splitlines())) <= 120
    script = TAKEN / "predict.py"
    code = compile(script.read_text("utf-8"), str(script), "exec", flags=0x400)  # ast.PyCF_ONLY_AST
    imported = {
        alias.name.split(".")[0] if hasattr(node, "names") else ""
        for node in code.body
        for alias in getattr(node, "names", ())
        if type(node).__name__ == "Import"
    } | {node.module for node in code.body if type(node).__name__ == "ImportFrom"}
    assert imported - set(sys.stdlib_module_names) == {"numpy", "onnxruntime", "PIL"}


def test_it_prints_a_line_a_photo_where_only_its_packages_are(tmp_path, scripts):
    """In a Python of its own that finds onnxruntime, numpy and Pillow, and nothing else that was ever installed."""
    packages = tmp_path / "packages"
    packages.mkdir()
    for name in ("onnxruntime", "numpy", "PIL", "numpy.libs", "pillow.libs"):
        for found in (Path(place) / name for place in sys.path if (Path(place) / name).is_dir()):
            (packages / name).symlink_to(found)
            break
    (tmp_path / "good.jpg").write_bytes(jpeg(1))
    (tmp_path / "bad.jpg").write_bytes(b"no photo")
    script = Path(scripts[BICUBIC].__file__)
    code = (
        f"import sys, runpy; sys.path.append({str(packages)!r}); sys.argv[1:] = ['good.jpg', 'bad.jpg']; "
        f"runpy.run_path({str(script)!r}, run_name='__main__'); import importlib.util as u; "
        "print([name for name in ('torch', 'core', 'onnx', 'streamlit', 'safetensors') if u.find_spec(name)])"
    )
    command = [sys.executable, "-I", "-S", "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    good, bad, others = done.stdout.splitlines()
    assert others == "[]"
    said = json.loads(good)
    assert said == scripts[BICUBIC].answer(tmp_path / "good.jpg") | {"path": "good.jpg"}
    assert list(said) == ["path", "label", "confidence", "top", "unknown"]
    assert len(said["top"]) == 5
    assert said["top"][0] == {"label": said["label"], "confidence": said["confidence"]}
    assert json.loads(bad) == {
        "path": "bad.jpg", "label": None, "confidence": None, "top": [], "unknown": False,
        "error": json.loads(bad)["error"],
    }  # fmt: skip
