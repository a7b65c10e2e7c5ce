"""Collates recorded games, or fragments of games, into trajectories in the form that a run's spec requires."""

from __future__ import annotations

from dataclasses import fields
from functools import reduce
from operator import add
from typing import TYPE_CHECKING

import numpy as np

from ...common.process.clock import now_ms
from ...common.wire.entry_header import Episodes
from ...common.wire.trajectory import Trajectory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ...common.spec import RunSpec
    from .bot_experience import PlayedGame


def collate_games(games: Sequence[PlayedGame], spec: RunSpec) -> Trajectory:
    """One trajectory [T, B] of all the games.

    The games are concatenated, with an invalid step after the end of each, and the result is cut into columns of the
    run's rollout length. A single game that is not longer than that becomes one column.
    """
    steps = sum(len(game.actions) + 1 for game in games) - 1
    length = min(spec.rollout.fragment_length, steps)
    columns = -(-steps // length)
    at = np.arange(length + 1)[:, None] + length * np.arange(columns)  # [T + 1, B] indices of the concatenated steps
    features = games[0].observations.shape[1]
    observations = np.zeros((length * columns + 1, features), np.float32)
    actions = np.zeros(length * columns, np.int32)
    log_probs, rewards = np.zeros((2, length * columns), np.float32)
    valid, terminated = np.zeros((2, length * columns), np.bool_)
    start = 0
    for game in games:
        end = start + len(game.actions)
        observations[start : end + 1] = game.observations
        actions[start:end], log_probs[start:end], rewards[start:end] = game.actions, game.log_probs, game.rewards
        valid[start:end] = True
        terminated[end - 1] = True
        start = end + 1
    return Trajectory(
        observations=observations[at].reshape(length + 1, columns, *spec.game.observation_shape),
        actions=actions[at[:-1]],
        log_probs=log_probs[at[:-1]],
        rewards=rewards[at[:-1]],
        terminated=terminated[at[:-1]],
        truncated=np.zeros((length, columns), np.bool_),
        valid=valid[at[:-1]],
        episodes=Episodes(
            tuple(float(game.rewards.sum(dtype=np.float64)) for game in games),
            tuple(len(game.actions) for game in games),
            (now_ms(),) * len(games),  # when they were played is not known
        ),
    )


def concatenate_columns(fragments: Sequence[Trajectory]) -> Trajectory:
    """One trajectory with the columns of all fragments. `can_concatenate` must hold for each two of them.

    Which version played which step is left out: these are not the versions of the run that gets them.
    """

    def join(name: str) -> NDArray[np.generic]:
        return np.concatenate([getattr(fragment, name) for fragment in fragments], axis=1)

    names = [field.name for field in fields(Trajectory) if getattr(fragments[0], field.name) is not None]
    columns = {name: join(name) for name in names if name not in {"episodes", "version_offsets"}}
    return Trajectory(**columns, episodes=reduce(add, (fragment.episodes for fragment in fragments)))  # type: ignore[arg-type]


def can_concatenate(one: Trajectory, other: Trajectory) -> bool:
    """Whether two fragments have the same number of steps, and know the same of them (masks) and their games (wins)."""
    if len(one.actions) != len(other.actions) or (one.masks is None) != (other.masks is None):
        return False
    return not (one.games and other.games) or (one.episodes.wins is None) == (other.episodes.wins is None)
