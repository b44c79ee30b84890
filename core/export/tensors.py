"""Safetensors files of strangers: the header is held against what the network has before any weight is read."""

import json
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import safe_open
from torch import nn

from core.export.arrived import BundleError
from core.inference.predictor import ModelCard
from core.models import registry
from core.models.architecture import empty
from core.models.head import Head
from core.models.stages import split

MOST_HEADER_BYTES = 16_000_000
MOST_TENSORS = 20_000
# Bytes of one number. Source: safetensors, README, Format.
ITEM_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
TYPES = {"F32": torch.float32, "F16": torch.float16, "I64": torch.int64}

Shapes = Mapping[str, tuple[str, tuple[int, ...]]]  # by name: type and shape


def header(path: Path, bundle: str) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Names, types and shapes in a file whose header holds together; nothing else is read.

    Each tensor must take exactly the bytes that its shape needs, one after the other, to the end of the file.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(MOST_HEADER_BYTES, size - 8):
            raise BundleError("header", name=bundle, file=path.name)
        text = file.read(length)
    try:
        rows: dict[str, Any] = json.loads(text.decode("utf-8"))
        del text
        rows.pop("__metadata__", None)
        if len(rows) > MOST_TENSORS:
            raise ValueError
        found = [(name, *_row(row)) for name, row in rows.items()]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise BundleError("header", name=bundle, file=path.name) from None
    place = 0
    for name, _, _, begin, end in sorted(found, key=lambda row: row[3:]):
        if begin != place:
            raise BundleError("offsets", name=bundle, file=path.name, tensor=name[:80])
        place = end
    if place != size - 8 - length:
        raise BundleError("offsets", name=bundle, file=path.name, tensor="")
    return {name: (kind, shape) for name, kind, shape, _, _ in found}


def check_model(path: Path, card: ModelCard, bundle: str) -> None:
    """The weights are those of the card's network: each there, of its shape and type, and a number.

    Raises:
        BundleError: they aren't; the message names the first tensor that isn't.
    """
    found, wanted = header(path, bundle), _expected(card)
    title = registry.backbone(card.backbone).title
    for name in chain(wanted, found):
        if name not in found or name not in wanted or found[name] != wanted[name]:
            raise BundleError(
                "shape", name=bundle, file=path.name, tensor=name[:80], title=title, found=_shown(found.get(name)),
                wanted=_shown(wanted.get(name)),
            )  # fmt: skip
    check_numbers(path, found, bundle)


def check_numbers(path: Path, names: Shapes, bundle: str) -> None:
    """Every weight is a finite number; one tensor at a time is in memory."""
    with safe_open(path, framework="pt") as file:
        for name in names:
            tensor = file.get_tensor(name)
            if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
                raise BundleError("not_finite", name=bundle, file=path.name, tensor=name[:80])


def _row(row: Mapping[str, Any]) -> tuple[str, tuple[int, ...], int, int]:
    kind, shape = row["dtype"], cast("list[Any]", row["shape"])
    begin, end = row["data_offsets"]
    if not all(type(number) is int and number >= 0 for number in (*shape, begin, end)) or len(shape) > 8:
        raise ValueError
    count = 1
    for length in shape:
        count *= length  # Python's own whole numbers: nothing wraps around
    if end - begin != count * ITEM_BYTES[kind]:
        raise ValueError
    return str(kind), tuple(shape), begin, end


def _expected(card: ModelCard) -> Shapes:
    """What a network of this kind has, worked out without memory for its weights."""
    backbone = registry.backbone(card.backbone)
    body = nn.ModuleList(split(empty(backbone.name), backbone.family).values())
    with torch.device("meta"):
        head = Head(card.head, backbone.feature_width, len(card.classes))
    state = nn.ModuleDict({"stages": body, "head": head}).state_dict()
    kinds = {kind: name for name, kind in TYPES.items()}
    return {name: (kinds[tensor.dtype], tuple(tensor.shape)) for name, tensor in state.items()}


def _shown(entry: tuple[str, tuple[int, ...]] | None) -> str:
    if entry is None:
        return "–"
    return f"{entry[0]} {' × '.join(str(length) for length in entry[1][:8]) or '1'}"[:120]
