"""torch.optim without torch.compile, which Graft never uses: its compiler takes longer to load than a head to train.

torch.optim's methods load ``torch._dynamo`` at their first call, to tell it to keep out: 1.4 s by
``-X importtime``. Where a torch keeps those notes elsewhere, nothing is spared and nothing breaks.
"""

import inspect

import torch
from torch.optim import Optimizer

NOTED = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")


def spare_the_compiler() -> None:
    """Note beforehand, on each method that would load it, that it may be called as it is."""
    for name in NOTED:
        plain = getattr(getattr(Optimizer, name), "__wrapped__", None)
        if plain is not None and not hasattr(plain, "__dynamo_disable"):
            plain.__dynamo_disable = plain


def take_step(optimizer: Optimizer) -> None:
    """``optimizer.step()`` without what it is wrapped in for compiling, profiling and differentiating through it."""
    with torch.no_grad():
        inspect.unwrap(type(optimizer).step)(optimizer)
