"""Gymnasium environments as VectorGames. An environment's own vector entry point is used if it has one."""

from __future__ import annotations

import difflib
import functools
import warnings
from typing import TYPE_CHECKING, Any, TypeVar

import gymnasium
import numpy as np
from gymnasium.envs.registration import load_env_creator
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv

from ...common.errors import ConfigError, GameCrashed, GameError
from ...common.process.log import Log
from ...common.spec import GameSpec
from .adapter.action_masks import masks_of
from .adapter.action_space import ActionAdapter
from .adapter.misfit import misfit
from .adapter.observation_space import MASK, observation_layout
from .adapter.stateful_wrappers import stateful_wrappers
from .adapter.worker_watch import WorkerWatch
from .checks.arguments import NO_ARGS, check_arguments, check_not_copies, parameters, takes_copies
from .checks.factory import BUILT_IN, described, of_copies, own_factory
from .checks.game_errors import in_words, told_by_game
from .vector_game import Step

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from .two_player_game import TwoPlayerGame
    from .vector_game import VectorGame

_log = Log("game")
_WORKER_S = 1.0  # for a worker's exit code, when its pipe has broken
_Result = TypeVar("_Result")
_VECTORIZATION = "vectorization_mode"
_OF_MAKE_VEC = {_VECTORIZATION, "vector_kwargs", "disable_env_checker"}
_OF_MAKE = ("max_episode_steps",)  # what gymnasium.make takes for every environment


def from_id(
    name: str, num_envs: int, args: Mapping[str, Any] = NO_ARGS, *, masked: bool | None = None
) -> GymnasiumGame:
    """Make `num_envs` copies of the environment that is registered under an id. Raises ConfigError."""
    try:
        _register_namespace(name)
        env = gymnasium.make_vec(name, num_envs=num_envs, **_make_vec_arguments(name, args))
    except TypeError as error:
        if not args:
            raise
        raise ConfigError(f"game_args: {dict(args)}, expected arguments that {name} takes ({error})") from error
    except (gymnasium.error.Error, ModuleNotFoundError) as error:
        reason = " ".join(str(error).split())
        if name.rpartition(":")[2] in gymnasium.registry:
            raise ConfigError(f"game: {name!r} cannot be made: {reason}") from error
        raise ConfigError(f"game: {name!r}, expected {_known_games(name)} ({reason})") from error
    return GymnasiumGame(name, env, masked=masked)


def single_env(name: str, args: Mapping[str, Any]) -> Callable[[], gymnasium.Env[Any, Any]] | None:
    """What makes one environment by itself, for its checks; None for a game that makes all copies at once."""
    factory = own_factory(name) if ":" in name else None
    if factory is not None:
        return None if takes_copies(factory) else functools.partial(factory, **args)
    _register_namespace(name)
    registered = gymnasium.registry.get(name.rpartition(":")[2])
    if registered is None or registered.entry_point is None:
        return None
    return functools.partial(gymnasium.make, name, **{key: args[key] for key in args.keys() - _OF_MAKE_VEC})


def _known_games(name: str) -> str:
    """The names that could have been meant."""
    near = difflib.get_close_matches(name, gymnasium.registry, n=3)
    ids = f"a Gymnasium id such as {' or '.join(near)}" if near else "a Gymnasium id"
    return f"{', '.join(BUILT_IN)}, {ids}, or module:factory"


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
    name: str,
    factory: Callable[..., Any],
    num_envs: int,
    args: Mapping[str, Any] = NO_ARGS,
    *,
    masked: bool | None = None,
) -> VectorGame | TwoPlayerGame:
    """Make `num_envs` copies of a game with a user's factory. Raises ConfigError."""
    check_arguments(name, factory, args)
    if takes_copies(factory):
        made = factory(num_envs=num_envs, **args)
        if isinstance(made, VectorEnv):
            return GymnasiumGame(name, made, masked=masked)
        return of_copies(name, made)

    def make() -> gymnasium.Env[Any, Any]:
        made = factory(**args)
        if not isinstance(made, gymnasium.Env):
            raise ConfigError(f"game: {name!r}, expected a factory that returns a gymnasium.Env, got {described(made)}")
        return made

    return GymnasiumGame(name, SyncVectorEnv([make] * num_envs), masked=masked)


