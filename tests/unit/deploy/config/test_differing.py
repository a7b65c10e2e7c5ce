"""The settings that differ from their defaults, as a run's record has them."""

from __future__ import annotations

from broodmind.deploy.config.differing import differing
from broodmind.deploy.config.given import of_values


def test_only_values_that_are_not_the_default_are_listed_in_types_of_json():
    given = of_values({"gamma": 0.9, "clip_range": 0.2, "hidden": "8,4", "lock_step": True}, "a file")
    assert differing(given, local=False) == {"gamma": 0.9, "hidden": [8, 4], "lock_step": True}


def test_defaults_are_those_of_the_algorithm():
    config = {"algo": "vtrace", "learning_rate": 0.0025}  # the default of PPO
    assert differing(of_values({"learning_rate": 0.0025}, ""), local=False) == {}
    assert differing(of_values(config, ""), local=False) == {"learning_rate": 0.0025}


def test_a_setting_whose_default_depends_on_the_game_is_listed_if_it_was_given():
    assert differing(of_values({"normalize_observations": False}, ""), local=False) == {"normalize_observations": False}


def test_what_a_run_is_and_where_it_is_and_its_secrets_are_not():
    given = of_values(
        {"run": "a", "game": "b", "seed": 3, "redis": "redis://u:p@h", "redis_password": "x", "out": "o"}, ""
    )
    assert differing(given.defaulting(checkpoint_every=1.0), local=True) == {}


def test_the_defaults_of_up_are_its_own():
    assert differing(of_values({"actors": 2}, ""), local=True) == {}
    assert differing(of_values({"actors": 2}, ""), local=False) == {"actors": 2}
