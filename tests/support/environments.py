"""Environments of Gymnasium, for tests that are about something else than the game."""

from __future__ import annotations

import gymnasium
import numpy as np
from gymnasium import spaces


class Plain(gymnasium.Env):
    """Shows zeros, pays nothing, and never ends."""

    observation_space, action_space = spaces.Box(-1, 1, (2,), np.float32), spaces.Discrete(3)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed, options=options)
        return np.zeros(2, np.float32), {}

    def step(self, action):  # noqa: ARG002 - nothing follows from it
        return np.zeros(2, np.float32), 0.0, False, False, {}
