"""Gymnasium environments as VectorGames. An environment's own vector entry point is used if it has one."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import load_env_creator
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv

from ...common import deprecated
from ...common.actions import Box, Discrete, MultiDiscrete
from ...common.errors import ConfigError
from ...common.spec import GameSpec
from .game_arguments import COPIES, NO_ARGS, check_arguments, check_not_copies, parameters
from .vector_game import Step, VectorGame

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from ...common.actions import ActionSpace
    from ...common.policy.distributions import ActionArray
    from ...common.spec import ObservationDtype
    from .two_player_game import TwoPlayerGame

_VECTORIZATION = "vectorization_mode"
_OF_MAKE_VEC = {_VECTORIZATION, "vector_kwargs", "disable_env_checker"}
_OF_MAKE = ("max_episode_steps",)  # what gymnasium.make takes for every environment


def from_id(name: str, num_envs: int, args: Mapping[str, Any] = NO_ARGS) -> VectorGame:
    """Make `num_envs` copies of the environment that is registered under an id. Raises ConfigError."""
    try:
        _register_namespace(name)
        return GymnasiumGame(name, gymnasium.make_vec(name, num_envs=num_envs, **_make_vec_arguments(name, args)))
    except TypeError as error:
        if not args:
            raise
        raise ConfigError(f"game_args: {dict(args)}, expected arguments that {name} takes ({error})") from error
    except (gymnasium.error.Error, ModuleNotFoundError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"game: {name!r}, expected TinyZerg, a Gymnasium id or module:factory ({reason})") from error


def _make_vec_arguments(name: str, args: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments for `gymnasium.make_vec`, checked where the environment's entry point says what it takes.

    An environment's own vector entry point may take less than the environment. Then the copies are made one by one.
    """
    check_not_copies(args)
    registered = gymnasium.registry.get(name.rpartition(":")[2])
    if registered is None or registered.entry_point is None or not args:
        return dict(args)
    vector = registered.vector_entry_point
    if vector is not None and _VECTORIZATION not in args:
        takes = parameters(_loaded(vector))
        if takes is None or args.keys() <= takes.keys():
            return dict(args)
        args = {**args, _VECTORIZATION: "sync"}
    single = {key: value for key, value in args.items() if key not in _OF_MAKE_VEC}
    check_arguments(name, _loaded(registered.entry_point), {**registered.kwargs, **single}, besides=_OF_MAKE)
    return dict(args)


def _loaded(entry_point: Callable[..., Any] | str) -> Callable[..., Any]:
    return load_env_creator(entry_point) if isinstance(entry_point, str) else entry_point


def _register_namespace(name: str) -> None:
    """Register the environments of a known namespace. Gymnasium no longer finds installed packages by itself."""
    namespace = name.partition("/")[0]
    if namespace == "MinAtar" and not any(known.startswith("MinAtar/") for known in gymnasium.registry):
        import minatar.gym  # pyright: ignore[reportMissingImports] - an extra that no other includes

        minatar.gym.register_envs()
    elif namespace == "broodmind":
        from . import tinyzerg_gymnasium  # noqa: F401 - the import registers it


def from_factory(
    name: str, factory: Callable[..., Any], num_envs: int, args: Mapping[str, Any] = NO_ARGS
) -> VectorGame | TwoPlayerGame:
    """Make `num_envs` copies of a game with a user's factory. Raises ConfigError."""
    check_arguments(name, factory, args)
    if COPIES in inspect.signature(factory).parameters:
        made = factory(num_envs=num_envs, **args)
        return GymnasiumGame(name, made) if isinstance(made, VectorEnv) else deprecated.current_game(made)
    try:
        return GymnasiumGame(name, SyncVectorEnv([functools.partial(factory, **args)] * num_envs))
    except AttributeError as error:
        raise ConfigError(f"game: {name!r}, expected a factory that returns a gymnasium.Env ({error})") from error


