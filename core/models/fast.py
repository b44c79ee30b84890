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
TIMED_PHOTOS = 2
TIMED_TURNS = 2

Precision = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True)
class Trial:
    """What the first photos showed."""

    gain: float  # how many times faster 16 bits are than 32
    cosines: tuple[float, ...]  # with no stage in 32 bits, with the first one, with the first two
    difference: float  # the largest between two features, of the mix that was tried last


def fast_frozen(
    stages: Iterable[nn.Module],
    device: torch.device,
    *,
    precision: Precision = "auto",
    exact_stages: int | None = None,
) -> "FastStages":
    """A copy of ``stages`` for inference; float32 in, float32 out. The originals are left as they are.

    ``exact_stages`` is what an earlier copy decided (``FastStages.decided``): with it nothing is tried again, so that
    another run on this machine gets the same features to the bit.

    Measured with EfficientNet-Lite0, photos of 224 × 224 in batches of 32, on two cores of an AMD EPYC with
    AVX512-BF16; photos a second, two rounds in one process: plain 33 and 34, channels last 53 and 56, folded as well
    82 and 81, with wider kernels 98 and 115, in bfloat16 237 and 238.
    What 16 bits change, on 398 photos of ants and bees: cosine of the features with float32 0.9995 in the mean,
    largest difference 0.28 at a standard deviation of 0.30. A head that learnt from these features and then saw exact
    ones, as in prediction, moved its probabilities by 0.002 in the mean and by 0.025 at most; no answer of 153 changed.
    """
    return FastStages(stages, device, precision, exact_stages)


class FastStages(nn.Module):
    """See ``fast_frozen``. With ``auto`` the first batch decides where 16 bits begin; ``trial`` says why."""

    def __init__(
        self,
        stages: Iterable[nn.Module],
        device: torch.device,
        precision: Precision = "auto",
        exact_stages: int | None = None,
    ) -> None:
        super().__init__()
        self.device = device
        prepared = nn.ModuleList(_prepared(stage) for stage in stages)
        self.body = prepared.to(device).to(memory_format=torch.channels_last).requires_grad_(False)
        self.trial: Trial | None = None
        self.exact_stages = len(self.body)
        self._undecided = precision == "auto" and device.type in ("cpu", "cuda")
        if precision == "bfloat16" or (exact_stages is not None and exact_stages < len(self.body)):
            self._take(_half(self.body), exact_stages or 0)
        if exact_stages is not None:
            self._undecided = False

    def quicker(self, exact_stages: int | None) -> "FastStages":
        """The same stages in 16 bits where that pays, prepared once for both; this one stays as it is.

        ``exact_stages`` as for ``fast_frozen``: None lets the first photos decide.
        """
        twin = FastStages([], self.device, "float32")
        twin.body = self.body
        twin.exact_stages = len(self.body)
        twin._undecided = exact_stages is None and self.device.type in ("cpu", "cuda")
        if exact_stages is not None and exact_stages < len(self.body):
            twin._take(_half(self.body), exact_stages)
        return twin

    @property
    def decided(self) -> int | None:
        """How many stages stay in 32 bits; None before the first photos."""
        return None if self._undecided else self.exact_stages

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
        """If 16 bits are faster here, take them for all stages but the fewest that must stay exact."""
        self._undecided = False
        half = _half(self.body)
        try:
            few = x[:TIMED_PHOTOS]
            gain = _gain(lambda: _run(self.body, few, len(self.body)), lambda: _run(half, few, 0), x.device)
        except RuntimeError:  # an operation that this device can't do in 16 bits
            return
        exact = _run(self.body, x, len(self.body))
        cosines: list[float] = []
        for count in range(min(MOST_EXACT + 1, len(self.body)) if gain >= SMALLEST_GAIN else 0):
            features = _run([*self.body[:count], *half[count:]], x, count)
            cosines.append(float(nn.functional.cosine_similarity(exact.flatten(1), features.flatten(1)).mean()))
            self.trial = Trial(gain, tuple(cosines), float((exact - features).abs().max()))
            if cosines[-1] >= SMALLEST_COSINE:
                self._take(half, count)
                return
        self.trial = self.trial or Trial(gain, (), 0.0)

    def _take(self, half: nn.ModuleList, exact_stages: int) -> None:
        self.body = nn.ModuleList([*self.body[:exact_stages], *half[exact_stages:]])
        self.exact_stages = exact_stages


def _run(body: Iterable[nn.Module], x: Tensor, exact_stages: int) -> Tensor:
    for place, stage in enumerate(body):
        if place == exact_stages:
            x = x.bfloat16()
        x = stage(x)
    return x.float()


def _gain(slow: Callable[[], Tensor], quick: Callable[[], Tensor], device: torch.device) -> float:
    """How many times quicker ``quick`` is: the best of a few turns each, taken in alternation after a first one.

    A processor may be busy with other work. So one thread computes, and the time that counts is what it was given:
    with ten processes on two cores the clock on the wall was wrong by up to seven times.
    """
    on_processor = device.type == "cpu"
    clock = time.thread_time if on_processor else time.perf_counter
    shortest = [float("inf"), float("inf")]
    threads = torch.get_num_threads()
    try:
        if on_processor:
            torch.set_num_threads(1)
        for turn in range(TIMED_TURNS + 1):
            for which, run in enumerate((slow, quick)):
                _wait(device)
                began = clock()
                run()
                _wait(device)
                if turn:
                    shortest[which] = min(shortest[which], clock() - began)
    finally:
        torch.set_num_threads(threads)
    return shortest[0] / max(shortest[1], 1e-9)


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

    record_stack_traces = False  # nobody reads them, and leaving them out saves loading sympy: half a second

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
