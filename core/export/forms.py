"""The network as files that need no Graft: ONNX for every runtime, and torch's own exported program."""

import warnings
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

from core.errors import ModelError
from core.export.whole import INPUT, OUTPUTS, Whole

# The operators' version that torch's exporter writes by itself. Read by onnxruntime from 1.17 (January 2024) on, in
# browsers as well. Source: onnxruntime, docs/Versioning.md.
OPSET = 20
MOST_BATCH = 4096
# A protocol buffer, which an ONNX file is, ends at 2 GiB; the graph itself takes a few megabytes of that.
MOST_WEIGHT_BYTES = 2**31 - 16_000_000


def weight_bytes(whole: Whole) -> int:
    return sum(t.numel() * t.element_size() for t in (*whole.parameters(), *whole.buffers()))


def program(whole: Whole, photos: Tensor) -> ExportedProgram:
    """The computation on its own, for batches of any size; ``photos`` is an example of two."""
    with _quiet(), torch.no_grad():
        made = torch.export.export(whole, (photos,), dynamic_shapes={INPUT: {0: Dim("batch", min=1, max=MOST_BATCH)}})
    # Saved along with a program as a pickle, which nobody who is careful opens; without it there is none inside.
    made._example_inputs = None  # type: ignore[assignment]
    return made


def write_program(made: ExportedProgram, path: Path) -> None:
    """A zip of raw tensors and JSON."""
    with _quiet():
        torch.export.save(made, path)


def write_onnx(made: ExportedProgram, path: Path) -> None:
    """One file, weights included; ``too_large`` says where that can't be."""
    with _quiet():
        onnx: Any = torch.onnx.export(
            made, (), dynamo=True, opset_version=OPSET, input_names=[INPUT], output_names=list(OUTPUTS), verbose=False
        )
    onnx.save(path, external_data=False)


def too_large(whole: Whole, title: str) -> ModelError | None:
    """Why there can be no ONNX file, if there can't."""
    size = weight_bytes(whole)
    return (
        ModelError("export.too_large", title=title, gigabytes=f"{size / 1e9:.1f}") if size > MOST_WEIGHT_BYTES else None
    )


@contextmanager
def _quiet() -> Generator[None]:
    """The exporters warn about their own insides, which nobody here can change."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
