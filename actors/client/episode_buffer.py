"""The episode buffer: the steps of one game, and the trajectory that they become."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ...common.wire.entry_header import Episodes
from ...common.wire.trajectory import MAX_BYTES, MAX_COLUMNS, Trajectory

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...common.policy.distributions import ActionArray
    from ...common.spec import RunSpec


@dataclass(slots=True)
class EpisodeBuffer:
    """The steps of one game, with one item per step in each list. Rewards are added to the last step."""

    observations: list[NDArray[np.float32]] = field(default_factory=list)
    actions: list[ActionArray] = field(default_factory=list)
    log_probs: list[np.floating] = field(default_factory=list)
    masks: list[NDArray[np.bool_]] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)

    def add(
        self,
        observation: NDArray[np.float32],
        action: ActionArray,
        log_prob: np.floating,
        mask: NDArray[np.bool_] | None,
    ) -> None:
        """Append a step with a reward of 0."""
        self.observations.append(observation)
        self.actions.append(action)
        self.log_probs.append(log_prob)
        if mask is not None:
            self.masks.append(mask)
        self.rewards.append(0.0)

    @property
    def steps(self) -> int:
        """The number of steps so far."""
        return len(self.actions)


@dataclass(frozen=True, slots=True)
class EpisodeEnd:
    """How the recorded steps end. This differs from the game's own end if the game was too long and was cut."""

    observation: NDArray[np.float32]  # after the last step
    terminated: bool  # by the game's own rules; False: truncated, so the last observation is bootstrapped from
    won: bool


def max_steps(spec: RunSpec) -> int:
    """The maximum number of steps recorded of one game, so that the run accepts it and it fits into one entry."""
    actions = spec.game.actions
    numbers = spec.game.features + sum(actions.shape) + len(actions.shape) + 4
    step_bytes = 4 * numbers + sum(actions.sizes)
    # Divided by two, because fragments of a single step contain each observation twice.
    fits = max(MAX_BYTES // (2 * step_bytes), 1)
    columns = 1 if spec.rollout.unroll == "games" else MAX_COLUMNS
    return min(spec.rollout.fragment_length * columns, fits)


def to_trajectory(buffer: EpisodeBuffer, end: EpisodeEnd, began_ms: int, spec: RunSpec) -> Trajectory:
    """One whole game of at least one step, which began at `began_ms`, as one trajectory.

    In a run of whole games it is one column, [T, 1]. In a run of fragments, the game's fragments are side by side,
    [fragment_length, fragments]. After a fragment's last step comes the first observation of the next fragment, to
    bootstrap from. After the game's last step comes its final observation, followed by steps that are not valid.
    """
    steps = buffer.steps
    rows = min(steps, spec.rollout.fragment_length)
    columns = -(-steps // rows)

    def fragments(flat: NDArray[Any]) -> NDArray[Any]:
        padded = np.zeros((rows * columns, *flat.shape[1:]), flat.dtype)
        padded[:steps] = flat
        return np.ascontiguousarray(padded.reshape(columns, rows, *flat.shape[1:]).swapaxes(0, 1))

    observations = np.stack([*buffer.observations, end.observation])
    starts, row = rows * np.arange(columns), np.arange(rows + 1)[:, None]
    last = np.zeros(steps, np.bool_)
    last[-1] = True
    rewards = np.array(buffer.rewards, np.float32)
    masks = None
    if spec.game.masked:
        masks = fragments(np.stack(buffer.masks))
        masks |= ~masks.any(axis=-1, keepdims=True)  # a padded step that allows nothing has no distribution
    return Trajectory(
        observations=observations[np.minimum(starts + row, steps)],
        actions=fragments(np.stack(buffer.actions)),
        log_probs=fragments(np.array(buffer.log_probs, np.float32)),
        rewards=fragments(rewards),
        terminated=fragments(last & end.terminated),
        truncated=fragments(last & (not end.terminated)),
        valid=fragments(np.ones(steps, np.bool_)),
        masks=masks,
        episodes=Episodes(
            (float(rewards.sum(dtype=np.float64)),), (steps,), (began_ms,), (end.won,) if spec.game.wins else None
        ),
    )
