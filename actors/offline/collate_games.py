"""Play that is over, whole games or pieces, as trajectories in the form that a run's spec asks for."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np

from ...common.wire.trajectory import Trajectory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ...common.spec import RunSpec
    from .bot_experience import PlayedGame

_PER_GAME = {"returns", "lengths", "wins"}  # [G]; all else is [T, B, ...]


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


def side_by_side(fragments: Sequence[Trajectory]) -> Trajectory:
    """One trajectory of pieces that are equally long and know the same (masks, wins): their columns side by side."""

    def join(name: str) -> NDArray[np.generic]:
        return np.concatenate([getattr(fragment, name) for fragment in fragments], axis=0 if name in _PER_GAME else 1)

    names = [field.name for field in fields(Trajectory) if getattr(fragments[0], field.name) is not None]
    return Trajectory(**{name: join(name) for name in names})  # type: ignore[arg-type]


def alike(one: Trajectory, other: Trajectory) -> bool:
    """Whether two pieces can stand side by side."""
    known = [(each.masks is None, each.wins is None) for each in (one, other)]
    return len(one.actions) == len(other.actions) and known[0] == known[1]