class GymnasiumGame:
    """A gymnasium.vector.VectorEnv as a VectorGame.

    Observations: a Box keeps its shape, and uint8 of 0 to 255 its dtype; other numbers are float32. Options become
    one-hot, dicts and tuples one flat array, whose parts the spec tells. Actions: choices, or bounded boxes. An
    `action_mask` in the infos is used as the action mask, as in Gymnasium's Taxi, or one beside the observation in a
    dict, as in PettingZoo.
    """

    def __init__(self, name: str, env: VectorEnv[Any, Any, Any], *, masked: bool | None = None) -> None:
        """Wrap an environment.

        Args:
            name: the game's name.
            env: the environment.
            masked: whether its infos have action masks; None: a reset tells, if the spec is asked for before one.
        """
        mode = env.metadata.get("autoreset_mode")
        if mode not in {AutoresetMode.NEXT_STEP, AutoresetMode.NEXT_STEP.value}:
            raise ConfigError(f"autoreset mode of {name}: {mode}, expected {AutoresetMode.NEXT_STEP}")
        self._name, self._env = name, env
        self.num_envs = env.num_envs
        self.notes = stateful_wrappers(env)  # warnings for who made it
        self._layout = observation_layout(name, env.single_observation_space)
        self._actions = ActionAdapter(name, env.single_action_space)
        self._spec = None if masked is None and not self._layout.masked else self._made(masked=bool(masked))
        self._watch = WorkerWatch(env.unwrapped) if isinstance(env.unwrapped, AsyncVectorEnv) else None

    @property
    def spec(self) -> GameSpec:
        """See VectorGame."""
        if self._spec is None:
            self.reset(0)
        assert self._spec is not None
        return self._spec

    def reset(self, seed: int) -> Step:
        """See VectorGame."""
        observations, infos = self._call(self._env.reset, seed=seed)
        if self._spec is None:
            self._spec = self._made(masked=MASK in infos)
        none_ended = np.zeros(self.num_envs, np.bool_)
        return self._step(observations, np.zeros(self.num_envs, np.float32), none_ended, none_ended, infos)

    def step(self, actions: NDArray[np.generic]) -> Step:
        """See VectorGame."""
        chosen = self._actions.to_env(actions)
        observations, rewards, terminated, truncated, infos = self._call(self._env.step, chosen)
        return self._step(observations, np.asarray(rewards, np.float32), terminated, truncated & ~terminated, infos)

    def render(self) -> Any:  # noqa: ANN401 - an image or text
        """The image or the text of the first copy; None if the environment was made without a render mode."""
        return next(iter(self._env.render() or ()), None)

    @property
    def render_fps(self) -> float | None:
        """The frames in a second of the game's own time; None if the environment does not say."""
        return self._env.metadata.get("render_fps")

    def close(self) -> None:
        """See VectorGame. An error of the environment is only logged: the games have been played."""
        died = self._watch is not None and self._watch.died()
        if self._watch is not None:
            self._watch.close()
        try:
            with warnings.catch_warnings():
                if died:
                    warnings.simplefilter("ignore")  # Gymnasium's, that the last step of the others was not waited for
                self._env.close(**({"terminate": True} if died else {}))
        except Exception as error:  # noqa: BLE001 - whatever a user's code raises
            if died:
                self._env.unwrapped.closed = True  # its workers have ended, and it would try again
                return
            _log.warning("close() of the game failed", game=self._name, error=in_words(error))

    def _made(self, *, masked: bool) -> GameSpec:
        layout = self._layout
        return GameSpec(
            self._name,
            layout.shape,
            self._actions.actions,
            masked=masked or layout.masked,
            observation_dtype=layout.dtype,
            observation_parts=layout.parts,
        )

    def _call(self, call: Callable[..., _Result], *args: Any, **named: Any) -> _Result:  # noqa: ANN401
        """Call the environment. An error that its own code does not raise here is told as a GameError."""
        try:
            return call(*args, **named)
        except Exception as error:
            if self._watch is not None:
                if isinstance(error, EOFError | OSError) and (died := self._watch.died(_WORKER_S)):
                    raise GameCrashed(f"game {self._name}: {died}") from error
                # Gymnasium raises an error of a worker's environment anew, and warns with its traceback.
                raise GameError(f"game {self._name}: {in_words(error)}, in a worker process") from error
            if told_by_game(self._name, error) is None and (problem := misfit(self._env)):
                raise GameError(f"game {self._name}: {problem}") from error
            if told_by_game(self._name, error) is None and isinstance(error, ValueError | TypeError):
                raise GameError(f"game {self._name}: {in_words(error)}") from error
            raise

    def _step(
        self,
        observations: Any,  # noqa: ANN401 - as the space has them
        rewards: NDArray[np.float32],
        terminated: NDArray[np.bool_],
        truncated: NDArray[np.bool_],
        infos: dict[str, Any],
    ) -> Step:
        try:
            masks = self._masks(observations, infos, terminated | truncated)
            array = self._layout.array(observations, self.num_envs)
        except ValueError as error:
            raise GameError(f"game {self._name}: {error}") from error
        return Step(array, rewards, terminated, truncated, masks, infos=infos)

    def _masks(self, observations: Any, infos: dict[str, Any], ended: NDArray[np.bool_]) -> NDArray[np.bool_] | None:  # noqa: ANN401
        source = observations if self._layout.masked else infos
        if self.spec.masked:
            return masks_of(source, self._actions.actions, ended)
        if MASK in source:
            raise ValueError(f"{MASK}: in the info of step and not of reset, expected one at every step or none")
        return None
