"""A policy in a script of the user's: actions and values for observations, on numpy alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...common.actions import Box, Discrete
from ...common.arguments import flag, instance
from ...common.errors import ConfigError
from ...common.policy.distributions import distribution, scaled_to_bounds
from ...common.policy.flat_observations import at_path, flatten
from ...common.policy.network import LOG_STD, policy_outputs, prepare, value_outputs

if TYPE_CHECKING:
    from gymnasium import Space
    from numpy.typing import ArrayLike, NDArray

    from ...actors.games.adapter.action_space import ActionAdapter
    from ...actors.inference.policy import Policy as ActorPolicy
    from ...common.observation_parts import ObservationPart
    from ...common.policy.distributions import ActionArray, Distribution
    from ...common.policy.network import Params
    from ...common.spec import GameSpec, RunSpec

_VALUE_BIAS = "value/b"
_MASK = "action_mask"  # a key of observations that are dicts


class Policy:
    """A trained policy, as `broodmind.load` returns it. Immutable, but for its random numbers.

    Attributes:
        spec: the spec of its run: `spec.game` has the observation's shape and the action space.
        epoch: the epoch of its run.
        version: its version in this epoch; both are 0 if the file does not say.
        params: the network's arrays by name, with the value head in units of the return (docs/policy.md).
    """

    def __init__(self, params: Params, spec: RunSpec, *, epoch: int = 0, version: int = 0) -> None:
        self.spec, self.epoch, self.version, self.params = spec, epoch, version, params
        self._rng = np.random.default_rng()
        self._adapter: tuple[Space[Any], ActionAdapter] | None = None  # the last space that `act` was given

    def __repr__(self) -> str:
        return f"<broodmind.Policy of {self.spec.game.name}, epoch {self.epoch}, version {self.version}>"

    @property
    def game(self) -> GameSpec:
        """The game's arrays: observation shape and dtype, actions, whether it has masks."""
        return self.spec.game

    @property
    def has_value(self) -> bool:
        """Whether a value function was trained with the policy. Some algorithms, and the original bot, have none."""
        biases = [array for name, array in self.params.items() if name.startswith(_VALUE_BIAS)]
        return any(np.any(array) for array in biases)  # they are 0 until the first update

    def act(
        self,
        observation: Any,  # noqa: ANN401 - as the game has it
        greedy: bool = True,
        *,
        mask: ArrayLike | None = None,
        rng: np.random.Generator | None = None,
        space: Space[Any] | None = None,
    ) -> Any:  # noqa: ANN401 - an int or an array, or as the space has it
        """The action for an observation, or the actions for a batch of them, in the game's units.

        Args:
            observation: one, of the game's observation shape, or a batch, [B, *observation shape]. Of a game whose
                observations are dicts, tuples or options' numbers it may be in that form, a batch with B in each array.
            greedy: take the most probable action; False: draw it from the policy's distribution.
            mask: the allowed actions, [A] for one observation or [B, A]; required if the game has masks, unless the
                observation is a dict with an `action_mask`. With several choices A is the number of options of all of
                them, one after the other.
            rng: draws the actions if `greedy` is False; None: a generator of the policy's own, freshly seeded.
            space: the environment's action space, whose form the action shall have. It needs Gymnasium.

        Returns:
            With `space` an action of that space: a dict, a tuple, an array of its shape and dtype, or the number of an
            option, from its `start` on; for a batch the same with B in each array. Without it, as the run's spec has
            the actions: for a Discrete space an int, counted from 0; for a MultiDiscrete space int32 [D], counted from
            0; for a Box float32 [D], clipped to its bounds. Spaces of more dimensions, tuples and dicts are flat then,
            in the order of the space. For a batch an array with B of these.

        Raises:
            ConfigError: if the observation, the mask or the space is not that of the game.
        """
        flag("greedy", greedy)
        source = self._rng if rng is None else instance("rng", rng, np.random.Generator)
        observations, single = self._observations(observation)
        if mask is None and isinstance(observation, dict):
            mask = observation.get(_MASK)
        choice = self.distribution(observations, self._masks(mask, len(observations), single=single))
        chosen = choice.best() if greedy else choice.sample(source)
        if space is not None:
            return self._in_space(space, chosen, single=single)
        actions = self._for_game(chosen)
        if not single:
            return actions
        return int(actions[0]) if isinstance(self.game.actions, Discrete) else actions[0]

    def value(self, observation: Any) -> float | NDArray[np.float32]:  # noqa: ANN401 - as the game has it
        """The estimated discounted return from an observation on; [B] for a batch of them.

        Raises:
            ConfigError: if the observation is not of the game's form, or no value function was trained with the policy.
        """
        if not self.has_value:
            raise ConfigError(
                f"value: {self!r} has no trained value function, expected a policy that was trained with one"
            )
        observations, single = self._observations(observation)
        values = value_outputs(self.params, self.spec.network, prepare(self.params, observations))
        return float(values[0]) if single else np.asarray(values, np.float32)

    def distribution(self, observations: NDArray[Any], masks: NDArray[np.bool_] | None = None) -> Distribution:
        """The distribution of the actions [B, ...], unchecked and in the policy's units: that of an actor's policy."""
        outputs = policy_outputs(self.params, self.spec.network, prepare(self.params, observations))
        return distribution(self.spec.game.actions, outputs, self.params.get(LOG_STD), masks)

    def for_actors(self) -> ActorPolicy:
        """The same policy as actors have it, which plays VectorGames. It needs msgpack."""
        from ...actors.inference.policy import Policy as ActorPolicy
        from ...common.wire.weights import Pointer

        return ActorPolicy(Pointer(self.epoch, self.version, "", "", 0), self.params, self.spec)

    def _observations(self, raw: Any) -> tuple[NDArray[Any], bool]:  # noqa: ANN401 - as the game has them
        """A batch of observations, and whether a single one was given."""
        if self.game.observation_parts and _has_parts(raw, self.game.observation_parts):
            return self._of_parts(raw)
        shape, dtype = self.game.observation_shape, self.game.observation_dtype
        found = _array("observation", raw)
        if found.dtype.kind not in "biuf" or (dtype == "uint8" and found.dtype != np.uint8):
            raise ConfigError(f"observation: {found.dtype}, expected {dtype} for {self.game.name}")
        single = found.shape == shape
        if not single and found.shape[1:] != shape:
            raise ConfigError(
                f"observation: shape {found.shape}, expected {shape} for {self.game.name}, or {_batch_of(shape)}"
            )
        with np.errstate(over="ignore"):
            observations = found.astype(dtype, copy=False)
        return self._finite(observations[None] if single else observations), single

    def _of_parts(self, raw: Any) -> tuple[NDArray[Any], bool]:  # noqa: ANN401 - dicts and tuples of arrays
        parts = self.game.observation_parts
        try:
            first, shape = np.asarray(at_path(raw, parts[0])), parts[0].shape
            if first.ndim not in {len(shape), len(shape) + 1}:
                raise ConfigError(
                    f"observation of {self.game.name}: {parts[0].name}: shape {first.shape}, expected {shape}, or "
                    f"{_batch_of(shape)}"
                )
            single = first.ndim == len(shape)
            batch = _batched(raw) if single else raw
            rows = 1 if single else len(first)
            with np.errstate(over="ignore"):
                observations = flatten(parts, batch, rows, self.game.observation_dtype)
        except (ValueError, TypeError, LookupError) as error:
            raise ConfigError(f"observation of {self.game.name}: {error}") from error
        return self._finite(observations.reshape(rows, *self.game.observation_shape)), single

    def _finite(self, observations: NDArray[Any]) -> NDArray[Any]:
        if observations.dtype != np.uint8 and not np.isfinite(observations).all():
            raise ConfigError("observation: not finite, expected finite numbers")
        return observations

    def _masks(self, raw: ArrayLike | None, batch: int, *, single: bool) -> NDArray[np.bool_] | None:
        sizes = self.game.actions.sizes
        if raw is None:
            if self.game.masked:
                raise ConfigError(
                    f"mask: none, expected the allowed actions, {sum(sizes)} for each observation: {self.game.name} "
                    "has masks"
                )
            return None
        if not sizes:
            raise ConfigError(f"mask: given, expected none: the actions of {self.game.name} are numbers")
        mask = _array("mask", raw)
        if mask.dtype.kind not in "biuf":
            raise ConfigError(f"mask: {mask.dtype}, expected booleans for {self.game.name}")
        mask = mask.astype(np.bool_)
        expected = (sum(sizes),) if single else (batch, sum(sizes))
        if mask.shape != expected:
            raise ConfigError(f"mask: shape {mask.shape}, expected {expected}")
        masks = mask[None] if single else mask
        if not all(each.any(axis=1).all() for each in np.split(masks, np.cumsum(sizes)[:-1], axis=1)):
            raise ConfigError("mask: no action allowed, expected at least one of each choice")
        return masks

    def _in_space(self, space: Space[Any], actions: ActionArray, *, single: bool) -> Any:  # noqa: ANN401
        """The policy's actions, in its own units, as those of an environment's space."""
        from ...actors.games.adapter.action_space import first_of

        if self._adapter is None or self._adapter[0] is not space:
            self._adapter = space, self._adapter_of(space)
        batch = self._adapter[1].to_env(actions)
        return first_of(space, batch) if single else batch

    def _adapter_of(self, space: Space[Any]) -> ActionAdapter:
        from gymnasium import Space

        from ...actors.games.adapter.action_space import ActionAdapter

        instance("space", space, Space)
        try:
            adapter = ActionAdapter(self.game.name, space)
        except ConfigError as error:
            raise ConfigError(f"space: {error}") from error
        if adapter.actions != self.game.actions:
            raise ConfigError(f"space: {space!s:.200}, expected that of {self.game.name}, with {self.game.actions}")
        return adapter

    def _for_game(self, actions: ActionArray) -> ActionArray:
        if not isinstance(self.game.actions, Box):
            return actions
        return scaled_to_bounds(actions, self.game.actions.low, self.game.actions.high).astype(np.float32)


def _array(name: str, raw: Any) -> NDArray[Any]:  # noqa: ANN401 - whatever the caller has
    """An array of numbers or booleans, or at least one that says what it is instead."""
    try:
        return np.asarray(raw)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{name}: {raw!r:.80}, expected an array of numbers ({error})") from error


def _has_parts(raw: Any, parts: tuple[ObservationPart, ...]) -> bool:  # noqa: ANN401
    """Whether an observation is in the game's own form, and not flat: a dict, a tuple, or the numbers of options."""
    if parts[0].path:
        return isinstance(raw, dict | tuple)
    return parts[0].kind == "one_hot" and _array("observation", raw).dtype.kind in "iu"


def _batched(raw: Any) -> Any:  # noqa: ANN401 - dicts and tuples of arrays
    """One observation as a batch of one."""
    if isinstance(raw, dict):
        return {name: _batched(each) for name, each in raw.items()}
    if isinstance(raw, tuple):
        return tuple(map(_batched, raw))
    return np.asarray(raw)[None]


def _batch_of(shape: tuple[int, ...]) -> str:
    """The shape of a batch, in words."""
    return f"({', '.join(['B', *map(str, shape)])}{'' if shape else ','})"
