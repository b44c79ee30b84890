"""Frozen stages made ready to run once over many photos, as fast as the device allows.

Four steps, each of which leaves what the stages compute the same, or nearly: BatchNorm is folded into the convolution
before it, maps are laid out channels last, TensorFlow's lopsided padding becomes a wider kernel, and numbers get 16
bits (bfloat16) where the first photos show that this is faster and changes next to nothing.
"""

import copy
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from core.models.efficientnet_lite import SameConv2d

MOST_TRIED = 8  # photos of the first batch that the trial looks at
SMALLEST_COSINE = 0.999  # between a photo's features in 16 and in 32 bits, the mean of the tried photos
SMALLEST_GAIN = 1.2  # times faster: less isn't worth the difference, and could be chance
MOST_EXACT = 2  # stages at the beginning that may stay in 32 bits to bring the rest close enough
TRIAL_RUNS = 2

Precision = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True)
class Trial:
    """What the first photos showed of one way to mix 32 and 16 bits."""

    exact_stages: int  # the first so many in 32 bits, the others in 16
    gain: float  # times faster than 32 bits throughout
    cosine: float  # the mean of the tried photos'
    difference: float  # the largest between two features

    @property
    def good(self) -> bool:
        return self.cosine >= SMALLEST_COSINE and self.gain >= SMALLEST_GAIN


def fast_frozen(stages: Iterable[nn.Module], device: torch.device, *, precision: Precision = "auto") -> "FastStages":
    """A copy of ``stages`` for inference; float32 in, float32 out. The originals are left as they are.

    MEASURED
    """
    return FastStages(stages, device, precision)


class FastStages(nn.Module):
    """See ``fast_frozen``. With ``auto`` the first batch decides where 16 bits begin; ``trials`` says why."""

    def __init__(self, stages: Iterable[nn.Module], device: torch.device, precision: Precision = "auto") -> None:
        super().__init__()
        prepared = nn.ModuleList(_prepared(stage) for stage in stages)
        self.body = prepared.to(device, memory_format=torch.channels_last).requires_grad_(False)
        self.trials: list[Trial] = []
        self.exact_stages = len(self.body)
        self._undecided = precision == "auto" and device.type in ("cpu", "cuda")
        if precision == "bfloat16":
            self._take(_half(self.body), 0)

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            x = x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x
            if self._undecided:
                self._decide(x[:MOST_TRIED])
            return _run(self.body, x, self.exact_stages)

    def train(self, mode: bool = True) -> "FastStages":
        """Never in training mode: what is folded can't be trained."""
        del mode
        return super().train(False)

    def _decide(self, x: Tensor) -> None:
        """Take the mix with the fewest exact stages that is close enough and worth it."""
        self._undecided = False
        half = _half(self.body)
        exact, exact_seconds = _timed(lambda: _run(self.body, x, len(self.body)), x.device)
        for count in range(min(MOST_EXACT + 1, len(self.body))):
            mixed = nn.ModuleList([*self.body[:count], *half[count:]])
            try:
                features, seconds = _timed(lambda mixed=mixed, count=count: _run(mixed, x, count), x.device)
            except RuntimeError:  # an operation that this device can't do in 16 bits
                return
            cosine = nn.functional.cosine_similarity(exact.flatten(1), features.flatten(1)).mean()
            difference = (exact - features).abs().max()
            self.trials.append(Trial(count, exact_seconds / seconds, float(cosine), float(difference)))
            if self.trials[-1].good:
                self._take(half, count)
                return

    def _take(self, half: nn.ModuleList, exact_stages: int) -> None:
        self.body = nn.ModuleList([*self.body[:exact_stages], *half[exact_stages:]])
        self.exact_stages = exact_stages


def _run(body: nn.ModuleList, x: Tensor, exact_stages: int) -> Tensor:
    for place, stage in enumerate(body):
        if place == exact_stages:
            x = x.bfloat16()
        x = stage(x)
    return x.float()


def _timed(run: Callable[[], Tensor], device: torch.device) -> tuple[Tensor, float]:
    """The result, and the shortest of a few times after a first run that isn't counted."""
    result = run()
    shortest = float("inf")
    for _ in range(TRIAL_RUNS):
        _wait(device)
        began = time.perf_counter()
        run()
        _wait(device)
        shortest = min(shortest, time.perf_counter() - began)
    return result, shortest


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _prepared(stage: nn.Module) -> nn.Module:
    """A copy in ``eval()`` with BatchNorm folded away and paddings evened."""
    stage = copy.deepcopy(stage).eval()
    if any(isinstance(module, nn.BatchNorm2d) for module in stage.modules()):
        stage = _folded(stage)
    for parent in list(stage.modules()):
        for name, child in parent.named_children():
            if isinstance(child, SameConv2d) and child.stride == (2, 2) and child.kernel_size[0] % 2:
                setattr(parent, name, EvenPaddedConv2d(child))
    return stage


