"""Decisions: what episodes ask their policy, alone or side by side, and the moves that come of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...common.actions import Box, Discrete
from .exploration_noise import PerEpisodeNoise

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from ...common.actions import ActionSpace
    from ...common.policy.distributions import ActionArray
    from .exploration_noise import CorrelatedNoise
    from .policy import Policy

Action = Any  # an int, or an array where an action is several choices or numbers


@dataclass(frozen=True, slots=True)
class InferenceRequest:
    """What one episode asks; `answer` takes the action and its log-probability in, and gives the move."""

    policy: Policy
    seen: NDArray[np.float32]
    allowed: NDArray[np.bool_] | None
    rng: np.random.Generator
    noise: CorrelatedNoise | None
    answer: Callable[[ActionArray, np.floating], Action]


def run_inference(questions: Sequence[InferenceRequest]) -> list[Action]:
    """Answer the questions, those to one policy in one forward pass; of each episode one question at most.

    Each episode draws with a generator and noise of its own, as it would alone; only the forward pass is shared.
    """
    moves: dict[int, Action] = {}
    groups: dict[int, list[InferenceRequest]] = {}
    for question in questions:
        groups.setdefault(id(question.policy), []).append(question)
    for group in groups.values():
        actions, log_probs = _ask(group)
        for row, question in enumerate(group):
            moves[id(question)] = question.answer(actions[row], log_probs[row])
    return [moves[id(question)] for question in questions]


def _ask(group: Sequence[InferenceRequest]) -> tuple[ActionArray, NDArray[np.floating]]:
    masks = [question.allowed for question in group if question.allowed is not None]
    noises = [question.noise for question in group if question.noise is not None]
    rngs = [question.rng for question in group]
    with np.errstate(all="ignore"):  # what comes of too large an observation is found by whoever sent it
        return group[0].policy.act(
            np.stack([question.seen for question in group]),
            np.stack(masks) if masks else None,
            GeneratorRows(rngs),
            PerEpisodeNoise(noises, rngs) if noises else None,
        )


def to_move(action: ActionArray, actions: ActionSpace) -> Action:
    """An action as the game takes it."""
    match actions:
        case Discrete():
            return int(action)
        case Box(low, high):
            return np.array(low) + (np.clip(action, -1, 1) + 1) / 2 * (np.array(high) - low)
    return action


class GeneratorRows:
    """Takes the place of one generator wherever there is a row a decision."""

    def __init__(self, rngs: Sequence[np.random.Generator]) -> None:
        self._rngs = rngs

    def random(self, rows: int, /) -> NDArray[np.float64]:
        """One uniform number a row, [N]."""
        assert rows == len(self._rngs)
        return np.array([rng.random() for rng in self._rngs])

    def standard_normal(self, shape: tuple[int, ...], /, dtype: type[np.float32]) -> NDArray[np.float32]:
        """Standard normal numbers [N, D]."""
        assert shape[0] == len(self._rngs)
        return np.stack([rng.standard_normal(shape[1:], dtype=dtype) for rng in self._rngs])
