"""Cuts a fragment of many games into parts, each with some of its columns."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..common.own_metrics import of_games
from ..common.wire.entry_header import Episodes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ..common.wire.trajectory import Trajectory
    from .rollout import Fragment

_EXCESS_MAX = 1 / 8  # of the batch that was asked for


def split_for_batch(fragment: Fragment, batch_steps: int) -> list[Fragment]:
    """The fragment, or parts of it that each have some of its columns.

    A batch of the parts is at most an eighth larger than the learner asked for, and there are no more than it takes.

    Args:
        fragment: of play in columns, in each of which games end and begin.
        batch_steps: of the learner's batch.
    """
    steps, columns = fragment.trajectory.valid.shape
    count = number_of_parts(steps, columns, batch_steps)
    if count == 1:
        return [fragment]
    return in_parts(fragment, np.array_split(np.arange(columns), count))


def in_parts(fragment: Fragment, columns: Sequence[NDArray[np.intp]]) -> list[Fragment]:
    """The parts of a fragment with these columns each, without those that only reset. Together they are all of it."""
    ended_in = np.nonzero(fragment.trajectory.terminated | fragment.trajectory.truncated)[1]  # in the games' order
    parts = [
        _columns(fragment.trajectory, chosen, np.flatnonzero(np.isin(ended_in, chosen)).tolist()) for chosen in columns
    ]
    return [
        replace(fragment, trajectory=part, open_since_ms=_open_since(fragment.open_since_ms, parts[at + 1 :]))
        for at, part in enumerate(parts)
        if part.steps
    ]


def number_of_parts(steps: int, columns: int, batch_steps: int) -> int:
    """The least number of parts with which a batch is not much too large, or one a column if no number is enough."""
    for count in range(1, columns + 1):
        part = steps * math.ceil(columns / count)
        if math.ceil(batch_steps / part) * part <= (1 + _EXCESS_MAX) * batch_steps:
            return count
    return columns


def _columns(trajectory: Trajectory, chosen: Any, games: Sequence[int]) -> Trajectory:  # noqa: ANN401 - indices
    """Some columns of a trajectory, with those of its games that ended in them."""

    def of(array: Any) -> Any:  # noqa: ANN401 - each array has a dtype of its own
        return None if array is None else array[:, chosen]

    return replace(
        trajectory,
        observations=of(trajectory.observations),
        actions=of(trajectory.actions),
        log_probs=of(trajectory.log_probs),
        rewards=of(trajectory.rewards),
        terminated=of(trajectory.terminated),
        truncated=of(trajectory.truncated),
        valid=of(trajectory.valid),
        masks=of(trajectory.masks),
        version_offsets=of(trajectory.version_offsets),
        episodes=_some_of(trajectory.episodes, games),
    )


def _some_of(episodes: Episodes, games: Sequence[int]) -> Episodes:
    return Episodes(
        tuple(episodes.returns[at] for at in games),
        tuple(episodes.lengths[at] for at in games),
        tuple(episodes.began_ms[at] for at in games),
        None if episodes.wins is None else tuple(episodes.wins[at] for at in games),
        of_games(episodes.metrics[at] for at in games) if episodes.metrics else (),
    )


def _open_since(open_since_ms: int | None, later: Sequence[Trajectory]) -> int | None:
    """When the earliest game began that is open, or ended in a part that is sent later."""
    began = [each for part in later for each in part.episodes.began_ms]
    return open_since_ms if not began else min(began) if open_since_ms is None else min(open_since_ms, *began)
