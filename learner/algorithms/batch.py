"""The batch: trajectories concatenated along columns, the arrays that every algorithm trains on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ...common.policy.distributions import ActionArray
    from ...common.policy.network import Floats
    from ...common.wire.trajectory import Trajectory


@dataclass(frozen=True, slots=True)
class Batch:
    """Columns of play. Shorter columns are padded with steps that are not `valid`, to the longest one's T.

    The observation after a column's last valid step is the one to bootstrap from, whether or not the game ended there.
    After a termination there is no bootstrap.
    """

    observations: Floats  # [T + 1, B, F], each observation flattened
    actions: ActionArray  # [T, B, *action shape]
    log_probs: Floats  # [T, B] of the actions, under the behaviour policy
    rewards: Floats  # [T, B]
    terminated: NDArray[np.bool_]  # [T, B]
    truncated: NDArray[np.bool_]  # [T, B]
    valid: NDArray[np.bool_]  # [T, B]
    masks: NDArray[np.bool_] | None  # [T, B, A]
    games: int  # the number of games that ended in the batch
    stale_share: float = 0.0  # the share of the trajectories that were played with an older version

    @property
    def steps(self) -> int:
        """The number of environment steps to train on."""
        return int(np.count_nonzero(self.valid))


def collate(trajectories: Sequence[Trajectory], staleness: Sequence[int] = ()) -> Batch:
    """Concatenate trajectories along columns, in the given order.

    Args:
        trajectories: at least one.
        staleness: of each trajectory, in versions; empty: all 0.
    """
    steps = max(len(trajectory.actions) for trajectory in trajectories)
    games = sum(trajectory.games for trajectory in trajectories)

    def join(name: str) -> Any:  # noqa: ANN401 - each field has a dtype of its own
        return np.concatenate([_pad(getattr(trajectory, name), steps) for trajectory in trajectories], axis=1)

    observations = np.concatenate([_pad(each.observations, steps + 1) for each in trajectories], axis=1)
    return Batch(
        observations=observations.reshape(*observations.shape[:2], -1).astype(np.float32, copy=False),
        actions=join("actions"),
        log_probs=join("log_probs"),
        rewards=join("rewards"),
        terminated=join("terminated"),
        truncated=join("truncated"),
        valid=join("valid"),
        masks=None if trajectories[0].masks is None else join("masks"),
        games=games,
        stale_share=sum(lag > 0 for lag in staleness) / max(len(staleness), 1),
    )


def _pad(array: NDArray[np.generic], length: int) -> NDArray[np.generic]:
    missing = length - len(array)
    if not missing:
        return array
    if array.dtype == np.bool_ and array.ndim == 3:  # masks: a distribution needs an allowed action
        return np.concatenate([array, np.ones((missing, *array.shape[1:]), array.dtype)])
    return np.concatenate([array, np.zeros((missing, *array.shape[1:]), array.dtype)])
