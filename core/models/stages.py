"""Where each architecture is cut: a short list of stages from the photo to a flat vector of features.

A cut lies where the resolution drops or the blocks get wider, so that a stage is what the papers call one. The stem
belongs to the first stage; what turns maps into a vector (pooling, VGG's two large layers) belongs to the last or is
one of its own. Run one after the other, the stages compute exactly what the original does before its last layer.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

Parts = list[tuple[str, list[nn.Module]]]


def split(model: nn.Module, family: str) -> "OrderedDict[str, nn.Sequential]":
    """The stages of an original architecture, by name, in order. They share the original's modules."""
    parts = SPLITTERS[family](model)
    return OrderedDict((name, nn.Sequential(*modules)) for name, modules in parts)


class Tokens(nn.Module):
    """A vision transformer's input: (n, 3, h, w) → (n, 1 + patches, width), class token first, positions added."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.projection: nn.Module = model.conv_proj
        self.class_token: nn.Parameter = model.class_token
        self.positions: nn.Parameter = model.encoder.pos_embedding
        self.dropout: nn.Module = model.encoder.dropout

    def forward(self, x: Tensor) -> Tensor:
        patches = self.projection(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.class_token.expand(x.shape[0], -1, -1), patches], dim=1)
        return self.dropout(tokens + self.positions)


class FirstToken(nn.Module):
    """(n, tokens, width) → (n, width): the class token."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, 0]


def _pool() -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten()]


def _alexnet(model: Any) -> Parts:
    return _plain_convolutions(model, _before(model.features, nn.Conv2d))


def _vgg(model: Any) -> Parts:
    return _plain_convolutions(model, _after(model.features, nn.MaxPool2d))


def _plain_convolutions(model: Any, groups: list[list[nn.Module]]) -> Parts:
    """Groups of layers, then the two large layers before the last one (fc6 and fc7 in the papers)."""
    return [*_numbered(groups), ("fc", [model.avgpool, nn.Flatten(), *list(model.classifier)[:-1]])]


def _vgg_without_top(model: Any) -> Parts:
    """All three large layers are the head's place: what leaves the convolutions, 512 × 7 × 7, is laid out flat."""
    parts = _numbered(_after(model.features, nn.MaxPool2d))
    parts[-1][1].extend([model.avgpool, nn.Flatten()])
    return parts


def _numbered(groups: list[list[nn.Module]]) -> Parts:
    return [(f"conv{place}", group) for place, group in enumerate(groups, 1)]


def _convnext(model: Any) -> Parts:
    parts = [(f"stage{i + 1}", list(model.features[2 * i : 2 * i + 2])) for i in range(4)]
    # The classifier's first two are a LayerNorm and the flattening.
    parts[-1][1].extend([model.avgpool, *list(model.classifier)[:-1]])
    return parts


def _densenet(model: Any) -> Parts:
    layers = list(model.features.named_children())
    ends = [place for place, (name, _) in enumerate(layers) if name.startswith("transition")] + [len(layers) - 1]
    parts: Parts = []
    start = 0
    for number, end in enumerate(ends, 1):
        parts.append((f"denseblock{number}", [module for _, module in layers[start : end + 1]]))
        start = end + 1
    parts[-1][1].extend([nn.ReLU(inplace=True), *_pool()])
    return parts


def _efficientnet(model: Any) -> Parts:
    stem, *blocks, top = list(model.features)
    parts = [(f"stage{number}", [block]) for number, block in enumerate(blocks, 1)]
    parts[0][1].insert(0, stem)
    return [*parts, ("top", [top, model.avgpool, nn.Flatten()])]


def _efficientnet_lite(model: Any) -> Parts:
    blocks = iter(model.blocks)
    parts: Parts = [(f"stage{i}", [next(blocks) for _ in range(size)]) for i, size in enumerate(model.group_sizes, 1)]
    parts[0][1][:0] = [model.conv_stem, model.bn0, model.relu]
    return [*parts, ("top", [model.conv_head, model.bn1, model.relu, model.pool, nn.Flatten()])]


def _googlenet(model: Any) -> Parts:
    return [
        ("conv", [model.conv1, model.maxpool1, model.conv2, model.conv3, model.maxpool2]),
        ("inception3", [model.inception3a, model.inception3b]),
        ("inception4", [model.maxpool3, *(getattr(model, f"inception4{letter}") for letter in "abcde")]),
        ("inception5", [model.maxpool4, model.inception5a, model.inception5b, model.avgpool, nn.Flatten()]),
    ]


