"""Batched inference: actions for the requests of several episodes, in one forward pass for each policy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...common.actions import Box, Discrete
from ...common.policy.distributions import scaled_to_bounds
from .exploration_noise import PerEpisodeNoise

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from ...common.actions import ActionSpace
    from ...common.policy.distributions import ActionArray
    from .exploration_noise import CorrelatedNoise
    from .policy import Policy

Action = Any  # an int, or an array if an action is several choices or numbers


@dataclass(frozen=True, slots=True)
class InferenceRequest:
    """One episode's request for an action.

    `on_action` is called with the policy's action and its log-probability, and returns the action for the game.
    """

    policy: Policy
    observation: NDArray[np.float32]
    mask: NDArray[np.bool_] | None
    rng: np.random.Generator
    noise: CorrelatedNoise | None
    on_action: Callable[[ActionArray, np.floating], Action]
    greedy: bool = False  # the most probable action, instead of one that is drawn


def run_inference(requests: Sequence[InferenceRequest]) -> list[Action]:
    """The actions for the requests, at most one of each episode, with one forward pass for each policy.

    Each episode draws with its own generator and noise, so that its actions do not depend on the other requests.
    """
    if len(requests) == 1:
        return [_run_alone(requests[0])]
    actions_by_request: dict[int, Action] = {}
    groups: dict[tuple[int, bool], list[InferenceRequest]] = {}
    for request in requests:
        groups.setdefault((id(request.policy), request.greedy), []).append(request)
    for group in groups.values():
        actions, log_probs = _run_group(group)
        for row, request in enumerate(group):
            actions_by_request[id(request)] = request.on_action(actions[row], log_probs[row])
    return [actions_by_request[id(request)] for request in requests]


def _run_alone(request: InferenceRequest) -> Action:
    """As `_run_group` for one request, which is what a game that is played alone asks for, in half the time."""
    observations, masks = request.observation[None], None if request.mask is None else request.mask[None]
    with np.errstate(all="ignore"):
        if request.greedy:
            actions, log_probs = request.policy.act_greedily(observations, masks)
        else:
            actions, log_probs = request.policy.act(
                observations, masks, PerEpisodeGenerators((request.rng,)), request.noise
            )
    return request.on_action(actions[0], log_probs[0])


def _run_group(group: Sequence[InferenceRequest]) -> tuple[ActionArray, NDArray[np.floating]]:
    masks = [request.mask for request in group if request.mask is not None]
    noises = [request.noise for request in group if request.noise is not None]
    rngs = [request.rng for request in group]
    observations, stacked = np.stack([request.observation for request in group]), np.stack(masks) if masks else None
    with np.errstate(all="ignore"):  # each request's `on_action` checks its own row
        if group[0].greedy:
            return group[0].policy.act_greedily(observations, stacked)
        return group[0].policy.act(
            observations,
            stacked,
            PerEpisodeGenerators(rngs),
            PerEpisodeNoise(noises) if noises else None,
        )


def to_game_action(action: ActionArray, actions: ActionSpace) -> Action:
    """Convert an action of the policy to the form that the game accepts."""
    match actions:
        case Discrete():
            return int(action)
        case Box(low, high):
            return scaled_to_bounds(action, low, high)
    return action


class PerEpisodeGenerators:
    """The generators of several episodes, used like one generator. Row N is drawn with episode N's generator."""

    def __init__(self, rngs: Sequence[np.random.Generator]) -> None:
        self._rngs = rngs

    def random(self, rows: int, /) -> NDArray[np.float64]:
        """One uniform number in [0, 1) from each generator, [N]."""
        assert rows == len(self._rngs)
        return np.array([rng.random() for rng in self._rngs])

    def standard_normal(self, shape: tuple[int, ...], /, dtype: type[np.float32]) -> NDArray[np.float32]:
        """D standard normal numbers from each generator, [N, D]."""
        assert shape[0] == len(self._rngs)
        return np.stack([rng.standard_normal(shape[1:], dtype=dtype) for rng in self._rngs])
