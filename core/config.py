"""What a run is told to do: one frozen dataclass, checked when it is made, stored as JSON with a format number."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Literal, get_args

from core.errors import ConfigError

FORMAT = 1

Preset = Literal["fast", "balanced", "best", "custom"]
Weights = Literal["pretrained", "scratch"]
Augment = Literal["none", "flip", "standard"]
Optimizer = Literal["adamw", "sgd"]
FreezeDepth = int | Literal["all", "none"]

CHOICES: dict[str, tuple[str, ...]] = {
    "preset": get_args(Preset),
    "weights": get_args(Weights),
    "augment": get_args(Augment),
    "optimizer": get_args(Optimizer),
}
# Smallest and largest value that still makes sense; outside lies a typing mistake, not a wish.
BOUNDS: dict[str, tuple[float, float]] = {
    "seed": (0, 2**31 - 1),
    "head_epochs": (1, 10_000),
    "epochs": (0, 10_000),
    "batch_size": (1, 4096),
    "views": (1, 16),
    "head_learning_rate": (1e-7, 10.0),
    "learning_rate": (1e-8, 10.0),
    "weight_decay": (0.0, 10.0),
    "label_smoothing": (0.0, 0.9),
    "dropout": (0.0, 0.95),
    "patience": (1, 10_000),
}


@dataclass(frozen=True)
class TrainConfig:
    """Every setting of a run. The defaults are the Fast preset: a linear head on kept features."""

    backbone: str = "efficientnet_lite0"  # its weights come with the install: works on a machine without a network
    freeze_depth: FreezeDepth = "all"  # the first N stages, counted from the photo, keep their pretrained weights
    preset: Preset = "fast"  # which recipe filled this in; says nothing by itself
    seed: int = 0  # one number behind the split, the first head weights and the order of the photos
    weights: Weights = "pretrained"  # "scratch" starts from noise: needs many thousand photos
    head_epochs: int = 100  # passes of the head over kept features: milliseconds each
    epochs: int = 0  # passes of fine-tuning after the head has converged; needs freeze_depth below "all"
    batch_size: int = 32  # photos a step while fine-tuning
    views: int = 1  # kept augmented copies of each training photo where the frozen part runs once
    augment: Augment = "flip"  # what the training photos are turned into; never the validation or test photos
    optimizer: Optimizer = "adamw"
    head_learning_rate: float = 1e-3  # AdamW on features of unit scale
    learning_rate: float = 1e-4  # last trainable stage; each earlier one gets less
    weight_decay: float = 1e-2
    label_smoothing: float = 0.1  # share of probability spread over the other classes
    dropout: float = 0.0  # share of the features hidden from the head at each step
    patience: int = 20  # epochs without a better validation loss before a phase ends
    device: str = "auto"  # "auto", "cpu", "cuda", "cuda:1", "mps"

    def __post_init__(self) -> None:
        if not isinstance(self.freeze_depth, bool) and isinstance(self.freeze_depth, int):
            if self.freeze_depth < 0:
                raise ConfigError("config.freeze_depth", value=self.freeze_depth)
        elif self.freeze_depth not in ("all", "none"):
            raise ConfigError("config.freeze_depth", value=self.freeze_depth)
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ConfigError("config.choice", name=name, value=getattr(self, name), allowed=", ".join(allowed))
        for name, (low, high) in BOUNDS.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                raise ConfigError("config.bounds", name=name, value=value, low=low, high=high)

    def to_json(self) -> dict[str, object]:
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> "TrainConfig":
        """Read any format up to ours; a newer one, or a field we don't know, is refused by name."""
        if int(str(data.get("format", 0))) > FORMAT:
            raise ConfigError("config.newer", value=data.get("format"))
        known = {field.name for field in fields(cls)}
        given = {name: value for name, value in data.items() if name != "format"}
        if unknown := sorted(set(given) - known):
            raise ConfigError("config.unknown", name=unknown[0], allowed=", ".join(sorted(known)))
        return cls(**given)  # type: ignore[arg-type]

    def with_settings(self, settings: Mapping[str, str]) -> "TrainConfig":
        """The same config with ``KEY=VALUE`` pairs from a terminal, each read as its field's type."""
        known = {field.name: field for field in fields(self)}
        changes: dict[str, object] = {}
        for name, text in settings.items():
            if name not in known:
                raise ConfigError("config.unknown", name=name, allowed=", ".join(sorted(known)))
            changes[name] = _read(name, text, getattr(self, name))
        return replace(self, **changes)  # type: ignore[arg-type]


def read_freeze_depth(text: str) -> FreezeDepth:
    """``"all"``, ``"none"`` or a whole number, as typed."""
    if text in ("all", "none"):
        return text  # type: ignore[return-value]
    try:
        return int(text)
    except ValueError:
        raise ConfigError("config.freeze_depth", value=text) from None


def _read(name: str, text: str, like: object) -> object:
    if name == "freeze_depth":
        return read_freeze_depth(text)
    try:
        if isinstance(like, int):
            return int(text)
        if isinstance(like, float):
            return float(text)
    except ValueError:
        raise ConfigError("config.number", name=name, value=text, example=like) from None
    return text
