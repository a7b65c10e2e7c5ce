"""What the learner must know of the StarCraft II game. It needs neither StarCraft II nor numpy for that."""

from __future__ import annotations

from ...common.actions import Discrete
from ...common.spec import GameSpec

NAME = "starcraft2"  # as the commands' --game

# The original bot's 15 features and five macro actions, which TinyZerg has too.
SPEC = GameSpec("StarCraft2Zerg", (15,), Discrete(5), wins=True)
