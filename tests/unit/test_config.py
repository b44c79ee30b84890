"""Settings: refused when they make no sense, read back as they were written."""

import json

import pytest

from core.config import FORMAT, TrainConfig, read_freeze_depth
from core.errors import ConfigError


def test_settings_come_back_from_json_as_they_were():
    config = TrainConfig(freeze_depth=3, epochs=7, learning_rate=5e-5)
    assert TrainConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"freeze_depth": -1}, "-1"),
        ({"freeze_depth": "some"}, "some"),
        ({"freeze_depth": True}, "True"),
        ({"epochs": -3}, "epochs"),
        ({"batch_size": 0}, "batch_size"),
        ({"learning_rate": 1e9}, "learning_rate"),
        ({"optimizer": "magic"}, "magic"),
        ({"preset": "quick"}, "quick"),
        ({"dropout": "0.5"}, "dropout"),
        ({"copied_stages": "most"}, "copied_stages"),
        ({"head_first": 1}, "head_first"),
        ({"loss": "hinge"}, "hinge"),
        ({"regularizer": "l3"}, "l3"),
    ],
)
def test_an_impossible_setting_is_refused_by_name_with_the_next_step(settings, named):
    with pytest.raises(ConfigError) as error:
        TrainConfig(**settings)
    assert named in error.value.message
    assert error.value.hint


def test_typed_settings_get_their_fields_types():
    config = TrainConfig().with_settings(
        {"epochs": "12", "learning_rate": "3e-4", "optimizer": "sgd", "freeze_depth": "2"}
    )
    assert (config.epochs, config.learning_rate, config.optimizer, config.freeze_depth) == (12, 3e-4, "sgd", 2)


def test_switches_and_stage_counts_are_read_as_typed():
    config = TrainConfig().with_settings({"head_first": "off", "copied_stages": "3", "center_features": "True"})
    assert (config.head_first, config.copied_stages, config.center_features) == (False, 3, True)
    with pytest.raises(ConfigError, match="maybe"):
        TrainConfig().with_settings({"head_first": "maybe"})


def test_what_format_1_called_sgd_had_momentum():
    assert TrainConfig.from_json({"format": 1, "optimizer": "sgd"}).optimizer == "momentum"
    assert TrainConfig.from_json({"format": 2, "optimizer": "sgd"}).optimizer == "sgd"


def test_a_typed_setting_that_is_no_number_or_no_setting_is_named():
    with pytest.raises(ConfigError, match="twelve"):
        TrainConfig().with_settings({"epochs": "twelve"})
    with pytest.raises(ConfigError, match="epoch_count"):
        TrainConfig().with_settings({"epoch_count": "12"})
    with pytest.raises(ConfigError, match="half"):
        read_freeze_depth("half")


def test_settings_of_a_newer_format_or_with_an_unknown_field_are_refused():
    with pytest.raises(ConfigError, match="newer Graft"):
        TrainConfig.from_json({"format": FORMAT + 1})
    with pytest.raises(ConfigError, match="flavour"):
        TrainConfig.from_json({"format": FORMAT, "flavour": "mint"})
