"""The objective L(θ) + λR(θ) of a run as a line of mathematics. Pure: settings in, LaTeX out."""

from core.config import TrainConfig

# Written as core.training.objective computes them: pᵢₖ are probabilities, tᵢₖ what training aims at.
LOSSES = {
    "cross_entropy": r"-\frac1n \sum_{i=1}^{n} %s\sum_{k=1}^{%d} t_{ik}\,\log p_{ik}",
    "mse": r"\frac1n \sum_{i=1}^{n} %s\frac1{%d} \sum_{k} \left(p_{ik}-t_{ik}\right)^2",
    "focal": r"-\frac1n \sum_{i=1}^{n} %s\sum_{k=1}^{%d} t_{ik}\,(1-p_{ik})^{%s}\log p_{ik}",
}
PENALTIES = {
    "l1": r"\lVert\theta\rVert_1",
    "l2": r"\tfrac12\,\lVert\theta\rVert_2^2",
    "l2sp": r"\tfrac12\,\lVert\theta-\theta^0\rVert_2^2",
}


def formula(config: TrainConfig, classes: int) -> str:
    """What training makes small, then what its parts are, one a line."""
    aim = r"L(\theta)"
    lines = [rf"L(\theta) &= {_loss(config, classes)}", rf"t_{{ik}} &= {_wanted(config, classes)}"]
    if config.regularizer != "none":
        aim += rf" + \lambda R(\theta),\quad \lambda = {number(config.regularization)}"
        lines.append(rf"R(\theta) &= {PENALTIES[config.regularizer]}")
    return r"\begin{aligned} \min_\theta\ & " + aim + r" \\ " + r" \\ ".join(lines) + r" \end{aligned}"


def _loss(config: TrainConfig, classes: int) -> str:
    weight = r"w_{y_i} " if config.class_balance == "weights" else ""
    if config.loss == "focal":
        return LOSSES["focal"] % (weight, classes, number(config.focal_gamma))
    return LOSSES[config.loss] % (weight, classes)


def _wanted(config: TrainConfig, classes: int) -> str:
    share = config.label_smoothing
    if not share:
        return r"[\,k = y_i\,]"
    return rf"{number(1 - share)}\,[\,k = y_i\,] + \tfrac{{{number(share)}}}{{{classes}}}"


def number(value: float) -> str:
    """``0.001``, but ``2.5 \\cdot 10^{-5}`` where zeros would have to be counted."""
    text = f"{value:.6g}"
    if "e" not in text:
        return text
    digits, power = text.split("e")
    return rf"10^{{{int(power)}}}" if digits == "1" else rf"{digits} \cdot 10^{{{int(power)}}}"
