"""The batch: trajectories concatenated along columns, the arrays that every algorithm trains on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...common.policy.network import scaled
from .history import History

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

    observations: Floats  # [T + 1, B, F], each observation flattened and scaled
    actions: ActionArray  # [T, B, *action shape]
    log_probs: Floats  # [T, B] of the actions, under the behaviour policy
    rewards: Floats  # [T, B]
    terminated: NDArray[np.bool_]  # [T, B]
    truncated: NDArray[np.bool_]  # [T, B]
    valid: NDArray[np.bool_]  # [T, B]
    masks: NDArray[np.bool_] | None  # [T, B, A]
    games: int  # that ended in it
    # [T, B], how many versions ago each step was played; None where all are of the latest version.
    ages: NDArray[np.int32] | None = None
    # [T, B], False for steps that are too stale to train on, which are part of their game all the same; None where
    # there are none.
    fresh: NDArray[np.bool_] | None = None
    # [T, B], by which each step's part in the policy's gradient is multiplied; None where all are 1.
    weights: Floats | None = None
    # [T, B], the steps that were played, where `valid` lacks stale ones; None where `valid` has them all.
    played: NDArray[np.bool_] | None = None
    noise_correlation: float = 0.0  # of a Gaussian policy, from one step to the next

    @property
    def trained(self) -> NDArray[np.bool_]:
        """The steps [T, B] that are trained on."""
        return self.valid if self.fresh is None else self.valid & self.fresh

    @property
    def steps(self) -> int:
        """Environment steps to train on."""
        return int(np.count_nonzero(self.trained))

    def without_stale_steps(self) -> Batch:
        """The batch with its stale steps not valid, for algorithms that bootstrap where a column is cut."""
        return self if self.fresh is None else replace(self, valid=self.trained, fresh=None, played=self.valid)

    def history(self, where: NDArray[np.bool_]) -> History | None:
        """The steps before the valid steps `where` [T, B], on which their actions' noise depended; None if it did not.

        The noise starts anew with each game and with each column, so the first step of neither has one before it.
        """
        if not self.noise_correlation:
            return None
        played = self.valid if self.played is None else self.played
        # A game's last step is followed by one that is not valid, so what is before a valid step is of the same game.
        known = np.concatenate([np.zeros_like(played[:1]), played[:-1]])
        return History(
            np.concatenate([self.observations[:1], self.observations[:-2]])[where],
            np.concatenate([self.actions[:1], self.actions[:-1]])[where],
            known[where],
            self.noise_correlation,
        )


def collate(
    trajectories: Sequence[Trajectory],
    fresh: Sequence[NDArray[np.bool_] | None] = (),
    ages: Sequence[NDArray[np.int32]] = (),
) -> Batch:
    """Put trajectories next to each other, in the order given.

    Args:
        trajectories: at least one.
        fresh: of each trajectory, the steps [T, B] that are not too stale; None where none is. Empty: none is anywhere.
        ages: of each trajectory, how many versions ago its steps [T, B] were played. Empty: all are of the latest one.
    """
    steps = max(len(trajectory.actions) for trajectory in trajectories)
    games = sum(trajectory.games for trajectory in trajectories)

    def join(name: str) -> Any:  # noqa: ANN401 - each field has a dtype of its own
        return np.concatenate([_pad(getattr(trajectory, name), steps) for trajectory in trajectories], axis=1)

    observations = np.concatenate([_pad(each.observations, steps + 1) for each in trajectories], axis=1)
    return Batch(
        observations=scaled(observations.reshape(*observations.shape[:2], -1)),
        actions=join("actions"),
        log_probs=join("log_probs"),
        rewards=join("rewards"),
        terminated=join("terminated"),
        truncated=join("truncated"),
        valid=join("valid"),
        masks=None if trajectories[0].masks is None else join("masks"),
        games=games,
        ages=np.concatenate([_pad(each, steps) for each in ages], axis=1) if any(each.any() for each in ages) else None,
        fresh=_join_fresh(trajectories, fresh, steps) if any(each is not None for each in fresh) else None,
    )


def _join_fresh(
    trajectories: Sequence[Trajectory], fresh: Sequence[NDArray[np.bool_] | None], steps: int
) -> NDArray[np.bool_]:
    joined = [
        np.ones(trajectory.valid.shape, np.bool_) if each is None else each
        for trajectory, each in zip(trajectories, fresh, strict=True)
    ]
    return np.concatenate([_pad(each, steps) for each in joined], axis=1)


def _pad(array: NDArray[np.generic], length: int) -> NDArray[np.generic]:
    missing = length - len(array)
    if not missing:
        return array
    if array.dtype == np.bool_ and array.ndim == 3:  # masks: a distribution needs an allowed action
        return np.concatenate([array, np.ones((missing, *array.shape[1:]), array.dtype)])
    return np.concatenate([array, np.zeros((missing, *array.shape[1:]), array.dtype)])