def _folded(stage: nn.Module) -> nn.Module:
    """Each BatchNorm that is alone in using the result of a convolution becomes part of it.

    Source: torch.fx.experimental.optimization.fuse, which knows the exact types Conv2d and BatchNorm2d only.
    """
    graph = _Tracer().trace(stage)
    modules = dict(stage.named_modules())
    for node in list(graph.nodes):
        norm = modules.get(str(node.target)) if node.op == "call_module" else None
        if not isinstance(norm, nn.BatchNorm2d):
            continue
        before = cast("fx.Node", node.args[0])
        convolution = modules.get(str(before.target)) if before.op == "call_module" else None
        if not isinstance(convolution, nn.Conv2d) or len(before.users) > 1:
            continue
        _replace(stage, str(before.target), fuse_conv_bn_eval(convolution, norm))
        node.replace_all_uses_with(before)
        graph.erase_node(node)
    return fx.GraphModule(stage, graph)


class _Tracer(fx.Tracer):
    """Looks into everything but torch's own layers and what is derived from a convolution."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, nn.Conv2d) or super().is_leaf_module(m, module_qualified_name)


def _replace(root: nn.Module, path: str, new: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(root.get_submodule(parent), name, new)


def _half(body: nn.ModuleList) -> nn.ModuleList:
    """A copy in bfloat16 whose filters of single channels answer to plain grey as they did in float32.

    Such a filter often is a difference: its weights add up to nearly nothing. Rounded one by one they no longer do, and
    every plain area leaks through. Of all the rounding to 16 bits this did most of the harm (EfficientNet-Lite0, 398
    photos, cosine of the features with float32: lowest 0.9946, and 0.9982 with the sums kept).
    """
    half = copy.deepcopy(body)
    for module in half.modules():
        if isinstance(module, nn.Conv2d) and module.groups == module.in_channels:
            module.weight = nn.Parameter(sums_kept(module.weight.detach()), requires_grad=False)
    return half.bfloat16()


def sums_kept(weight: Tensor) -> Tensor:
    """(filters, …) float32 → values that bfloat16 holds exactly, each next to its own, whose sum is the filter's.

    The weights that lie nearest to the middle between two such values are rounded the other way, as long as that
    brings the sum closer.
    """
    rows = weight.reshape(len(weight), -1)
    near = rows.bfloat16()
    outward = torch.where(near.float().abs() < rows.abs(), 1, -1).to(torch.int16)
    # Seen as whole numbers, neighbouring floats of one sign are neighbours.
    other = torch.where(near == 0, near, (near.view(torch.int16) + outward).view(torch.bfloat16)).float()
    near = near.float()
    missing = (rows - near).sum(1)
    result = near.clone()
    for column in ((rows - other).abs() - (rows - near).abs()).argsort(1).unbind(1):
        place = column.unsqueeze(1)
        change = (other - near).gather(1, place).squeeze(1)
        better = (missing - change).abs() < missing.abs()
        missing = torch.where(better, missing - change, missing)
        chosen = torch.where(better.unsqueeze(1), other.gather(1, place), near.gather(1, place))
        result.scatter_(1, place, chosen)
    return result.view_as(weight).contiguous(memory_format=torch.channels_last)


class EvenPaddedConv2d(nn.Module):
    """A stride-2 ``SameConv2d``, quicker: a kernel with a row and a column of zeros in front needs no copy of the maps.

    TensorFlow pads an even map by k-2 pixels, the odd one of them behind. The same sums come out of a kernel of k+1,
    zero in its first row and column, with (k-1)/2 pixels of padding on every side.
    """

    def __init__(self, convolution: SameConv2d) -> None:
        super().__init__()
        self.plain = convolution
        size = convolution.kernel_size[0]
        self.wide = nn.Conv2d(
            convolution.in_channels,
            convolution.out_channels,
            size + 1,
            stride=2,
            padding=(size - 1) // 2,
            groups=convolution.groups,
            bias=convolution.bias is not None,
        )
        with torch.no_grad():
            self.wide.weight.zero_()
            self.wide.weight[:, :, 1:, 1:] = convolution.weight
            if convolution.bias is not None:
                cast("Any", self.wide.bias).copy_(convolution.bias)

    def forward(self, x: Tensor) -> Tensor:
        even = x.shape[-2] % 2 == 0 and x.shape[-1] % 2 == 0
        return self.wide(x) if even else self.plain(x)