class GymnasiumGame:
    """A gymnasium.vector.VectorEnv as a VectorGame.

    Observations: a Box of uint8 stays one, any other Box is converted to float32, a Discrete observation to one-hot.
    Actions: Discrete, flat MultiDiscrete, or bounded Box. An `action_mask` in the infos is used as the action mask, as
    in Gymnasium's Taxi.
    """

    def __init__(self, name: str, env: VectorEnv[Any, Any, Any]) -> None:
        mode = env.metadata.get("autoreset_mode")
        if mode not in {AutoresetMode.NEXT_STEP, AutoresetMode.NEXT_STEP.value}:
            raise ConfigError(f"autoreset mode of {name}: {mode}, expected {AutoresetMode.NEXT_STEP}")
        self._env = env
        self.num_envs = env.num_envs
        observation_space = env.single_observation_space
        self._one_hot: NDArray[np.float32] | None = None
        dtype: ObservationDtype = "float32"
        if isinstance(observation_space, spaces.Discrete):
            self._one_hot = np.eye(int(observation_space.n), dtype=np.float32)
            self._first_observation = int(observation_space.start)
            shape: tuple[int, ...] = (int(observation_space.n),)
        elif isinstance(observation_space, spaces.Box):
            shape = observation_space.shape or (1,)
            if observation_space.dtype == np.uint8:
                dtype = "uint8"
        else:
            raise ConfigError(f"observation space of {name}: {observation_space}, expected Box or Discrete")
        self._action_space = env.single_action_space
        _, infos = env.reset(seed=0)
        actions = _action_space(name, self._action_space)
        self.spec = GameSpec(name, shape, actions, masked="action_mask" in infos, observation_dtype=dtype)

    def reset(self, seed: int) -> Step:
        """See VectorGame."""
        observations, infos = self._env.reset(seed=seed)
        none_ended = np.zeros(self.num_envs, np.bool_)
        rewards = np.zeros(self.num_envs, np.float32)
        return Step(self._observations(observations), rewards, none_ended, none_ended, self._masks(infos))

    def step(self, actions: NDArray[np.generic]) -> Step:
        """See VectorGame."""
        observations, rewards, terminated, truncated, infos = self._env.step(_env_actions(self._action_space, actions))
        return Step(
            self._observations(observations),
            np.asarray(rewards, np.float32),
            terminated,
            truncated & ~terminated,
            self._masks(infos),
            infos=infos,
        )

    def render(self) -> Any:  # noqa: ANN401 - an image or text
        """The image or the text of the first copy; None if the environment was made without a render mode."""
        return next(iter(self._env.render() or ()), None)

    @property
    def render_fps(self) -> float | None:
        """The frames in a second of the game's own time; None if the environment does not say."""
        return self._env.metadata.get("render_fps")

    def close(self) -> None:
        """See VectorGame."""
        self._env.close()

    def _observations(self, raw: NDArray[np.generic]) -> NDArray[np.float32] | NDArray[np.uint8]:
        if self._one_hot is not None:
            return self._one_hot[raw - self._first_observation]
        return np.asarray(raw, self.spec.observation_dtype).reshape(self.num_envs, *self.spec.observation_shape)

    def _masks(self, infos: dict[str, Any]) -> NDArray[np.bool_] | None:
        if not self.spec.masked:
            return None
        masks = np.asarray(infos.get("action_mask"), np.bool_)
        # At a game's end some environments give a mask of zeros, or no mask. All actions are then marked as legal: the
        # action of that step is ignored anyway.
        choices = np.split(masks, np.cumsum(self.spec.actions.sizes)[:-1], axis=1)
        return np.concatenate([each | ~each.any(axis=1, keepdims=True) for each in choices], axis=1)


def _action_space(name: str, space: spaces.Space[Any]) -> ActionSpace:
    match space:
        case spaces.Discrete():
            return Discrete(int(space.n))
        case spaces.MultiDiscrete() if space.nvec.ndim == 1:
            return MultiDiscrete(tuple(int(n) for n in space.nvec))
        case spaces.Box() if space.is_bounded():
            return Box(tuple(map(float, space.low.ravel())), tuple(map(float, space.high.ravel())))
    raise ConfigError(f"action space of {name}: {space}, expected Discrete, flat MultiDiscrete or bounded Box")


def _env_actions(space: spaces.Space[Any], actions: ActionArray) -> ActionArray:
    """The policy's actions in the environment's units.

    A Box is scaled from [-1, 1] to its bounds. Discrete and MultiDiscrete actions are counted from the space's `start`.
    """
    if isinstance(space, spaces.Box):
        fractions = (np.clip(actions, -1, 1) + 1) / 2
        low, high = (bound.ravel().astype(np.float64) for bound in (space.low, space.high))
        scaled = (low + fractions * (high - low)).reshape(-1, *space.shape)
        return (np.rint(scaled) if np.issubdtype(space.dtype, np.integer) else scaled).astype(space.dtype)
    first: ActionArray = space.start  # type: ignore[attr-defined]  # Discrete and MultiDiscrete have it
    return actions.astype(space.dtype) + first
