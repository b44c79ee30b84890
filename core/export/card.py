"""The model card, README.md of a bundle: what the model is, how good it is, and what it is not good for."""

from typing import Any

from core.export.parity import Parity
from core.inference.predictor import ModelCard
from core.runs.store import RunDirectory


def model_card(run: RunDirectory, card: ModelCard, data: dict[str, Any], parity: Parity) -> str:
    return "# Model\n"