def _inception(model: Any) -> Parts:
    stem = ["Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "maxpool1", "Conv2d_3b_1x1", "Conv2d_4a_3x3", "maxpool2"]
    return [
        ("stem", [getattr(model, name) for name in stem]),
        ("mixed5", [getattr(model, f"Mixed_5{letter}") for letter in "bcd"]),
        ("mixed6", [getattr(model, f"Mixed_6{letter}") for letter in "abcde"]),
        ("mixed7", [*(getattr(model, f"Mixed_7{letter}") for letter in "abc"), model.avgpool, nn.Flatten()]),
    ]


def _maxvit(model: Any) -> Parts:
    parts: Parts = [(f"block{number}", [block]) for number, block in enumerate(model.blocks, 1)]
    parts[0][1].insert(0, model.stem)
    parts[-1][1].extend(list(model.classifier)[:-1])
    return parts


def _mnasnet(model: Any) -> Parts:
    layers = list(model.layers)
    stacks = [place for place, layer in enumerate(layers) if isinstance(layer, nn.Sequential)]
    parts: Parts = [(f"stack{number}", [layers[place]]) for number, place in enumerate(stacks, 1)]
    parts[0][1][:0] = layers[: stacks[0]]
    return [*parts, ("top", [*layers[stacks[-1] + 1 :], *_pool()])]


def _mobilenet_v2(model: Any) -> Parts:
    return _by_width(list(model.features), [*_pool()])


def _mobilenet_v3(model: Any) -> Parts:
    # A linear layer and its activation stand between the pool and the dropout before the last layer.
    return _by_width(list(model.features), [model.avgpool, nn.Flatten(), *list(model.classifier)[:2]])


def _by_width(layers: list[Any], neck: list[nn.Module]) -> Parts:
    """A stage for each run of blocks of one width; the first and the last layer are plain convolutions."""
    stem, *blocks, top = layers
    parts: Parts = []
    width = None
    for block in blocks:
        if block.out_channels != width:
            parts.append((f"stage{len(parts) + 1}", []))
            width = block.out_channels
        parts[-1][1].append(block)
    parts[0][1].insert(0, stem)
    return [*parts, ("top", [top, *neck])]


def _regnet(model: Any) -> Parts:
    parts: Parts = [(name, [block]) for name, block in model.trunk_output.named_children()]
    parts[0][1].insert(0, model.stem)
    parts[-1][1].extend([model.avgpool, nn.Flatten()])
    return parts


def _resnet(model: Any) -> Parts:
    return [
        ("layer1", [model.conv1, model.bn1, model.relu, model.maxpool, model.layer1]),
        ("layer2", [model.layer2]),
        ("layer3", [model.layer3]),
        ("layer4", [model.layer4, model.avgpool, nn.Flatten()]),
    ]


def _shufflenet(model: Any) -> Parts:
    return [
        ("stage2", [model.conv1, model.maxpool, model.stage2]),
        ("stage3", [model.stage3]),
        ("stage4", [model.stage4]),
        ("conv5", [model.conv5, *_pool()]),
    ]


def _squeezenet(model: Any) -> Parts:
    """Two Fire modules a stage; a pool goes with the module after it."""
    from torchvision.models.squeezenet import Fire

    parts: Parts = [("fire1", [])]
    fires = 0
    for layer in model.features:
        if len(parts) <= fires // 2:
            parts.append((f"fire{len(parts) + 1}", []))
        parts[-1][1].append(layer)
        fires += isinstance(layer, Fire)
    # The original's classifier is a convolution to 1,000 maps and their mean; the new head sees the mean of the maps.
    parts[-1][1].extend(_pool())
    return parts


def _swin(model: Any) -> Parts:
    parts = [(f"stage{i + 1}", list(model.features[2 * i : 2 * i + 2])) for i in range(4)]
    parts[-1][1].extend([model.norm, model.permute, model.avgpool, model.flatten])
    return parts


def _vit(model: Any) -> Parts:
    """Six groups of encoder layers, as equal as they can be."""
    layers = list(model.encoder.layers)
    bounds = [round(len(layers) * i / 6) for i in range(7)]
    parts: Parts = [(f"encoder{i + 1}", layers[bounds[i] : bounds[i + 1]]) for i in range(6)]
    parts[0][1].insert(0, Tokens(model))
    parts[-1][1].extend([model.encoder.ln, FirstToken()])
    return parts


def _before(layers: Iterable[nn.Module], kind: type[nn.Module]) -> list[list[nn.Module]]:
    """Groups of layers, each starting with a ``kind``."""
    groups: list[list[nn.Module]] = []
    for layer in layers:
        if isinstance(layer, kind) or not groups:
            groups.append([])
        groups[-1].append(layer)
    return groups


def _after(layers: Iterable[nn.Module], kind: type[nn.Module]) -> list[list[nn.Module]]:
    """Groups of layers, each ending with a ``kind``."""
    groups: list[list[nn.Module]] = [[]]
    for layer in layers:
        groups[-1].append(layer)
        if isinstance(layer, kind):
            groups.append([])
    return [group for group in groups if group]


SPLITTERS: dict[str, Callable[[Any], Parts]] = {
    "alexnet": _alexnet,
    "convnext": _convnext,
    "densenet": _densenet,
    "efficientnet": _efficientnet,
    "efficientnet_lite": _efficientnet_lite,
    "efficientnet_v2": _efficientnet,
    "googlenet": _googlenet,
    "inception": _inception,
    "maxvit": _maxvit,
    "mnasnet": _mnasnet,
    "mobilenet_v2": _mobilenet_v2,
    "mobilenet_v3": _mobilenet_v3,
    "regnet": _regnet,
    "resnet": _resnet,
    "resnext": _resnet,
    "shufflenet": _shufflenet,
    "squeezenet": _squeezenet,
    "swin": _swin,
    "swin_v2": _swin,
    "vgg": _vgg,
    "vgg_without_top": _vgg_without_top,
    "vit": _vit,
    "wide_resnet": _resnet,
}
