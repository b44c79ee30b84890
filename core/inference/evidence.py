"""How much each place of a photo spoke for a class, for networks of maps and for networks of tokens.

Maps: HiResCAM at the last ones with rows and columns: activation times gradient. Where all that follows is linear, what
a class scored is the sum of it over the places (and what no place can claim). Where nothing but the mean of the maps
follows, this is the Grad-CAM of Selvaraju et al. 2017 but for a factor; where large layers follow (AlexNet, VGG),
Grad-CAM's averaged gradient credits places that had no say. Source: Draelos and Carin 2020, "Use HiResCAM instead of
Grad-CAM".

Tokens: attention times gradient, block by block. Source: Chefer, Gur and Wolf 2021, "Generic Attention-model
Explainability", for self-attention. The last block alone would cost less; but a small ViT that was taught the colour of
a patch had its strongest place at the patch in 12 of 200 photos by the last block, which is chance, and in 169 by all
(benchmarks/attention.py).
"""

from math import isqrt
from typing import Any, cast

import torch
from torch import Tensor, nn

from core.models.build import Network
from core.models.stages import FirstToken

MOST_ATTENTION_BYTES = 500_000_000  # one block of ViT-H/14 at 518 pixels has 120 MB, all of ViT-B/16 at 224 have 22


class Evidence:
    """What a network makes of one photo, kept so that any class can be asked about. ``photo``: (1, 3, h, w)."""

    def __init__(self, network: Network, photo: Tensor) -> None:
        layers = [layer for stage in network.stages for layer in cast(nn.Sequential, stage)]
        self._by_token = isinstance(layers[-1], FirstToken)
        self._places, self.features = (_attended if self._by_token else _mapped)(layers, photo)
        self.logits = cast(Tensor, network.head(self.features))[0]

    def of(self, target: int) -> Tensor:
        """(rows, columns) of how much each place adds to this class's lead over the mean of all classes.

        The lead, because the same number added to every class's score changes no answer, and must change no map.
        Below 0 a place speaks against the class; tokens tell only what speaks for it.
        """
        lead = self.logits[target] - self.logits.mean()
        gradients = torch.autograd.grad(lead, self._places, retain_graph=True)
        spoken = [(place * gradient).detach()[0] for place, gradient in zip(self._places, gradients, strict=True)]
        return _rolled_out(spoken) if self._by_token else spoken[0].sum(0)


def _mapped(layers: list[nn.Module], x: Tensor) -> tuple[list[Tensor], Tensor]:
    """The last maps that have rows and columns, (1, channels, rows, columns), and the features made of them.

    Only what follows them is computed with gradients, so that a photo costs little more than a forward pass.
    """
    cut, maps = 0, x
    with torch.no_grad():
        for place, layer in enumerate(layers, 1):
            x = layer(x.clone())  # a copy: some activations overwrite what they are given
            if x.dim() == 4 and x.shape[2:].numel() > 1:
                cut, maps = place, x
    maps = maps.detach().requires_grad_()
    return [maps], nn.Sequential(*layers[cut:])(maps.clone())


def _attended(layers: list[nn.Module], x: Tensor) -> tuple[list[Tensor], Tensor]:
    """Each block's attention, (1, heads, tokens, tokens), the first block first, and the features.

    Of a photo with very many tokens, only as many of the last blocks as memory allows.
    """
    tokens, *blocks, norm, first = layers
    attentions: list[Tensor] = []
    with torch.no_grad():
        x = tokens(x)
        of_one = int(cast(Any, blocks[0]).self_attention.num_heads) * x.shape[1] ** 2 * x.element_size()
        start = len(blocks) - max(1, MOST_ATTENTION_BYTES // of_one)
        for block in blocks[: max(0, start)]:
            x = block(x)
    for block in cast("list[Any]", blocks[max(0, start) :]):  # torchvision's EncoderBlock
        weights, values = _attention(block.self_attention, block.ln_1(x))
        attentions.append(weights.requires_grad_())
        x = x + block.self_attention.out_proj((weights @ values).transpose(1, 2).flatten(2))
        x = x + block.mlp(block.ln_2(x))
    return attentions, first(norm(x))


def _attention(layer: nn.MultiheadAttention, x: Tensor) -> tuple[Tensor, Tensor]:
    """How much each token attends to each, (n, heads, tokens, tokens), and their values, (n, heads, tokens, width).

    Source: Vaswani et al. 2017, section 3.2.
    """
    together = nn.functional.linear(x, cast(Tensor, layer.in_proj_weight), layer.in_proj_bias)
    queries, keys, values = together.unflatten(-1, (3, layer.num_heads, -1)).permute(2, 0, 3, 1, 4)
    return (queries @ keys.transpose(-2, -1) / layer.head_dim**0.5).softmax(dim=-1), values


def _rolled_out(spoken: list[Tensor]) -> Tensor:
    """What reached the class token from each patch, whichever way through the blocks; (heads, tokens, tokens) each."""
    reached = nn.functional.one_hot(torch.zeros((), dtype=torch.long), spoken[0].shape[-1]).to(spoken[0])
    for block in reversed(spoken):
        reached = reached + reached @ block.clamp(min=0).mean(0)
    patches = reached[1:]  # the class token is no place
    return patches.unflatten(0, (isqrt(len(patches)), -1))
