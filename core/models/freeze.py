"""Freezing: the first stages keep their weights and their statistics, the rest learns. Torch-free to import."""

from typing import TYPE_CHECKING, Literal

from core.errors import ConfigError

if TYPE_CHECKING:
    from core.models.build import Network


def resolve_depth(depth: int | Literal["all", "none"], stage_count: int) -> int:
    """The number of frozen stages that ``depth`` means for a body of ``stage_count`` stages.

    Raises:
        ConfigError: there are not that many.
    """
    if depth == "all":
        return stage_count
    if depth == "none":
        return 0
    if not 0 <= depth <= stage_count:
        raise ConfigError("models.depth", depth=depth, stages=stage_count)
    return depth


def resolve_scope(
    frozen: int | Literal["all", "none"], copied: int | Literal["all", "none"], stage_count: int
) -> tuple[int, int]:
    """Frozen and copied stages as numbers: what keeps its weights, and what has pretrained weights to begin with.

    Raises:
        ConfigError: there are not that many, or a stage would be frozen that was not copied.
    """
    depth, copies = resolve_depth(frozen, stage_count), resolve_depth(copied, stage_count)
    if frozen == "all" and copies < stage_count:
        depth = copies  # as much as makes sense
    if depth > copies:
        raise ConfigError("models.frozen_noise", frozen=depth, copied=copies)
    return depth, copies


def freeze(network: "Network", depth: int | Literal["all", "none"]) -> None:
    """Freeze the first ``depth`` stages, counted from the photo, and nothing else; may be called again with another.

    A frozen stage also stays in ``eval()`` whenever the network is put into training: otherwise its BatchNorm
    statistics would move and its dropout would act, although no weight of it is trained.
    """
    network.frozen_stages = resolve_depth(depth, len(network.stages))
    for place, stage in enumerate(network.stages):
        stage.requires_grad_(place >= network.frozen_stages)
    network.train(network.training)
