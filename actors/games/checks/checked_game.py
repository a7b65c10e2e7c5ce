"""A VectorGame whose every step is checked against its spec: an error says which array does not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ....common.errors import GameError
from .game_errors import game_code

if TYPE_CHECKING:
    from ....common.policy.distributions import ActionArray
    from ....common.spec import GameSpec
    from ..vector_game import Step, VectorGame


class CheckedGame:
    """A user's VectorGame. What it raises, or returns against its spec, is a GameError that says so."""

    def __init__(self, name: str, game: VectorGame) -> None:
        self._name, self._game = name, game
        self.num_envs = game.num_envs
        self.notes: list[str] = getattr(game, "notes", [])  # warnings for who made it

    @property
    def spec(self) -> GameSpec:
        """See VectorGame."""
        with game_code(self._name):
            return self._game.spec

    def reset(self, seed: int) -> Step:
        """See VectorGame."""
        with game_code(self._name):
            step = self._game.reset(seed)
        return self._checked(step, "reset")

    def step(self, actions: ActionArray) -> Step:
        """See VectorGame."""
        with game_code(self._name):
            step = self._game.step(actions)
        return self._checked(step, "step")

    def close(self) -> None:
        """See VectorGame."""
        with game_code(self._name):
            self._game.close()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the game has beyond a VectorGame, as `render`
        return getattr(self._game, name)

    def _checked(self, step: Step, call: str) -> Step:
        problem = step_problem(step, self._game.spec, self.num_envs)
        if problem:
            raise GameError(f"game {self._name}: {call}: {problem}")
        return step


def step_problem(step: Step, spec: GameSpec, num_envs: int) -> str | None:
    """What of a step does not fit the game's spec: field, value and what is expected; None if all fits."""
    shapes = {
        "observations": (num_envs, *spec.observation_shape),
        "rewards": (num_envs,),
        "terminated": (num_envs,),
        "truncated": (num_envs,),
        "masks": (num_envs, sum(spec.actions.sizes)),
    }
    if (step.masks is not None) is not spec.masked:
        return f"masks: {'none' if step.masks is None else 'some'}, expected {'some' if spec.masked else 'none'}"
    for field, shape in shapes.items():
        array = getattr(step, field)
        if array is None:
            continue
        if array.shape != shape:
            return f"{field}: shape {array.shape}, expected {shape}"
        if field not in {"observations", "rewards"} and array.dtype != np.bool_:
            return f"{field}: dtype {array.dtype}, expected bool"
    if (step.observations.dtype == np.uint8) is not (spec.observation_dtype == "uint8"):
        return f"observations: dtype {step.observations.dtype}, expected {spec.observation_dtype}"
    return None
