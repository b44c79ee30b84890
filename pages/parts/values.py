"""The value of a setting as people say it, where several runs' settings stand side by side."""

from collections.abc import Mapping

from core.config import CHOICES, TrainConfig
from core.errors import CoreError
from core.models import registry
from core.words import say
from pages.parts.settings import FIELDS, option_words


def spoken_value(name: str, config: TrainConfig, runs: Mapping[str, str]) -> str:
    """``runs`` are names of runs by their id; a setting that has no effect beside the rest is a dash."""
    value = getattr(config, name)
    if name in FIELDS and not FIELDS[name].when(config):
        return say("compare.settings.meaningless")
    if isinstance(value, bool):
        return say("compare.yes_no.on" if value else "compare.yes_no.off")
    if isinstance(value, float):
        return f"{value:.6g}"
    if name == "preset":
        return say(f"model.preset.{value}")
    if name == "backbone":
        return _backbone(str(value))
    if name == "start_from":
        return runs.get(str(value), str(value)) or say("compare.settings.meaningless")
    return option_words(name, value) if name in CHOICES else str(value)


def _backbone(name: str) -> str:
    try:
        return registry.backbone(name).title
    except CoreError:
        return name  # no longer in the table
