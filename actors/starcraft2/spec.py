"""What the learner must know of the game. It neither has StarCraft II nor makes a game of it."""

from __future__ import annotations

from ...common.actions import Discrete
from ...common.spec import GameSpec
from ..tinyzerg import FEATURE_SCALES, Macro

SPEC = GameSpec("StarCraft2Zerg", FEATURE_SCALES.shape, Discrete(len(Macro)), wins=True)
