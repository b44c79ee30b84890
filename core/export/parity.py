"""Whether every form of a model answers as the app does, photo by photo: the proof that comes with a bundle."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import CoreError

FORMAT = 1
LIMIT = 1e-3  # the largest difference of a probability that is still the same answer
# Classes this close together in the app's own answer are equally likely: rounding decides which one is named.
TIE = 1e-5

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Said:
    """What one form said about some photos."""

    probabilities: Floats  # (n, classes)
    strangeness: Floats | None  # (n,); None where the model has no detector

    def unknown(self, limit: float | None) -> NDArray[np.bool_]:
        if limit is None or self.strangeness is None:
            return np.zeros(len(self.probabilities), np.bool_)
        return self.strangeness > limit


@dataclass(frozen=True)
class FormParity:
    """How one form came out: ``same_unknown`` counts photos that both take for known, or both for unknown."""

    photos: int
    same_top1: int
    same_unknown: int
    largest_difference: float

    @property
    def ok(self) -> bool:
        same = self.same_top1 == self.photos == self.same_unknown
        return self.photos > 0 and same and self.largest_difference <= LIMIT

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "ok": self.ok}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "FormParity":
        photos, same, unknown = (int(data[name]) for name in ("photos", "same_top1", "same_unknown"))
        return cls(photos, same, unknown, float(data["largest_difference"]))


@dataclass(frozen=True)
class Parity:
    """The forms in a bundle, by name ("safetensors", "onnx", "program"), and what it was checked on.

    ``left_out`` holds the forms and parts that the bundle goes without ("onnx", "browser"), and why.
    """

    forms: Mapping[str, FormParity]
    photos: int  # the run's own
    drawn: int  # hard pictures, drawn for the check
    opset: int
    megabytes: float = 0.0  # of the zip
    left_out: Mapping[str, CoreError] = field(default_factory=dict[str, CoreError])

    @property
    def ok(self) -> bool:
        return bool(self.forms) and all(form.ok for form in self.forms.values())

    @property
    def has_page(self) -> bool:
        """Whether the page for the browser is in it: it needs the ONNX form."""
        return not {"onnx", "browser"} & set(self.left_out)

    def to_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "ok": self.ok,
            "limit": LIMIT,
            "photos": self.photos,
            "drawn": self.drawn,
            "opset": self.opset,
            "megabytes": self.megabytes,
            "forms": {name: form.to_json() for name, form in self.forms.items()},
            "browser": "index.html" if self.has_page else None,
            "left_out": {name: why.to_json() for name, why in self.left_out.items()},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Parity":
        forms = {str(name): FormParity.from_json(form) for name, form in data["forms"].items()}
        numbers = (int(data["photos"]), int(data["drawn"]), int(data["opset"]))
        left_out = {str(name): CoreError.from_json(why) for name, why in data["left_out"].items()}
        return cls(forms, *numbers, float(data["megabytes"]), left_out)


def compare(app: Said, form: Said, limit: float | None) -> FormParity:
    """``form``'s answers against the app's; ``limit`` is the strangeness from which a photo is unknown."""
    chosen = form.probabilities.argmax(axis=1)
    rows = np.arange(len(chosen))
    same = app.probabilities[rows, chosen] >= app.probabilities.max(axis=1) - TIE
    close = np.zeros(len(chosen), np.bool_)
    if limit is not None and app.strangeness is not None:
        close = np.abs(app.strangeness - limit) <= TIE
    unknown = (app.unknown(limit) == form.unknown(limit)) | close
    gap = np.abs(app.probabilities - form.probabilities)
    largest = float(gap.max(initial=0.0)) if np.isfinite(gap).all() else 1.0
    return FormParity(len(chosen), int(same.sum()), int(unknown.sum()), largest)
