"""The name and the spec of the StarCraft II game. The learner reads them without StarCraft II installed."""

from __future__ import annotations

from ...common.actions import Discrete
from ...common.spec import GameSpec

NAME = "starcraft2"  # for the option --game

# The original bot's 15 features and five macro actions, the same as TinyZerg's.
SPEC = GameSpec("StarCraft2Zerg", (15,), Discrete(5), wins=True)
