"""A policy in a script of the user's: actions and values for observations, on numpy alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...common.actions import Box, Discrete
from ...common.errors import ConfigError
from ...common.policy.distributions import distribution, scaled_to_bounds
from ...common.policy.network import LOG_STD, policy_outputs, prepare, value_outputs

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from ...actors.inference.policy import Policy as ActorPolicy
    from ...common.policy.distributions import ActionArray, Distribution
    from ...common.policy.network import Params
    from ...common.spec import GameSpec, RunSpec

_VALUE_BIAS = "value/b"


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
        observation: ArrayLike,
        greedy: bool = True,
        *,
        mask: ArrayLike | None = None,
        rng: np.random.Generator | None = None,
    ) -> Any:  # noqa: ANN401 - an int or an array
        """The action for an observation, or the actions for a batch of them, in the game's units.

        Args:
            observation: one, of the game's observation shape, or a batch, [B, *observation shape].
            greedy: take the most probable action; False: draw it from the policy's distribution.
            mask: the allowed actions, [A] for one observation or [B, A]; required if the game has masks. With several
                choices A is the number of options of all of them, one after the other.
            rng: draws the actions if `greedy` is False; None: a generator of the policy's own, freshly seeded.

        Returns:
            For a Discrete space an int, counted from 0 (add the space's `start`). For a MultiDiscrete space int32 [D],
            counted from 0. For a Box float32 [D] (a space of more dimensions flattened), clipped to its bounds. For a
            batch an array with B of these.

        Raises:
            ConfigError: if the observation or the mask is not of the game's form.
        """
        observations, single = self._observations(observation)
        choice = self.distribution(observations, self._masks(mask, len(observations), single=single))
        actions = self._for_game(choice.best() if greedy else choice.sample(rng or self._rng))
        if not single:
            return actions
        return int(actions[0]) if isinstance(self.game.actions, Discrete) else actions[0]

    def value(self, observation: ArrayLike) -> float | NDArray[np.float32]:
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

    def _observations(self, raw: ArrayLike) -> tuple[NDArray[Any], bool]:
        """A batch of observations, and whether a single one was given."""
        shape, dtype = self.game.observation_shape, self.game.observation_dtype
        found = np.asarray(raw)
        if found.dtype.kind not in "biuf" or (dtype == "uint8" and found.dtype != np.uint8):
            raise ConfigError(f"observation: {found.dtype}, expected {dtype} for {self.game.name}")
        single = found.shape == shape
        if not single and found.shape[1:] != shape:
            raise ConfigError(
                f"observation: shape {found.shape}, expected {shape} for {self.game.name}, "
                f"or (B, {', '.join(map(str, shape))})"
            )
        with np.errstate(over="ignore"):
            observations = found.astype(dtype, copy=False)
        if dtype != "uint8" and not np.isfinite(observations).all():
            raise ConfigError("observation: not finite, expected finite numbers")
        return (observations[None] if single else observations), single

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
        mask = np.asarray(raw, np.bool_)
        expected = (sum(sizes),) if single else (batch, sum(sizes))
        if mask.shape != expected:
            raise ConfigError(f"mask: shape {mask.shape}, expected {expected}")
        masks = mask[None] if single else mask
        if not all(each.any(axis=1).all() for each in np.split(masks, np.cumsum(sizes)[:-1], axis=1)):
            raise ConfigError("mask: no action allowed, expected at least one of each choice")
        return masks

    def _for_game(self, actions: ActionArray) -> ActionArray:
        if not isinstance(self.game.actions, Box):
            return actions
        return scaled_to_bounds(actions, self.game.actions.low, self.game.actions.high).astype(np.float32)
