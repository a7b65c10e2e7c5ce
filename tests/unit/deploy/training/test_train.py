"""The settings of `broodmind.train`: by name, or those of a configuration that differ."""

from __future__ import annotations

import pytest

import broodmind
from broodmind.common.errors import ConfigError
from broodmind.deploy.config.tree import Config
from broodmind.deploy.training.train import given_of
from broodmind.learner.algorithms.vtrace_actor_critic.config import VTraceConfig
from broodmind.learner.config import Goal


def test_a_dict_has_settings_by_name_and_none_is_not_given():
    given = given_of({"max_steps": 1000, "hidden": (32, 32), "until_return": None, "game_args": {"size": 3}})
    assert given.values == {"max_steps": 1000, "hidden": (32, 32), "game_args": {"size": 3}}
    assert given_of(None).values == {}


def test_a_configuration_gives_what_differs_from_the_defaults():
    config = Config(seed=5, algo="vtrace", algorithm=VTraceConfig(gamma=0.9), goal=Goal(max_steps=1000))
    assert given_of(config).values == {"seed": 5, "algo": "vtrace", "gamma": 0.9, "max_steps": 1000}


@pytest.mark.parametrize(
    ("config", "line"),
    [
        ({"max_step": 5}, r"config: 'max_step', expected names of settings.*; did you mean max_steps\?"),
        ({"name": "x"}, "config: 'name', expected names of settings"),
        ({"max_steps": 0}, "max_steps: 0, expected a whole number of at least 1"),
        ({"algo": "dqn"}, "algo: 'dqn', expected one of auto, ppo"),
    ],
)
def test_a_wrong_setting_is_refused_before_anything_is_started(config, line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=line):
        broodmind.train("TinyZerg", config)
    assert not list(tmp_path.iterdir())
