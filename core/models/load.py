"""Weights files: read without running anything in them, and put into the architecture they are of."""

import pickle
import re
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from core.errors import ModelError
from core.models.architecture import empty
from core.models.registry import Backbone
from core.models.stages import split

# What a training script puts around the weights, and what wrappers put before their names.
WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "model_ema", "weights")
PREFIXES = ("module.", "_orig_mod.", "model.")
# The heads for ImageNet that Graft replaces may be missing, or for other classes.
SIDE_HEADS = ("aux1.", "aux2.", "AuxLogits.")
# Old DenseNet files write norm.1 where today's modules are called norm1. Source: torchvision, models/densenet.py.
OLD_DENSENET = re.compile(r"^(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\.(?:weight|bias|running_mean|running_var))$")

# How torch says that a file calls or builds what isn't weights. Source: torch/_weights_only_unpickler.py.
REFUSED = re.compile(r"was not an allowed global|is blocked|Can only (create new object|build)|reduce for unrecognized")


def load_state(path: Path, backbone: Backbone, file_name: str | None = None) -> "OrderedDict[str, Tensor]":
    """The weights in a file by name, as they are in it, on the CPU. Nothing in the file is executed.

    Raises:
        ModelError: it can't be read, or holds anything but weights; calls it ``file_name``, or by its own name.
    """
    facts = {"file": file_name or path.name, "title": backbone.title}
    found = _unwrapped(_read(path, facts))
    if not found or not all(isinstance(value, Tensor) for value in found.values()):
        raise ModelError("models.no_tensors", **facts)
    state = OrderedDict(found.items())
    # Versions of the modules that wrote it; torch's own renaming of old files depends on them.
    state._metadata = getattr(found, "_metadata", OrderedDict())  # type: ignore[attr-defined]
    return state


def fill(model: nn.Module, backbone: Backbone, state: Mapping[str, Tensor], file_name: str) -> None:
    """Put a file's weights into the body of an empty original architecture, as float32; its head may be left out.

    Raises:
        ModelError: names the first parts that are missing, foreign, of another shape, or no numbers.
    """
    facts = {"file": file_name, "title": backbone.title}
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    body = body_names(model, backbone.family)
    heads = (*(name for name in expected if name not in body), *SIDE_HEADS)
    fitting = OrderedDict((name, t) for name, t in _renamed(state, backbone).items() if not name.startswith(heads))
    fitting._metadata = _versions(model, state)  # type: ignore[attr-defined]
    for name, tensor in fitting.items():
        if name in expected and tuple(tensor.shape) != expected[name]:
            shapes = {"has": _shape(tensor.shape), "needs": _shape(expected[name])}
            raise ModelError("models.wrong_shape", part=name, **shapes, **facts)
    try:
        result = model.load_state_dict(fitting, strict=False, assign=True)
    except (RuntimeError, ValueError):  # weights that are whole numbers, or an old layout with wrong shapes
        raise ModelError("models.unreadable", **facts) from None
    missing = [name for name in result.missing_keys if name in body]
    if missing:
        count, total = len(missing), len(body)
        raise ModelError("models.missing_weights", count=count, total=total, examples=_examples(missing), **facts)
    if foreign := result.unexpected_keys:
        raise ModelError("models.foreign_weights", count=len(foreign), examples=_examples(foreign), **facts)
    # Only now, when every shape is known to be right: a small file can describe a tensor larger than any memory.
    model.float()
    for name, tensor in model.state_dict().items():
        if name in body and not bool(torch.isfinite(tensor).all()):
            raise ModelError("models.not_finite", part=name, **facts)


def check(path: Path, backbone: Backbone, file_name: str) -> None:
    """Whether a file's weights fit a backbone; ModelError says why they don't."""
    fill(empty(backbone.name), backbone, load_state(path, backbone, file_name), file_name)


def body_names(model: nn.Module, family: str) -> set[str]:
    """The names, in the original's ``state_dict()``, of all that its stages hold."""
    kept = {
        id(tensor) for stage in split(model, family).values() for tensor in stage.state_dict(keep_vars=True).values()
    }
    return {name for name, tensor in model.state_dict(keep_vars=True).items() if id(tensor) in kept}


def _read(path: Path, facts: dict[str, str]) -> Any:
    try:
        if _is_safetensors(path):
            return load_file(path)
        _refuse_bomb(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about old and odd pickles, which are read or refused like others
            return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ModelError("models.no_file", **facts) from None
    except Exception as error:  # a broken file can make torch's reader stumble in any way
        # torch names what it refuses to call or to build.
        refused = isinstance(error, pickle.UnpicklingError) and REFUSED.search(str(error))
        raise ModelError("models.unsafe" if refused else "models.unreadable", **facts) from None


def _refuse_bomb(path: Path) -> None:
    """torch.save compresses nothing; a file that unpacks to more than it is was made by someone else."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > path.stat().st_size:
                raise ValueError("compressed")


def _is_safetensors(path: Path) -> bool:
    """By its beginning, not by its name: eight bytes of length, then JSON."""
    with path.open("rb") as file:
        return file.read(9)[8:] == b"{"


def _unwrapped(found: Any) -> Any:
    while isinstance(found, Mapping) and not any(isinstance(value, Tensor) for value in found.values()):
        inner = next((found[name] for name in WRAPPERS if isinstance(found.get(name), Mapping)), None)
        if inner is None:
            return {}
        found = inner
    if not isinstance(found, Mapping):
        return {}
    for prefix in PREFIXES:
        if all(str(name).startswith(prefix) for name in found):
            bare = OrderedDict((str(name).removeprefix(prefix), value) for name, value in found.items())
            return _unwrapped(bare)
    return cast("Mapping[str, object]", found)


def _renamed(state: Mapping[str, Tensor], backbone: Backbone) -> Mapping[str, Tensor]:
    """Names as the architecture has them today."""
    if backbone.family == "efficientnet_lite":
        return {".".join(part.removeprefix("_") for part in name.split(".")): t for name, t in state.items()}
    if backbone.family == "densenet":
        return {OLD_DENSENET.sub(r"\1\2", name): tensor for name, tensor in state.items()}
    return state


def _versions(model: nn.Module, state: Mapping[str, Tensor]) -> Any:
    versions = OrderedDict(getattr(state, "_metadata", {}))
    if not versions.get(""):
        # MNASNet refuses a file that doesn't say its version; one that is not of today's shape fails by name.
        versions[""] = {"version": getattr(model, "_version", 1)}
    return versions


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "one number"


def _examples(names: list[str]) -> str:
    return ", ".join(names[:3])
