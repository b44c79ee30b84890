"""The three presets: pure functions from facts about the photos and the machine to settings, with their reasons.

In the spirit of BiT's HyperRule (Kolesnikov et al. 2020, section 3.3): few numbers about the data choose everything.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from core.config import Preset, TrainConfig
from core.words import say

PRESETS: tuple[Preset, ...] = ("fast", "balanced", "best")
# The two set-ups that courses teach, rebuilt setting by setting, and the backbone each is made for.
TEXTBOOK: dict[Preset, str] = {"textbook_vgg16": "vgg16_without_top", "textbook_resnet18": "resnet18"}
# Per class: below, letting stages learn made four sets of 10 to 25 photos a class worse, by up to 15 points, and a
# validation part that small can't tell; several views of each photo made them better.
FEW_PHOTOS = 50
MANY_PHOTOS = 2000  # in all: above, each epoch sees enough that fewer epochs and views are needed


@dataclass(frozen=True)
class Facts:
    """What a preset may look at."""

    photos: int  # training photos
    classes: int
    stages: int  # of the backbone
    gpu: bool

    @property
    def per_class(self) -> float:
        return self.photos / max(1, self.classes)


@dataclass(frozen=True)
class Reason:
    """Why a preset chose something: a key below ``recipes.reason`` and its values."""

    key: str
    values: Mapping[str, object] = field(default_factory=dict)

    @property
    def text(self) -> str:
        return say(f"recipes.reason.{self.key}", **self.values)


@dataclass(frozen=True)
class Recipe:
    config: TrainConfig
    reasons: tuple[Reason, ...]


def recipe(preset: Preset, facts: Facts, *, backbone: str = "efficientnet_lite0", seed: int = 0) -> Recipe:
    """The settings a preset chooses for these facts; "custom" starts from Fast.

    A textbook set-up brings its own backbone; ``facts.stages`` is not looked at then.
    """
    choosers = {
        "balanced": _balanced,
        "best": _best,
        "textbook_vgg16": _textbook_vgg16,
        "textbook_resnet18": _textbook_resnet18,
    }
    settings, reasons = choosers.get(preset, _fast)(facts)
    backbone = TEXTBOOK.get(preset, backbone)
    return Recipe(TrainConfig(backbone=backbone, preset=preset, seed=seed, **settings), reasons)  # type: ignore[arg-type]


def _fast(facts: Facts) -> tuple[dict[str, object], tuple[Reason, ...]]:
    return {"freeze_depth": "all", "epochs": 0, "augment": "none", "views": 1}, (
        Reason("head_only", {"stages": facts.stages}),
        Reason("seconds"),
    )


def _balanced(facts: Facts) -> tuple[dict[str, object], tuple[Reason, ...]]:
    views = 4 if facts.photos <= MANY_PHOTOS else 2
    settings: dict[str, object] = {"freeze_depth": "all", "epochs": 0, "augment": "standard", "views": views}
    if facts.per_class < FEW_PHOTOS:
        return settings, (_few_photos(facts), Reason("changed_copies", {"n": views}))
    settings |= {"freeze_depth": max(0, facts.stages - 1), "epochs": 6, "learning_rate": 1e-4, "patience": 4}
    return settings, (Reason("head_first"), Reason("last_stages", {"n": 1}), Reason("changed_copies", {"n": views}))


def _best(facts: Facts) -> tuple[dict[str, object], tuple[Reason, ...]]:
    views = 8 if facts.photos <= MANY_PHOTOS else 4
    settings: dict[str, object] = {
        "freeze_depth": "all",
        "epochs": 0,
        "augment": "standard",
        "views": views,
        "refit": "all",
    }
    copies = Reason("changed_copies", {"n": views})
    if facts.per_class < FEW_PHOTOS:
        return settings, (_few_photos(facts), copies)
    # On a processor the first half of the stages costs most of the time and changes least: they stay frozen.
    frozen = 0 if facts.gpu else facts.stages // 2
    settings |= {"freeze_depth": frozen or "none", "epochs": 10, "learning_rate": 1e-4, "patience": 5, "ema": 0.9}
    reasons = [Reason("head_first"), Reason("deeper", {"frozen": frozen, "stages": facts.stages}), copies]
    if not facts.gpu:
        reasons.append(Reason("no_gpu"))
    return settings, (*reasons, Reason("averaged"))


def _few_photos(facts: Facts) -> Reason:
    return Reason("few_photos", {"per_class": round(facts.per_class), "stages": facts.stages})


# What both leave out: nothing is decayed, clipped, smoothed, centred or ended early.
PLAIN: dict[str, object] = {
    "weight_decay": 0.0,
    "clip_norm": 0.0,
    "label_smoothing": 0.0,
    "center_features": False,
    "patience": 10_000,
    "head_patience": 10_000,
    "refit": "none",
    "norm_statistics": "batch",
}


def _textbook_vgg16(facts: Facts) -> tuple[dict[str, object], tuple[Reason, ...]]:
    """VGG16 without its top, frozen; Dense(1024) with ReLU and dropout; softmax; Adam as it comes (rate 0.001)."""
    del facts
    settings: dict[str, object] = {
        **PLAIN,
        "freeze_depth": "all",
        "epochs": 0,
        "augment": "none",
        "head": "hidden",
        "hidden_layers": 1,
        "hidden_units": 1024,
        "dropout": 0.5,
        "optimizer": "adam",
        "head_epochs": 20,
        "head_batch_size": 32,
        "head_learning_rate": 1e-3,
    }
    return settings, (Reason("textbook_vgg16"), Reason("textbook_kept"))


def _textbook_resnet18(facts: Facts) -> tuple[dict[str, object], tuple[Reason, ...]]:
    """ResNet-18 with a new last layer, 25 epochs of SGD in batches of 4, the rate a tenth after every seven.

    Source: PyTorch's transfer learning tutorial, which shows both halves: all weights learning, and the last layer.
    """
    settings: dict[str, object] = {
        **PLAIN,
        "freeze_depth": "none" if facts.gpu else "all",
        "epochs": 25 if facts.gpu else 0,
        "augment": "standard" if facts.gpu else "none",
        "head_first": False,
        "optimizer": "momentum",
        "momentum": 0.9,
        "head_epochs": 25,
        "head_batch_size": 4,
        "head_learning_rate": 1e-3,
        "head_schedule": "step",
        "batch_size": 4,
        "learning_rate": 1e-3,
        "stage_decay": 1.0,
        "head_boost": 1.0,
        "schedule": "step",
        "warm_up": 0.0,
    }
    half = Reason("textbook_finetune") if facts.gpu else Reason("textbook_fixed")
    return settings, (Reason("textbook_resnet18"), half)
