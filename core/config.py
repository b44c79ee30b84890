"""What a run is told to do: one frozen dataclass, checked when it is made, stored as JSON with a format number."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Literal, get_args

from core.errors import ConfigError

FORMAT = 2

Preset = Literal["fast", "balanced", "best", "custom", "textbook_vgg16", "textbook_resnet18"]
Weights = Literal["pretrained", "scratch"]
Head = Literal["linear", "hidden", "cosine"]
Augment = Literal["none", "flip", "standard"]
Normalization = Literal["pretrained", "unit", "symmetric"]
Optimizer = Literal["gradient_descent", "sgd", "momentum", "adam", "adamw"]
Schedule = Literal["constant", "cosine", "step"]
Loss = Literal["cross_entropy", "mse", "focal"]
Regularizer = Literal["none", "l1", "l2", "l2sp"]
ClassBalance = Literal["none", "weights", "sampling"]
NormStatistics = Literal["kept", "batch"]
Refit = Literal["none", "head", "all"]
Precision = Literal["auto", "float32", "bfloat16"]
FreezeDepth = int | Literal["all", "none"]

CHOICES: dict[str, tuple[str, ...]] = {
    "preset": get_args(Preset),
    "weights": get_args(Weights),
    "head": get_args(Head),
    "augment": get_args(Augment),
    "normalization": get_args(Normalization),
    "optimizer": get_args(Optimizer),
    "schedule": get_args(Schedule),
    "head_schedule": get_args(Schedule),
    "loss": get_args(Loss),
    "regularizer": get_args(Regularizer),
    "class_balance": get_args(ClassBalance),
    "norm_statistics": get_args(NormStatistics),
    "refit": get_args(Refit),
    "precision": get_args(Precision),
}
# Smallest and largest value that still makes sense; outside lies a typing mistake, not a wish.
BOUNDS: dict[str, tuple[float, float]] = {
    "seed": (0, 2**31 - 1),
    "hidden_layers": (1, 4),
    "hidden_units": (1, 16_384),
    "dropout": (0.0, 0.95),
    "head_epochs": (1, 10_000),
    "head_batch_size": (1, 65_536),
    "head_learning_rate": (1e-7, 10.0),
    "head_patience": (1, 10_000),
    "epochs": (0, 10_000),
    "batch_size": (1, 4096),
    "learning_rate": (1e-8, 10.0),
    "stage_decay": (0.0, 1.0),
    "head_boost": (0.0, 1000.0),
    "warm_up": (0.0, 0.9),
    "momentum": (0.0, 0.999),
    "weight_decay": (0.0, 10.0),
    "clip_norm": (0.0, 1e6),
    "label_smoothing": (0.0, 0.9),
    "focal_gamma": (0.0, 10.0),
    "regularization": (0.0, 100.0),
    "views": (1, 16),
    "mixup": (0.0, 10.0),
    "cutmix": (0.0, 10.0),
    "ema": (0.0, 0.9999),
    "patience": (1, 10_000),
    "pseudo_labels": (0.0, 1.0),
    "kept_gigabytes": (0.0, 10_000.0),
}
STAGE_COUNTS = ("freeze_depth", "copied_stages")
SWITCHES = ("center_features", "head_first")
ON, OFF = {"true", "yes", "on", "1"}, {"false", "no", "off", "0"}


@dataclass(frozen=True)
class TrainConfig:
    """Every setting of a run. The defaults are the Fast preset: a linear head on kept features."""

    backbone: str = "efficientnet_lite0"  # its weights come with the install: works on a machine without a network
    freeze_depth: FreezeDepth = "all"  # the first N stages, counted from the photo, keep their weights
    copied_stages: FreezeDepth = "all"  # the first N stages start from pretrained weights, the others from noise
    preset: Preset = "fast"  # which recipe filled this in; says nothing by itself
    seed: int = 0  # one number behind the split, the first head weights and the order of the photos
    weights: Weights = "pretrained"  # "scratch" starts from noise: needs many thousand photos
    start_from: str = ""  # an earlier run (its id beside this one, or its folder), whose stages replace the pretrained

    head: Head = "linear"  # "hidden": layers with ReLU and dropout before the last; "cosine": by angle alone
    hidden_layers: int = 1
    hidden_units: int = 256
    dropout: float = 0.0  # share of the features, or of each hidden layer's units, left out at each step
    center_features: bool = True  # the head sees features minus their mean, divided by one scale
    head_first: bool = True  # the head converges on kept features before any stage moves (LP-FT)
    head_epochs: int = 200  # passes of the head over kept features: milliseconds each
    head_batch_size: int = 128
    head_learning_rate: float = 1e-3  # AdamW on features of unit scale
    head_schedule: Schedule = "constant"
    head_patience: int = 20  # epochs without a better validation loss before the head counts as converged

    refit: Refit = "head"  # what learns once more, from validation photos too, when they have chosen the best epoch

    epochs: int = 0  # passes of fine-tuning after the head has converged; needs freeze_depth below "all"
    batch_size: int = 32  # photos a step while fine-tuning; halved, with a notice, where memory runs out
    learning_rate: float = 1e-4  # last trainable stage
    stage_decay: float = 0.5  # each earlier stage learns at this share of the rate of the one after it
    head_boost: float = 1.0  # the head learns at this multiple of the last stage's rate
    schedule: Schedule = "cosine"  # "step": a tenth after every seven epochs
    warm_up: float = 0.1  # share of the steps in which the rate climbs to its full height

    # BatchNorm in copied stages that learn: by the pretrained mean and spread, which the head has learnt to expect, or
    # by each batch's own. What starts from noise always measures its own.
    norm_statistics: NormStatistics = "kept"

    optimizer: Optimizer = "adamw"
    momentum: float = 0.9  # of the optimiser of that name
    weight_decay: float = 1e-2  # decoupled in AdamW; in all others added to the gradient
    clip_norm: float = 1.0  # gradients are scaled down to this length; 0 leaves them
    loss: Loss = "cross_entropy"
    label_smoothing: float = 0.1  # share of probability spread over all classes
    focal_gamma: float = 2.0  # how much the focal loss turns from easy photos to hard ones
    regularizer: Regularizer = "none"  # R(θ) of the objective L(θ) + λR(θ)
    regularization: float = 1e-3  # λ
    class_balance: ClassBalance = "none"  # rare classes count more, or are drawn more often

    # Photos without a label teach too where Graft's guess of their class is at least so certain; 0: none do. Off, for a
    # wrong guess teaches what is wrong; a run that learnt from guesses always says so.
    pseudo_labels: float = 0.0
    augment: Augment = "flip"  # what the training photos are turned into; never the validation or test photos
    views: int = 1  # kept augmented copies of each training photo where the frozen part runs once
    mixup: float = 0.0  # α of Beta(α, α); 0 mixes nothing
    cutmix: float = 0.0  # likewise; a patch of another photo instead of a blend
    normalization: Normalization = "pretrained"  # how pixels become numbers; the backbone expects its own
    ema: float = 0.0  # weights averaged over the steps with this decay; 0 takes the last ones
    patience: int = 20  # epochs without a better validation loss before fine-tuning ends

    precision: Precision = "auto"  # of fine-tuning; "auto" measures a step in each and takes the quicker
    kept_gigabytes: float = 20.0  # disk that kept activations may take, at most half of what is free
    device: str = "auto"  # "auto", "cpu", "cuda", "cuda:1", "mps"

    def __post_init__(self) -> None:
        for name in STAGE_COUNTS:
            _check_stage_count(name, getattr(self, name))
        for name in SWITCHES:
            if not isinstance(getattr(self, name), bool):
                raise ConfigError("config.switch", name=name, value=getattr(self, name))
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
        written = int(str(data.get("format", 0)))
        if written > FORMAT:
            raise ConfigError("config.newer", value=data.get("format"))
        known = {field.name for field in fields(cls)}
        given = {name: value for name, value in data.items() if name != "format"}
        if written < 2 and given.get("optimizer") == "sgd":
            given["optimizer"] = "momentum"  # format 1 had no plain SGD and called this one so
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


def _check_stage_count(name: str, value: object) -> None:
    whole = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    if not whole and value not in ("all", "none"):
        raise ConfigError("config.stage_count", name=name, value=value)


def read_freeze_depth(text: str) -> FreezeDepth:
    """``"all"``, ``"none"`` or a whole number, as typed."""
    if text in ("all", "none"):
        return text  # type: ignore[return-value]
    try:
        return int(text)
    except ValueError:
        raise ConfigError("config.stage_count", name="freeze_depth", value=text) from None


def _read(name: str, text: str, like: object) -> object:
    if name in STAGE_COUNTS:
        return read_freeze_depth(text)
    if name in SWITCHES:
        if text.lower() not in ON | OFF:
            raise ConfigError("config.switch", name=name, value=text)
        return text.lower() in ON
    try:
        if isinstance(like, int):
            return int(text)
        if isinstance(like, float):
            return float(text)
    except ValueError:
        raise ConfigError("config.number", name=name, value=text, example=like) from None
    return text
