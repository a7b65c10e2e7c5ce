"""Action masks of Gymnasium environments: from a step's infos, or from a dict of observations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..checks.checked_game import nothing_legal
from .observation_space import MASK

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ....common.actions import ActionSpace


def masks_of(source: dict[str, Any], actions: ActionSpace, ended: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The action masks [N, A] of a step.

    Args:
        source: what has the masks: the infos of a vector environment, or its observations.
        actions: the policy's action space, whose choices the mask has one after the other.
        ended: the games [N] that have just ended.

    Raises:
        ValueError: if a game that goes on has no mask, one of another length, or one that allows nothing.
    """
    shape = (len(ended), sum(actions.sizes))
    raw, given = source.get(MASK), np.asarray(source.get(f"_{MASK}", True))
    if (~ended & (~given if raw is not None else True)).any():
        raise ValueError(f"{MASK}: missing, expected one at every step, as reset gave one")
    masks = np.zeros(shape, np.bool_) if raw is None else _one_array(raw, shape)
    starts = np.cumsum([0, *actions.sizes[:-1]])
    nothing = ~np.logical_or.reduceat(masks, starts, axis=1)
    if (stuck := nothing & ~ended[:, None]).any():
        raise ValueError(f"{MASK}: {nothing_legal(stuck)}")
    # At a game's end some environments give a mask of zeros, or no mask. All actions are then marked as legal: the
    # action of that step is ignored anyway.
    return masks | np.repeat(nothing, actions.sizes, axis=1)


def _one_array(raw: Any, shape: tuple[int, int]) -> NDArray[np.bool_]:  # noqa: ANN401 - as the environment gave it
    """The masks as one array. Those of a tuple of choices come as one array of objects, or as a tuple of arrays."""
    if isinstance(raw, tuple):
        raw = np.concatenate([np.asarray(each).reshape(shape[0], -1) for each in raw], axis=1)
    masks = np.asarray(raw)
    if masks.dtype == object:
        none = np.zeros(shape[1], np.bool_)
        rows = [none if each is None else np.concatenate([np.ravel(part) for part in each]) for each in masks]
        masks = np.array(rows)
    masks = masks.reshape(len(masks), -1)
    if masks.shape != shape:
        raise ValueError(f"{MASK}: {masks.shape[1]} numbers, expected {shape[1]}, one for each option")
    return masks.astype(np.bool_)
