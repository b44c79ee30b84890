"""Mixed photos: what is in the picture is what the labels say, whatever the layout."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from core.training.mixing import Mixer, _cut
from tests.trained import PLAIN

PHOTOS = 6
WANTED = F.one_hot(torch.arange(PHOTOS), PHOTOS).float()  # every photo a class of its own: labels tell who is mixed


def numbered(*shape: int) -> torch.Tensor:
    """Photo i holds nothing but the number i + 1."""
    return torch.arange(1.0, PHOTOS + 1).view(-1, *(1 for _ in shape)).expand(PHOTOS, *shape).clone()


def mixed(x: torch.Tensor, epoch: int = 1, step: int = 0, **settings: float) -> tuple[torch.Tensor, torch.Tensor]:
    return Mixer(replace(PLAIN, **settings))(x, WANTED, epoch, step)


@pytest.mark.parametrize("shape", [(5,), (4, 3), (3, 8, 8)], ids=["features", "tokens", "maps"])
def test_mixup_blends_photos_in_the_shares_that_the_labels_say(shape):
    for step in range(5):
        x, wanted = mixed(numbered(*shape), step=step, mixup=0.8)
        expected = wanted @ torch.arange(1.0, PHOTOS + 1)
        torch.testing.assert_close(x, expected.view(-1, *(1 for _ in shape)).expand_as(x))
        torch.testing.assert_close(wanted.sum(dim=1), torch.ones(PHOTOS))
        shares = wanted.diagonal()
        alone = shares == 1  # a photo mixed with itself
        assert len(shares[~alone].unique()) == 1  # one share for the batch
        assert float(shares[~alone][0]) not in (0.0, 1.0)


@pytest.mark.parametrize("swin", [False, True], ids=["channels first", "Swin's layout"])
def test_cutmix_labels_are_shares_of_the_area_and_the_patch_is_one_rectangle(swin):
    cut = 0
    for step in range(20):
        x, wanted = mixed(numbered(9, 9, 4) if swin else numbered(4, 9, 9), step=step, cutmix=1.0)
        maps = x.permute(0, 3, 1, 2) if swin else x
        for place in range(PHOTOS):
            assert torch.equal(maps[place], maps[place, :1].expand_as(maps[place]))  # all channels cut alike
            for other in range(PHOTOS):
                share = float((maps[place, 0] == other + 1).float().mean())
                assert float(wanted[place, other]) == pytest.approx(share, abs=1e-6)
            ys, xs = torch.nonzero(maps[place, 0] != place + 1, as_tuple=True)
            if len(ys):
                cut += 1
                assert len(ys) == (ys.max() - ys.min() + 1) * (xs.max() - xs.min() + 1)
    assert cut > 50


def test_a_patch_by_hand():
    """Share 3/4 leaves a patch of half the side: 4 × 4 in the middle of 8 × 8, cut off where it sticks out."""

    class Drawn:
        def __init__(self, *places: int) -> None:
            self.places = iter(places)

        def integers(self, _: int) -> int:
            return next(self.places)

    x, other = numbered(1, 8, 8), torch.tensor([1, 0, 2, 3, 4, 5])
    maps, share = _cut(x, other, 0.75, Drawn(4, 4))
    expected = torch.ones(8, 8)
    expected[2:6, 2:6] = 2
    assert torch.equal(maps[0, 0], expected)
    assert share == pytest.approx(1 - 16 / 64)
    maps, share = _cut(x, other, 0.75, Drawn(0, 7))
    expected = torch.ones(8, 8)
    expected[0:2, 5:8] = 2
    assert torch.equal(maps[0, 0], expected)
    assert share == pytest.approx(1 - 6 / 64)


def test_cutmix_blends_what_has_no_patches():
    for shape in ((5,), (4, 3)):
        x, wanted = mixed(numbered(*shape), cutmix=1.0)
        torch.testing.assert_close(x.flatten(1)[:, 0], wanted @ torch.arange(1.0, PHOTOS + 1))


def test_with_both_a_batch_gets_one_of_the_two_about_equally_often():
    # CutMix keeps whole numbers; a blend makes new ones.
    blends = sum(
        not torch.equal(x, x.round())
        for x in (mixed(numbered(1, 16, 16), step=step, mixup=1.0, cutmix=1.0)[0] for step in range(200))
    )
    assert 70 < blends < 130


def test_the_draw_depends_on_seed_epoch_and_step_alone():
    first = mixed(numbered(3, 8, 8), epoch=2, step=5, mixup=1.0)[0]
    torch.rand(3)
    assert torch.equal(mixed(numbered(3, 8, 8), epoch=2, step=5, mixup=1.0)[0], first)
    for changed in ({"epoch": 3, "step": 5}, {"epoch": 2, "step": 6}, {"epoch": 2, "step": 5, "seed": 1}):
        assert not torch.equal(mixed(numbered(3, 8, 8), **changed, mixup=1.0)[0], first)


def test_the_photos_that_were_given_stay_as_they_are():
    x = numbered(3, 8, 8)
    mixed(x, mixup=1.0)
    mixed(x, cutmix=1.0)
    assert torch.equal(x, numbered(3, 8, 8))


def test_nothing_is_mixed_unless_asked_for():
    assert not Mixer(PLAIN).acts
    assert Mixer(replace(PLAIN, cutmix=0.1)).acts
