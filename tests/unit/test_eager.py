"""What a run must not wait for: torch's compiler, its algebra system, and torchvision."""

import subprocess
import sys

import pytest
import torch

from core.training.eager import spare_the_compiler, take_step
from tests.photos import make_folder

SCRIPT = """
import sys
from core.__main__ import main
assert main(["train", sys.argv[1], "--out", sys.argv[2], "--freeze-depth", "7", "--set", "epochs=1",
             "--set", "head_epochs=2", "--set", "mixup=0.2", "--set", "device=cpu"]) == 0
print(*sorted({"torch._dynamo", "torch._inductor", "sympy", "torchvision"} & set(sys.modules)), file=sys.stderr)
"""


@pytest.mark.slow
def test_a_whole_run_loads_neither_compiler_nor_algebra_nor_torchvision(tmp_path):
    folder = make_folder(tmp_path / "photos", per_class=6)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder), str(tmp_path / "run")], capture_output=True, text=True, check=True
    )
    assert done.stderr.splitlines()[-1].strip() in ("", "Done.")


@pytest.mark.slow
def test_torchvision_comes_without_the_compiler_and_the_compiler_can_still_come_later():
    script = """
import sys
from core.models.architecture import empty
empty("resnet18")
assert "torchvision" in sys.modules and "torch._dynamo" not in sys.modules
import torch, torchvision.ops
double = torch.compile(lambda x: 2 * x, backend="eager")
assert torch.equal(double(torch.ones(2)), torch.full((2,), 2.0))
boxes = torch.tensor([[0, 0.0, 0.0, 2.0, 2.0]])
assert torchvision.ops.roi_align(torch.ones(1, 1, 4, 4), boxes, 1).shape == (1, 1, 1, 1)
"""
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize("kind", ["AdamW", "Adam", "SGD"])
def test_a_plain_step_is_the_optimisers_own_step(kind):
    spare_the_compiler()
    ours, theirs = (torch.nn.Parameter(torch.arange(6.0).view(2, 3) - 2) for _ in range(2))
    options = {"lr": 0.1, "weight_decay": 0.01} | ({"momentum": 0.9} if kind == "SGD" else {})
    first, second = (getattr(torch.optim, kind)([parameter], **options) for parameter in (ours, theirs))
    for turn in range(4):
        ours.grad = theirs.grad = torch.sin(torch.arange(6.0) + turn).view(2, 3)
        take_step(first)
        second.step()
    assert torch.equal(ours, theirs)
    assert not torch.equal(ours.detach(), torch.arange(6.0).view(2, 3) - 2)
