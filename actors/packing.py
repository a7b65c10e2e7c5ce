"""Whole games, already played, as trajectories in the form that a run's spec asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..common.trajectory import Trajectory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..common.spec import RunSpec
    from .experience import PlayedGame


def pack(games: Sequence[PlayedGame], spec: RunSpec) -> Trajectory:
    """One trajectory of all the games.

    The games are laid end to end, an invalid step between each two as after any ending, and the whole is cut into
    columns of the run's rollout length. One game that is not longer than that is a trajectory as it stands.
    """
    steps = sum(len(game.actions) + 1 for game in games) - 1
    length = min(spec.rollout.length, steps)
    columns = -(-steps // length)
    at = np.arange(length + 1)[:, None] + length * np.arange(columns)  # [T + 1, B] into the games laid end to end
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
        returns=np.array([game.rewards.sum(dtype=np.float64) for game in games], np.float32),
        lengths=np.array([len(game.actions) for game in games], np.int32),
    )
