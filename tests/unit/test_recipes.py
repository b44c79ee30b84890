"""Presets: pure, sensible at the edges, explained."""

import pytest

from core.recipes import PRESETS, Facts, recipe


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("facts", [Facts(2, 2, 5, False), Facts(500, 5, 9, False), Facts(90_000, 300, 12, True)])
def test_every_preset_gives_valid_settings_with_reasons(preset, facts):
    made = recipe(preset, facts, backbone="resnet18", seed=4)
    assert (made.config.backbone, made.config.seed, made.config.preset) == ("resnet18", 4, preset)
    assert made.reasons
    assert all(reason.text for reason in made.reasons)
    if made.config.freeze_depth == "all":
        assert made.config.epochs == 0
    else:
        assert made.config.freeze_depth == "none" or 0 < made.config.freeze_depth < facts.stages
        assert made.config.epochs > 0


def test_fast_trains_the_head_alone():
    config = recipe("fast", Facts(500, 5, 9, False)).config
    assert (config.freeze_depth, config.epochs) == ("all", 0)


def test_few_photos_leave_all_stages_frozen_and_with_many_best_goes_deeper_than_balanced():
    few, many = Facts(40, 5, 9, False), Facts(900, 5, 9, False)
    assert [recipe(preset, few).config.freeze_depth for preset in PRESETS] == ["all", "all", "all"]
    assert recipe("best", many).config.freeze_depth < recipe("balanced", many).config.freeze_depth < 9
    assert recipe("best", Facts(900, 5, 9, True)).config.freeze_depth == "none"


def test_more_effort_shows_each_photo_in_more_versions():
    for facts in (Facts(40, 5, 9, False), Facts(900, 5, 9, False), Facts(9000, 5, 9, False)):
        views = [recipe(preset, facts).config.views for preset in PRESETS]
        assert views == sorted(set(views))


def test_the_same_facts_give_the_same_settings():
    assert recipe("best", Facts(300, 3, 7, True)) == recipe("best", Facts(300, 3, 7, True))
