"""Gymnasium environments as games: vectorised by their own vector entry point where they have one."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv

from ...common.actions import Box, Discrete, MultiDiscrete
from ...common.errors import ConfigError
from ...common.spec import GameSpec
from .vector_game import Step, VectorGame

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ...common.actions import ActionSpace
    from ...common.policy.distributions import ActionArray
    from .two_player_game import TwoPlayerGame


def from_id(name: str, num_envs: int) -> VectorGame:
    """The environment registered under an id."""
    try:
        _register_namespace(name)
        return GymnasiumGame(name, gymnasium.make_vec(name, num_envs=num_envs))
    except (gymnasium.error.Error, ModuleNotFoundError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"game: {name!r}, expected TinyZerg, a Gymnasium id or module:factory ({reason})") from error


def _register_namespace(name: str) -> None:
    """Gymnasium finds no packages by itself any more; those with a namespace of their own are told to register."""
    namespace = name.partition("/")[0]
    if namespace == "MinAtar" and not any(known.startswith("MinAtar/") for known in gymnasium.registry):
        import minatar.gym

        minatar.gym.register_envs()
    elif namespace == "broodmind":
        from . import tinyzerg_gymnasium  # noqa: F401 - importing it registers


def from_factory(name: str, factory: Callable[..., Any], num_envs: int) -> VectorGame | TwoPlayerGame:
    """Whatever a user's factory returns, as a game of `num_envs` copies."""
    if "num_envs" in inspect.signature(factory).parameters:
        made = factory(num_envs=num_envs)
        return GymnasiumGame(name, made) if isinstance(made, VectorEnv) else made
    try:
        return GymnasiumGame(name, SyncVectorEnv([factory] * num_envs))
    except AttributeError as error:
        raise ConfigError(f"game: {name!r}, expected a factory that returns a gymnasium.Env ({error})") from error


class GymnasiumGame:
    """A gymnasium.vector.VectorEnv as a VectorGame.

    Observations: a Box is taken as float32, a Discrete one as one-hot. Actions: Discrete, flat MultiDiscrete, or a
    bounded Box. An `action_mask` in the infos is followed, as in Gymnasium's Taxi.
    """

    def __init__(self, name: str, env: VectorEnv[Any, Any, Any]) -> None:
        mode = env.metadata.get("autoreset_mode")
        if mode not in {AutoresetMode.NEXT_STEP, AutoresetMode.NEXT_STEP.value}:
            raise ConfigError(f"autoreset mode of {name}: {mode}, expected {AutoresetMode.NEXT_STEP}")
        self._env = env
        self.num_envs = env.num_envs
        observed, acted = env.single_observation_space, env.single_action_space
        self._one_hot: NDArray[np.float32] | None = None
        if isinstance(observed, spaces.Discrete):
            self._one_hot = np.eye(int(observed.n), dtype=np.float32)
            self._first_observation = int(observed.start)
            shape: tuple[int, ...] = (int(observed.n),)
        elif isinstance(observed, spaces.Box):
            shape = observed.shape or (1,)
        else:
            raise ConfigError(f"observation space of {name}: {observed}, expected Box or Discrete")
        self._acted = acted
        _, infos = env.reset(seed=0)
        self.spec = GameSpec(name, shape, _actions_of(name, acted), masked="action_mask" in infos)

    def reset(self, seed: int) -> Step:
        """See VectorGame."""
        observations, infos = self._env.reset(seed=seed)
        nothing = np.zeros(self.num_envs, np.bool_)
        rewards = np.zeros(self.num_envs, np.float32)
        return Step(self._observed(observations), rewards, nothing, nothing, self._masks(infos))

    def step(self, actions: NDArray[np.generic]) -> Step:
        """See VectorGame."""
        moves = _moves(self._acted, actions)
        observations, rewards, terminated, truncated, infos = self._env.step(moves)
        return Step(
            self._observed(observations),
            np.asarray(rewards, np.float32),
            terminated,
            truncated & ~terminated,
            self._masks(infos),
        )

    def close(self) -> None:
        """See VectorGame."""
        self._env.close()

    def _observed(self, raw: NDArray[np.generic]) -> NDArray[np.float32]:
        if self._one_hot is not None:
            return self._one_hot[raw - self._first_observation]
        return np.asarray(raw, np.float32).reshape(self.num_envs, *self.spec.observation_shape)

    def _masks(self, infos: dict[str, Any]) -> NDArray[np.bool_] | None:
        if not self.spec.masked:
            return None
        masks = np.asarray(infos.get("action_mask"), np.bool_)
        # At a game's end some environments allow nothing or say nothing; that step's action is ignored anyway.
        choices = np.split(masks, np.cumsum(self.spec.actions.sizes)[:-1], axis=1)
        return np.concatenate([each | ~each.any(axis=1, keepdims=True) for each in choices], axis=1)


def _actions_of(name: str, space: spaces.Space[Any]) -> ActionSpace:
    match space:
        case spaces.Discrete():
            return Discrete(int(space.n))
        case spaces.MultiDiscrete() if space.nvec.ndim == 1:
            return MultiDiscrete(tuple(int(n) for n in space.nvec))
        case spaces.Box() if space.is_bounded():
            return Box(tuple(map(float, space.low.ravel())), tuple(map(float, space.high.ravel())))
    raise ConfigError(f"action space of {name}: {space}, expected Discrete, flat MultiDiscrete or bounded Box")


def _moves(space: spaces.Space[Any], actions: ActionArray) -> ActionArray:
    """Actions as the policy counts them, as the environment does."""
    if isinstance(space, spaces.Box):
        shares = (np.clip(actions, -1, 1) + 1) / 2
        low, high = (bound.ravel().astype(np.float64) for bound in (space.low, space.high))
        moves = (low + shares * (high - low)).reshape(-1, *space.shape)
        return (np.rint(moves) if np.issubdtype(space.dtype, np.integer) else moves).astype(space.dtype)
    first: ActionArray = space.start  # type: ignore[attr-defined]  # Discrete and MultiDiscrete have it
    return actions.astype(space.dtype) + first
