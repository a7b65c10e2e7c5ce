"""The one list of algorithms: every entry leads to two classes that fit together."""

from __future__ import annotations

import subprocess
import sys

import pytest

from broodmind.common.actions import Discrete
from broodmind.common.spec import GameSpec, RunSpec
from broodmind.learner.algorithms import registry

SPEC = RunSpec(GameSpec("toy", (3,), Discrete(2)))


@pytest.mark.parametrize("name", registry.ALGORITHMS)
def test_each_entry_names_its_hyperparameters_and_its_algorithm(name):
    config = registry.config_class(name)()
    assert registry.name_of(config) == name
    assert isinstance(config.WHOLE_EPISODES, bool)
    assert config.n_epochs >= 1
    algorithm = registry.make_algorithm(config, SPEC)
    assert type(algorithm).__module__.endswith(f".{registry.ALGORITHMS[name].algorithm.partition(':')[0]}")
    assert isinstance(algorithm.state(), dict)


def test_auto_stands_for_a_registered_algorithm():
    assert registry.resolve("auto") == registry.AUTO
    assert registry.resolve("vtrace") == "vtrace"
    assert registry.preset("ppo", continuous=False) == registry.preset("ppo", continuous=True) == {}
    for continuous in (False, True):
        chosen = registry.preset("auto", continuous=continuous)
        assert chosen.keys() <= registry.config_class("ppo").__dataclass_fields__.keys()


def test_names_and_hyperparameters_are_known_without_numpy():
    code = (
        "import sys; from broodmind.learner.algorithms import registry\n"
        "[registry.config_class(name)() for name in registry.ALGORITHMS]; sys.exit('numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
