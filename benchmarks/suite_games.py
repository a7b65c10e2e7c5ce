"""The games of `suite.py`, by number: no default can know them by their name.

`random_games.py` makes games that nobody has seen; these are the ones that everybody reports.
"""

from __future__ import annotations

import functools
import importlib
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from broodmind.actors.games.connect_four import ConnectFour
from broodmind.actors.games.tinyzerg import TinyZerg


class OneHotGrid(gymnasium.ObservationWrapper):
    """MiniGrid's view of 7x7 cells: kind, colour and state of each as one-hot bits."""

    def __init__(self, env: gymnasium.Env) -> None:
        super().__init__(env)
        constants = importlib.import_module("minigrid.core.constants")
        self._counts = (len(constants.OBJECT_TO_IDX), len(constants.COLOR_TO_IDX), len(constants.STATE_TO_IDX))
        self.observation_space = spaces.MultiBinary(7 * 7 * sum(self._counts))

    def observation(self, observation: dict[str, Any]) -> np.ndarray:
        """Bits of the view; the direction and the mission, which is the same in each game, are left out."""
        image = observation["image"]
        parts = [np.eye(count, dtype=np.int8)[image[..., at]] for at, count in enumerate(self._counts)]
        return np.concatenate(parts, axis=-1).ravel()


class Planes(gymnasium.Wrapper):
    """MinAtar's planes of 10x10 bits in a row."""

    def __init__(self, env: gymnasium.Env) -> None:
        super().__init__(env)
        self.observation_space = spaces.MultiBinary(int(np.prod(env.observation_space.shape)))

    def reset(self, **given: Any) -> tuple[np.ndarray, dict[str, Any]]:  # noqa: ANN401 - Gymnasium's own arguments
        """See `gymnasium.Env.reset`."""
        observation, info = self.env.reset(**given)
        return observation.astype(np.int8).ravel(), info

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:  # noqa: ANN401
        """See `gymnasium.Env.step`."""
        observation, *rest = self.env.step(int(action))
        return observation.astype(np.int8).ravel(), *rest


class Rounds(gymnasium.Env):
    """Twenty questions, each of which has one answer that pays 1."""

    length = 20

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """See `gymnasium.Env.reset`."""
        super().reset(seed=seed, options=options)
        self._asked = 0
        return self.ask()

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:  # noqa: ANN401
        """See `gymnasium.Env.step`."""
        reward = self.pay(action)
        self._asked += 1
        observation, info = self.ask()
        return observation, reward, self._asked == self.length, False, info

    def ask(self) -> tuple[Any, dict[str, Any]]:
        """The next question."""
        raise NotImplementedError

    def pay(self, action: Any) -> float:  # noqa: ANN401
        """The reward of an answer."""
        raise NotImplementedError


class Copy(Rounds):
    """Say the two numbers that are shown; half of the reward for each."""

    observation_space = action_space = spaces.MultiDiscrete([5, 4])

    def ask(self) -> tuple[Any, dict[str, Any]]:
        """Two numbers."""
        self._shown = self.np_random.integers(self.action_space.nvec)
        return self._shown, {}

    def pay(self, action: Any) -> float:  # noqa: ANN401
        """The share that is right."""
        return float(np.mean(action == self._shown))


class Allowed(Rounds):
    """Take the greatest of ten numbers of which a mask allows three. The mask is not part of the observation."""

    observation_space, action_space = spaces.Box(-1, 1, (10,), np.float32), spaces.Discrete(10)

    def ask(self) -> tuple[Any, dict[str, Any]]:
        """Ten numbers, and which of them are allowed."""
        self._shown = self.np_random.uniform(-1, 1, 10).astype(np.float32)
        self._mask = np.zeros(10, np.int8)
        self._mask[self.np_random.choice(10, 3, replace=False)] = 1
        return self._shown, {"action_mask": self._mask}

    def pay(self, action: Any) -> float:  # noqa: ANN401
        """1 for the greatest that is allowed. Masks are kept to by the run, so anything else is an error of it."""
        if not self._mask[action]:
            raise ValueError(f"action {action}, expected one of {np.flatnonzero(self._mask)}")
        return float(self._shown[action] == self._shown[self._mask == 1].max())


def _minigrid(name: str) -> gymnasium.Env:
    importlib.import_module("minigrid")  # registers its games
    return OneHotGrid(gymnasium.make(name))


@functools.cache
def _register_minatar() -> None:
    importlib.import_module("minatar.gym").register_envs()


def _minatar(name: str) -> gymnasium.Env:
    _register_minatar()
    return Planes(gymnasium.make(f"MinAtar/{name}-v1"))


game_01 = functools.partial(gymnasium.make, "CartPole-v1")
game_02 = functools.partial(gymnasium.make, "Acrobot-v1")
game_03 = functools.partial(gymnasium.make, "Pendulum-v1")
game_04 = functools.partial(gymnasium.make, "MountainCarContinuous-v0")
game_05 = functools.partial(gymnasium.make, "LunarLander-v3")
game_06 = functools.partial(gymnasium.make, "LunarLander-v3", continuous=True)
game_07 = functools.partial(gymnasium.make, "BipedalWalker-v3")
game_08 = functools.partial(gymnasium.make, "HalfCheetah-v5")
game_09 = functools.partial(gymnasium.make, "Hopper-v5")
game_10 = functools.partial(gymnasium.make, "Walker2d-v5")
game_11 = functools.partial(gymnasium.make, "Taxi-v4")
game_12 = functools.partial(gymnasium.make, "FrozenLake-v1", is_slippery=True)
game_13 = functools.partial(gymnasium.make, "FrozenLake-v1", is_slippery=False)
game_14 = functools.partial(_minigrid, "MiniGrid-Empty-8x8-v0")
game_15 = functools.partial(_minigrid, "MiniGrid-DoorKey-5x5-v0")
game_16 = Copy
game_17 = Allowed
game_18 = TinyZerg  # these two make all copies at once
game_19 = ConnectFour
game_20 = functools.partial(gymnasium.make, "CliffWalking-v1", max_episode_steps=500)
game_21 = functools.partial(_minatar, "Asterix")
game_22 = functools.partial(_minatar, "Breakout")
game_23 = functools.partial(_minatar, "Freeway")
game_24 = functools.partial(_minatar, "Seaquest")
game_25 = functools.partial(_minatar, "SpaceInvaders")
game_26 = functools.partial(gymnasium.make, "Blackjack-v1")
