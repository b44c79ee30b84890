"""What training makes small: L(θ) + λR(θ), a loss on the photos and a penalty on the weights.

L is a mean over photos of one of three losses between the network's probabilities p = softmax(logits) and the wanted
ones t (one for the right class; spread by label smoothing; mixed where two photos are):

- ``cross_entropy``  -Σ t log p
- ``mse``            the mean of (p - t)² over the classes; over all classes it is Brier's score (Brier 1950)
- ``focal``          -Σ t (1 - p)^γ log p (Lin et al. 2017, section 3.2)

R is a sum over the weights that learn, without biases and normalisation layers (whose values don't make a function
less smooth): ``l1`` Σ|θ|, ``l2`` ½Σθ², ``l2sp`` ½Σ(θ - θ⁰)², where θ⁰ is the pretrained value and 0 for what is new
(Li et al. 2018, equations 2 and 3, with one λ for both).
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.config import TrainConfig

# Largest share of all weights that a class may take: 1,000 photos against one would else silence the rest.
LARGEST_WEIGHT = 100.0


class Objective:
    """L(θ): ``wanted`` makes the t that training aims at, ``each`` the loss of each photo."""

    def __init__(self, config: TrainConfig, class_weights: Tensor | None = None) -> None:
        self.kind, self.gamma, self.smoothing = config.loss, config.focal_gamma, config.label_smoothing
        self.class_weights = class_weights

    def wanted(self, targets: Tensor, classes: int) -> Tensor:
        """(n,) int64 → (n, classes): (1 - ε) for the right class and ε / classes for each (Szegedy et al. 2016)."""
        return one_hot(targets, classes) * (1 - self.smoothing) + self.smoothing / classes

    def each(self, logits: Tensor, wanted: Tensor) -> Tensor:
        """(n, classes) logits and wanted probabilities → (n,) losses, unweighted."""
        if self.kind == "mse":
            return (logits.softmax(dim=1) - wanted).square().mean(dim=1)
        log_p = logits.log_softmax(dim=1)
        if self.kind == "focal":
            # At p = 1 the slope of (1 - p)^γ is infinite for γ below 1, and infinity times nothing is no number.
            doubt = (1 - log_p.exp()).clamp(min=torch.finfo(log_p.dtype).eps)
            return -(wanted * doubt.pow(self.gamma) * log_p).sum(dim=1)
        return -(wanted * log_p).sum(dim=1)

    def mean(self, logits: Tensor, wanted: Tensor) -> Tensor:
        """The loss of a batch; classes count by their weights, whose mean over all training photos is 1."""
        losses = self.each(logits, wanted)
        if self.class_weights is not None:
            losses = losses * (wanted @ self.class_weights)
        return losses.mean()

    def judge(self, logits: Tensor, targets: Tensor) -> Tensor:
        """(n,) losses against the bare truth: neither smoothed nor weighted, so that all curves show one quantity."""
        return self.each(logits, one_hot(targets, logits.shape[1]))


def one_hot(targets: Tensor, classes: int) -> Tensor:
    return F.one_hot(targets, classes).float()


def class_weights(targets: Tensor, classes: int) -> Tensor:
    """(classes,) weights photos / (classes · photos of the class): every class then counts the same in all.

    Source: King and Zeng 2001; as scikit-learn's ``balanced``.
    """
    counts = torch.bincount(targets, minlength=classes).float()
    return (len(targets) / (classes * counts.clamp(min=1))).clamp(max=LARGEST_WEIGHT)


class Penalty:
    """λR(θ) of the weights that learn. ``start`` holds θ⁰ by name; a name that is missing there starts from 0."""

    def __init__(
        self, config: TrainConfig, parameters: Sequence[tuple[str, nn.Parameter]], start: Mapping[str, Tensor]
    ) -> None:
        self.kind, self.strength = config.regularizer, config.regularization
        self.weights = [parameter for _, parameter in parameters if parameter.dim() > 1 and parameter.requires_grad]
        names = [name for name, parameter in parameters if parameter.dim() > 1 and parameter.requires_grad]
        # Copies: the weights move on, and a start must not move with them.
        self.start = [start[name].detach().clone() if name in start else None for name in names]
        self.acts = self.kind != "none" and self.strength > 0 and bool(self.weights)

    def __call__(self) -> Tensor:
        """A scalar, through which gradients flow."""
        total = torch.zeros((), device=self.weights[0].device)
        for weight, start in zip(self.weights, self.start, strict=True):
            if self.kind == "l1":
                total = total + weight.abs().sum()
            else:
                away = weight - start if self.kind == "l2sp" and start is not None else weight
                total = total + 0.5 * away.square().sum()
        return self.strength * total
