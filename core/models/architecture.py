"""The published architectures, whole, with the head for ImageNet: what weights files fit into."""

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from core.models.efficientnet_lite import SCALES, EfficientNetLite

# Trained with side heads that Graft never builds; left to themselves they warn about how they draw their weights.
SIDE_HEADED = ("googlenet", "inception_v3")
# Backbones that end with the convolutions of a network whose large layers they leave out, and that network.
WITHOUT_TOP = {"vgg16_without_top": "vgg16"}

DRAWING = (Tensor.normal_, Tensor.uniform_, Tensor.erfinv_)


def original(name: str) -> nn.Module:
    """The network as published: (n, 3, h, w) → (n, 1000) logits, freshly drawn weights, side heads off.

    Two networks of Google's (GoogLeNet, Inception v3) want photos scaled to [-1, 1]. torchvision hides that in a
    ``transform_input``; here the backbone's own preprocessing says so. Of a backbone without its top this is the
    network with it, because that is what its weights file fits into: ``split`` leaves the top out.
    """
    if name in SCALES:
        return EfficientNetLite(name)
    with _compiler_left_out():
        from torchvision import models  # a second that the default backbone needn't wait for

    settings: dict[str, Any] = {"aux_logits": False, "init_weights": True} if name in SIDE_HEADED else {}
    return models.get_model(WITHOUT_TOP.get(name, name), weights=None, **settings)


def empty(name: str) -> nn.Module:
    """The same without memory for its weights, to be filled by ``load_state_dict(..., assign=True)``."""
    if name.startswith("regnet"):
        return original(name)  # works its widths out with tensors, which the meta device can't
    with torch.device("meta"), _NothingDrawn():
        return original(name)


def _no(_: object) -> bool:
    return False


@contextmanager
def _compiler_left_out() -> Generator[None]:
    """Imports torchvision without torch's compiler, which takes longer to load than all the rest of it.

    One of torchvision's operators for finding objects, which no classifier uses, asks the compiler's module at import
    for a function that it calls when it is used. It is given one that says no.
    """
    name = "torch._dynamo.utils"
    if "torch._dynamo" in sys.modules:
        yield
        return
    stand_ins = {"torch._dynamo": ModuleType("torch._dynamo"), name: ModuleType(name)}
    stand_ins[name].__dict__["is_compile_supported"] = _no
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for known, stand_in in stand_ins.items():
            if sys.modules.get(known) is stand_in:
                del sys.modules[known]


class _NothingDrawn(TorchFunctionMode):
    """Leaves tensors without memory as they are where random numbers would be drawn into them.

    Not for the numbers' sake: for such tensors torch works the drawing out in Python, for which it first loads its
    compiler, 1.5 s long.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return args[0] if func in DRAWING else func(*args, **(kwargs or {}))
