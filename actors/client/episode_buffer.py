"""The episode buffer: the steps of one game, as they are played."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ...common.labels import NO_LABELS
from ...common.own_metrics import NO_METRICS
from ...common.wire.trajectory import MAX_BYTES, MAX_COLUMNS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ...common.labels import Labels
    from ...common.own_metrics import OwnMetrics
    from ...common.policy.distributions import ActionArray
    from ...common.spec import RunSpec
    from ...common.wire.weights import Pointer


@dataclass(slots=True)
class EpisodeBuffer:
    """The steps of one game, with one item per step in each list. Rewards are added to the last step."""

    observations: list[NDArray[np.float32]] = field(default_factory=list)
    actions: list[ActionArray] = field(default_factory=list)
    log_probs: list[np.floating] = field(default_factory=list)
    masks: list[NDArray[np.bool_]] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    versions: list[tuple[int, Pointer]] = field(default_factory=list)  # the first step of each, in order

    def add(
        self,
        observation: NDArray[np.float32],
        action: ActionArray,
        log_prob: np.floating,
        mask: NDArray[np.bool_] | None,
        pointer: Pointer,
    ) -> None:
        """Append a step with a reward of 0. The version at `pointer` chose its action."""
        if not self.versions or self.versions[-1][1] != pointer:
            self.versions.append((len(self.actions), pointer))
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


@dataclass(frozen=True, slots=True, eq=False)
class RecordedGame:
    """A finished game that can be trained on: at least one step, each by a version of one epoch."""

    id: str  # of its episode
    buffer: EpisodeBuffer
    end: EpisodeEnd
    began_ms: int
    spec: RunSpec
    metrics: OwnMetrics = NO_METRICS  # the game's own
    labels: Labels = NO_LABELS

    @property
    def steps(self) -> int:
        """Recorded steps."""
        return self.buffer.steps

    @property
    def bytes(self) -> int:
        """About as many as its payload has."""
        return self.buffer.steps * step_bytes(self.spec)


@dataclass(frozen=True, slots=True, eq=False)
class EvaluationGame:
    """A finished game that was played greedily, by one version, to evaluate it. Its steps are not kept."""

    id: str  # of its episode
    pointer: Pointer
    total_reward: float
    steps: int  # at least 1
    won: bool
    began_ms: int
    spec: RunSpec
    labels: Labels = NO_LABELS


@functools.lru_cache(maxsize=16)
def step_bytes(spec: RunSpec) -> int:
    """At most so many bytes of a payload for one step."""
    actions = spec.game.actions
    numbers = spec.game.features + sum(actions.shape) + len(actions.shape) + 4
    return 4 * numbers + sum(actions.sizes)


def max_steps(spec: RunSpec) -> int:
    """The maximum number of steps recorded of one game, so that the run accepts it and it fits into one entry."""
    # Divided by two, because fragments of a single step contain each observation twice.
    fits = max(MAX_BYTES // (2 * step_bytes(spec)), 1)
    columns = 1 if spec.rollout.unroll == "games" else MAX_COLUMNS
    return min(spec.rollout.fragment_length * columns, fits)
