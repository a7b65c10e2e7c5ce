"""A VectorGame whose every step is checked against its spec: an error says which array does not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ....common.errors import GameError
from .game_errors import game_code, told_by_game

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ....common.policy.distributions import ActionArray
    from ....common.spec import GameSpec
    from ..vector_game import Step, VectorGame

_NOWHERE = np.zeros((0, 1), np.bool_)


class CheckedGame:
    """A user's VectorGame. What it raises, or returns against its spec, is a GameError that says so."""

    def __init__(self, name: str, game: VectorGame) -> None:
        self._name, self._game = name, game
        self.num_envs = game.num_envs
        self._check: StepCheck | None = None
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
        try:
            step = self._game.step(actions)
        except Exception as error:  # as `game_code`, which takes longer
            told = told_by_game(self._name, error)
            if told is None:
                raise
            raise told from error
        return self._checked(step, "step")

    def close(self) -> None:
        """See VectorGame."""
        with game_code(self._name):
            self._game.close()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the game has beyond a VectorGame, as `render`
        return getattr(self._game, name)

    def _checked(self, step: Step, call: str) -> Step:
        if self._check is None:
            self._check = StepCheck(self._game.spec, self.num_envs)
        problem = self._check(step)
        if problem:
            raise GameError(f"game {self._name}: {call}: {problem}")
        return step


class StepCheck:
    """Says what of a step does not fit the game's spec."""

    def __init__(self, spec: GameSpec, num_envs: int) -> None:
        self._of_bytes = spec.observation_dtype == "uint8"
        self._masked = spec.masked
        self._observations = (num_envs, *spec.observation_shape)
        self._column = (num_envs,)
        self._masks = (num_envs, sum(spec.actions.sizes))
        # Where the options of each choice begin; None without masks.
        self._choices = np.cumsum([0, *spec.actions.sizes[:-1]]) if spec.masked else None

    def __call__(self, step: Step) -> str | None:
        """The field that does not fit, its value and what is expected; None if all fits."""
        fits = (
            step.observations.shape == self._observations
            and step.rewards.shape == step.terminated.shape == step.truncated.shape == self._column
            and step.terminated.dtype == step.truncated.dtype == np.bool_
            and (step.observations.dtype == np.uint8) is self._of_bytes
            and (step.masks is not None) is self._masked
            and (step.masks is None or (step.masks.shape == self._masks and step.masks.dtype == np.bool_))
            and not self._stuck(step).any()
        )
        return None if fits else self._problem(step)

    def _problem(self, step: Step) -> str:
        if (step.masks is not None) is not self._masked:
            return f"masks: {'none' if step.masks is None else 'some'}, expected {'some' if self._masked else 'none'}"
        shapes = {
            "observations": self._observations,
            **dict.fromkeys(("rewards", "terminated", "truncated"), self._column),
            "masks": self._masks,
        }
        for field, shape in shapes.items():
            array = getattr(step, field)
            if array is not None and array.shape != shape:
                return f"{field}: shape {array.shape}, expected {shape}"
            if array is not None and field not in {"observations", "rewards"} and array.dtype != np.bool_:
                return f"{field}: dtype {array.dtype}, expected bool"
        if (stuck := self._stuck(step)).any():
            return f"masks: {nothing_legal(stuck)}"
        return f"observations: dtype {step.observations.dtype}, expected {'uint8' if self._of_bytes else 'float32'}"

    def _stuck(self, step: Step) -> NDArray[np.bool_]:
        """Of which choice [B, choices] nothing is legal in a game that goes on."""
        if step.masks is None or self._choices is None:
            return _NOWHERE
        goes_on = ~(step.terminated | step.truncated)
        return goes_on[:, None] & ~np.logical_or.reduceat(step.masks, self._choices, axis=1)


def nothing_legal(stuck: NDArray[np.bool_]) -> str:
    """What is wrong with the first mask that allows no option of a choice; `stuck` [N, choices] is where."""
    copy, choice = np.argwhere(stuck)[0].tolist()
    of = f" of choice {choice}" if stuck.shape[1] > 1 else ""
    return f"allows no option{of} in copy {copy}, expected at least one while the game goes on"
