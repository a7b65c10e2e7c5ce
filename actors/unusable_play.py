"""Sets columns of play aside that the learner cannot train on, so that they cost no other ones.

One game of an actor that gives a reward of NaN would otherwise have the whole fragment rejected, all games of it. The
columns set aside are sent in an entry of their own, and the learner rejects and counts it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..common.wire.trajectory import REWARD_MAX
from .fragment_parts import in_parts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ..common.spec import GameSpec
    from ..common.wire.trajectory import Trajectory
    from .rollout import Fragment


def with_unusable_apart(fragments: Sequence[Fragment], game: GameSpec) -> tuple[list[Fragment], str]:
    """The fragments, in parts where only some columns are usable; and what is wrong with the others, or nothing."""
    parts: list[Fragment] = []
    problem = ""
    for fragment in fragments:
        unusable = unusable_columns(fragment.trajectory)
        if unusable is None:
            parts.append(fragment)
        else:
            problem = problem or first_problem(fragment.trajectory, game)
            parts += in_parts(fragment, [np.flatnonzero(~unusable), np.flatnonzero(unusable)])
    return parts, problem


def unusable_columns(trajectory: Trajectory) -> NDArray[np.bool_] | None:
    """The columns [B] with a number that is not finite, or a reward that is too large; None if there are none."""
    columns = trajectory.valid.shape[1]
    unusable = np.zeros(columns, np.bool_)
    with np.errstate(all="ignore"):
        for values in (trajectory.observations, trajectory.log_probs, trajectory.actions):
            # A sum takes a fraction of the time, and is finite if all values are and none is huge.
            if values.dtype.kind == "f" and not np.isfinite(values.sum()):
                unusable |= ~np.isfinite(values).reshape(len(values), columns, -1).all(axis=(0, 2))
        if not np.vdot(trajectory.rewards, trajectory.rewards) <= REWARD_MAX**2:
            unusable |= ~(np.abs(trajectory.rewards) <= REWARD_MAX).all(axis=0)
    if not np.isfinite(trajectory.episodes.returns).all():  # of a game whose reward was unusable in a fragment before
        ended_in = np.nonzero(trajectory.terminated | trajectory.truncated)[1]  # in the games' order
        unusable[ended_in[~np.isfinite(trajectory.episodes.returns)]] = True
    return unusable if unusable.any() else None


def first_problem(trajectory: Trajectory, game: GameSpec) -> str:
    """The first unusable observation or reward, with its name and place; nothing if there is none of them."""
    rewards = np.argwhere(~(np.abs(trajectory.rewards) <= REWARD_MAX))
    flat = trajectory.observations.reshape(*trajectory.observations.shape[:2], -1)
    numbers = np.argwhere(~np.isfinite(flat))
    if len(numbers):
        step, copy, feature = numbers[0].tolist()
        return f"{_name_of(feature, game)}: {flat[step, copy, feature]}, expected a finite number (copy {copy})"
    if len(rewards):
        step, copy = rewards[0].tolist()
        value = trajectory.rewards[step, copy]
        return f"reward: {value:g}, expected a finite number of at most {REWARD_MAX:g} either way (copy {copy})"
    return ""


def _name_of(feature: int, game: GameSpec) -> str:
    """The name of a number of a flat observation: where it is in the game's own observation."""
    if game.observation_parts:
        for part in game.observation_parts:
            if feature < part.features:
                index = np.unravel_index(feature, part.shape) if part.shape and part.kind != "one_hot" else ()
                return "".join([f"observation {part.name}", *(f"[{each}]" for each in index)])
            feature -= part.features
    index = np.unravel_index(feature, game.observation_shape)
    return "".join(["observation", *(f"[{each}]" for each in index)])
