"""TinyZerg as Gymnasium environments, for libraries and notebooks that use that interface.

Importing this module registers the environment. Gymnasium imports it if the id starts with the module's name:

    gymnasium.make("broodmind.actors.games.tinyzerg_gymnasium:broodmind/TinyZerg-v0")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from .tinyzerg import FEATURE_LIMIT, TinyZerg

if TYPE_CHECKING:
    from numpy.typing import NDArray

ENV_ID = "broodmind/TinyZerg-v0"
_METADATA: dict[str, Any] = {"render_modes": []}
_VECTOR_METADATA: dict[str, Any] = {"render_modes": [], "autoreset_mode": AutoresetMode.NEXT_STEP}


def observation_space() -> spaces.Box:
    """The features of one game [15], scaled."""
    return spaces.Box(0.0, FEATURE_LIMIT, TinyZerg.spec.observation_shape, np.float32)


def action_space() -> spaces.Discrete:
    """The macro actions, `broodmind.actors.games.tinyzerg.Macro`."""
    return spaces.Discrete(TinyZerg.spec.actions.outputs)


class TinyZergEnv(gymnasium.Env[np.ndarray, np.int64]):
    """One game. When it ends, `info["is_success"]` is True if it was won."""

    metadata = _METADATA

    def __init__(self) -> None:
        self.observation_space = observation_space()
        self.action_space = action_space()
        self.game = TinyZerg(num_envs=1)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start a new game. Without a seed, its seed is drawn from the environment's generator."""
        super().reset(seed=seed, options=options)
        return self.game.reset(_game_seed(self.np_random)).observations[0], {}

    def step(self, action: np.int64) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Advance the game by one action."""
        step = self.game.step(np.array([action]))
        assert step.wins is not None, "TinyZerg reports wins"
        terminated, truncated = bool(step.terminated[0]), bool(step.truncated[0])
        info = {"is_success": bool(step.wins[0])} if terminated or truncated else {}
        return step.observations[0], float(step.rewards[0]), terminated, truncated, info


class TinyZergVectorEnv(gymnasium.vector.VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """`num_envs` games. Where a game has ended, `info["_is_success"]` is True and `info["is_success"]` tells a win."""

    metadata = _VECTOR_METADATA

    def __init__(self, num_envs: int = 1) -> None:
        self.num_envs = num_envs
        self.single_observation_space = observation_space()
        self.single_action_space = action_space()
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._game = TinyZerg(num_envs)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        """Start all games again."""
        super().reset(seed=seed, options=options)
        return self._game.reset(_game_seed(self.np_random)).observations, {}

    def step(
        self, actions: np.ndarray
    ) -> tuple[NDArray[Any], NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Advance every game by one action. A game that has ended starts again in the next step."""
        step = self._game.step(actions)
        ended = step.terminated | step.truncated
        info = {"is_success": step.wins, "_is_success": ended} if ended.any() else {}
        return step.observations, step.rewards, step.terminated, step.truncated, info


def _game_seed(rng: np.random.Generator) -> int:
    """Draw a seed: TinyZerg takes all its randomness from one integer."""
    return int(rng.integers(2**63))


gymnasium.register(
    id=ENV_ID,
    entry_point=f"{__name__}:{TinyZergEnv.__name__}",
    vector_entry_point=f"{__name__}:{TinyZergVectorEnv.__name__}",
)
