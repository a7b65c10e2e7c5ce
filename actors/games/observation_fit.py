"""State vectors whose length differs from the run's: an error, unless its --observation-fit says how to resize them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...common.errors import WireError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...common.policy.distributions import ActionArray
    from ...common.policy.network import Floats
    from ...common.spec import GameSpec, ObservationFit, RunSpec
    from .vector_game import Step, VectorGame


def fit_states(states: NDArray[Any], features: int, fit: ObservationFit, field: str = "states") -> Floats:
    """Resize states [N, F] to float32 [N, features].

    Args:
        states: [N, F], one vector a row.
        features: the length of the run's state vectors.
        fit: "exact" allows no other length. "cut" removes the last features of longer vectors. "pad" does the same and
            also appends zeros to shorter ones, as the original bot always did.
        field: the name of the states in error messages.

    Raises:
        WireError: naming the field and both lengths, if `fit` does not allow the difference.
    """
    assert states.ndim == 2
    length = states.shape[1]
    if length < features and fit != "pad":
        raise WireError(f"{field}: {length} features, expected {features} (--observation-fit pad fills up with zeros)")
    if length > features and fit == "exact":
        raise WireError(f"{field}: {length} features, expected {features} (--observation-fit cut takes the first ones)")
    fitted = np.zeros((len(states), features), np.float32)
    kept = min(length, features)
    fitted[:, :kept] = states[:, :kept]
    return fitted


def fitted_spec(game: GameSpec, spec: RunSpec) -> GameSpec:
    """The game's spec, with the run's observation shape if the run's `observation_fit` allows to resize to it."""
    shape, wanted, fit = game.observation_shape, spec.game.observation_shape, spec.rollout.observation_fit
    if len(shape) == len(wanted) == 1 and (fit == "pad" or (fit == "cut" and shape > wanted)):
        return replace(game, observation_shape=wanted)
    return game


def fitted_game(game: VectorGame, spec: RunSpec) -> VectorGame:
    """The game itself, or a VectorGame around it whose state vectors have the run's length."""
    fitted = fitted_spec(game.spec, spec)
    return game if fitted == game.spec else _FittedGame(game, fitted, spec.rollout.observation_fit)


class _FittedGame:
    """A VectorGame that resizes the observations of another one."""

    def __init__(self, game: VectorGame, spec: GameSpec, fit: ObservationFit) -> None:
        self._game, self._fit = game, fit
        self.spec, self.num_envs = spec, game.num_envs

    def reset(self, seed: int) -> Step:
        return self._fitted(self._game.reset(seed))

    def step(self, actions: ActionArray) -> Step:
        return self._fitted(self._game.step(actions))

    def close(self) -> None:
        self._game.close()

    def _fitted(self, step: Step) -> Step:
        observations = fit_states(step.observations, self.spec.features, self._fit)
        return replace(step, observations=observations.astype(self.spec.observation_dtype, copy=False))
