"""The objects that the service answers with, as its OpenAPI document describes them."""

from typing import Any

from pydantic import BaseModel, Field

from core.words import say


def _field(key: str, **rules: Any) -> Any:
    return Field(description=say(f"serve.field.{key}"), **rules)


class Guess(BaseModel):
    """One class and how likely it is."""

    label: str
    confidence: float = _field("confidence", ge=0, le=1)


class PhotoTold(BaseModel):
    """What ``python -m core predict`` prints of a photo."""

    path: str = _field("path")
    label: str | None = _field("label")
    confidence: float | None = _field("confidence", ge=0, le=1)
    unknown: bool = _field("unknown")
    top: list[Guess] = _field("top")
    error: str = _field("error", default="")


class Told(BaseModel):
    answers: list[PhotoTold] = _field("answers")


class Fault(BaseModel):
    error: str = _field("fault")
    hint: str = _field("hint")


class Health(BaseModel):
    status: str = _field("status")


class PreprocessingTold(BaseModel):
    resize: int = _field("resize")
    crop: int = _field("crop")
    mean: list[float] = _field("mean", min_length=3, max_length=3)
    std: list[float] = _field("std", min_length=3, max_length=3)
    interpolation: str
    antialias: bool


class Scores(BaseModel):
    accuracy: float | None = _field("accuracy")
    interval: list[float] | None = _field("interval")
    correct: int | None
    total: int | None = _field("total")


class LimitsTold(BaseModel):
    photos: int = _field("photos")
    photo_bytes: int
    body_bytes: int
    requests: int = _field("requests")
    at_once: int = _field("at_once")
    upload_seconds: float
    answer_seconds: float


class ModelTold(BaseModel):
    title: str
    classes: list[str]
    backbone: str
    preprocessing: PreprocessingTold
    temperature: float | None = _field("temperature")
    unknown_limit: float | None = _field("unknown_limit")
    scores: Scores | None = _field("scores")
    limits: LimitsTold
    graft: str = _field("graft")
