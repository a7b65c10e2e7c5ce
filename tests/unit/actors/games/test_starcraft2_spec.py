"""The spec of the StarCraft II game, which a learner reads without burnysc2."""

from __future__ import annotations

import subprocess
import sys

import pytest

from broodmind.actors.games.registry import describe_game, make_game
from broodmind.common.actions import Discrete
from broodmind.common.errors import ConfigError


def test_the_spec_is_read_without_starcraft2_installed():
    """In an interpreter of its own, where burnysc2 cannot be imported."""
    code = """
import sys
sys.modules["sc2"] = None
from broodmind.actors.games.registry import describe_game
spec = describe_game("starcraft2")
print(spec.name, spec.observation_shape, spec.wins)
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "StarCraft2Zerg (15,) True"
    assert describe_game("starcraft2").actions == Discrete(5)


def test_the_starcraft2_game_cannot_be_made_as_a_vector_game():
    with pytest.raises(ConfigError, match=r"game: 'starcraft2', expected a game that can be stepped\. This one owns"):
        make_game("starcraft2", 4)
