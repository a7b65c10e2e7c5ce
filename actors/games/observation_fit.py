"""State vectors of another length than the run's: refused, unless the user said how to make them fit."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ...common.errors import WireError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...common.policy.distributions import ActionArray
    from ...common.policy.network import Floats
    from ...common.spec import GameSpec, RunSpec, StateFit
    from .vector_game import Step, VectorGame


def fit_states(states: Floats, features: int, fit: StateFit, field: str = "states") -> Floats:
    """States [N, F] as float32 [N, features].

    Args:
        states: one vector a row.
        features: how many numbers the run's game has.
        fit: "exact" changes none. "cut": of longer ones the first `features` are taken. "pad": as well, and
            shorter ones are filled up with zeros, as the original bot did without being asked.
        field: what the error calls them.

    Raises:
        WireError: naming the field and both lengths, where they differ and `fit` does not allow for it.
    """
    assert states.ndim == 2
    length = states.shape[1]
    if length < features and fit != "pad":
        raise WireError(f"{field}: {length} features, expected {features} (--state-fit pad fills up with zeros)")
    if length > features and fit == "exact":
        raise WireError(f"{field}: {length} features, expected {features} (--state-fit cut takes the first ones)")
    fitted = np.zeros((len(states), features), np.float32)
    kept = min(length, features)
    fitted[:, :kept] = states[:, :kept]
    return fitted


def fitted_spec(game: GameSpec, spec: RunSpec) -> GameSpec:
    """The game's spec, with the run's observations where the run says how others are made to fit."""
    shape, wanted, fit = game.observation_shape, spec.game.observation_shape, spec.rollout.state_fit
    if len(shape) == len(wanted) == 1 and (fit == "pad" or (fit == "cut" and shape > wanted)):
        return replace(game, observation_shape=wanted)
    return game


def fitted_game(game: VectorGame, spec: RunSpec) -> VectorGame:
    """The game itself, or one that shows its state vectors as the run wants them."""
    fitted = fitted_spec(game.spec, spec)
    return game if fitted == game.spec else _FittedGame(game, fitted, spec.rollout.state_fit)


class _FittedGame:
    """A VectorGame around another."""

    def __init__(self, game: VectorGame, spec: GameSpec, fit: StateFit) -> None:
        self._game, self._fit = game, fit
        self.spec, self.num_envs = spec, game.num_envs

    def reset(self, seed: int) -> Step:
        return self._fitted(self._game.reset(seed))

    def step(self, actions: ActionArray) -> Step:
        return self._fitted(self._game.step(actions))

    def close(self) -> None:
        self._game.close()

    def _fitted(self, step: Step) -> Step:
        observations: NDArray[np.float32] = fit_states(step.observations, self.spec.features, self._fit)
        return replace(step, observations=observations)
