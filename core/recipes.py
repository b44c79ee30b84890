"""The three presets: pure functions from facts about the photos and the machine to settings, with their reasons.

In the spirit of BiT's HyperRule (Kolesnikov et al. 2020, section 3.3): few numbers about the data choose everything.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from core.config import Preset, TrainConfig
from core.words import say

PRESETS: tuple[Preset, ...] = ("fast", "balanced", "best")
FEW_PHOTOS = 20  # per class: below, deep fine-tuning mostly learns the photos by heart
MANY_PHOTOS = 2000  # in all: above, each epoch sees enough that fewer are needed


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
    """The settings a preset chooses for these facts; "custom" starts from Fast."""
    chooser = {"balanced": _balanced, "best": _best}.get(preset, _fast)
    settings, reasons = chooser(facts)
    return Recipe(TrainConfig(backbone=backbone, preset=preset, seed=seed, **settings), reasons)  # type: ignore[arg-type]


def _fast(facts: Facts) -> tuple[dict[str, object], tuple[Reason, ...]]:
    return {"freeze_depth": "all", "epochs": 0, "augment": "none", "views": 1}, (
        Reason("head_only", {"stages": facts.stages}),
        Reason("seconds"),
    )


def _balanced(facts: Facts) -> tuple[dict[str, object], tuple[Reason, ...]]:
    trainable = 1 if facts.per_class < FEW_PHOTOS else 2
    reasons = [Reason("head_first"), Reason("last_stages", {"n": trainable})]
    if facts.per_class < FEW_PHOTOS:
        reasons.append(Reason("few_photos", {"per_class": round(facts.per_class)}))
    settings: dict[str, object] = {
        "freeze_depth": max(0, facts.stages - trainable),
        "epochs": 6 if facts.photos > MANY_PHOTOS else 12,
        "augment": "flip",
        "views": 2,
        "learning_rate": 3e-4,
        "patience": 6,
    }
    return settings, (*reasons, Reason("mirrored"))


def _best(facts: Facts) -> tuple[dict[str, object], tuple[Reason, ...]]:
    # On a processor the first half of the stages costs most of the time and changes least: they stay frozen.
    frozen = 0 if facts.gpu and facts.per_class >= FEW_PHOTOS else facts.stages // 2
    reasons = [Reason("head_first"), Reason("deeper", {"frozen": frozen, "stages": facts.stages})]
    if not facts.gpu:
        reasons.append(Reason("no_gpu"))
    settings: dict[str, object] = {
        "freeze_depth": frozen,
        "epochs": 10 if facts.photos > MANY_PHOTOS else 20,
        "augment": "standard",
        "views": 4,
        "learning_rate": 3e-4,
        "patience": 8,
    }
    return settings, (*reasons, Reason("changed_copies"))
