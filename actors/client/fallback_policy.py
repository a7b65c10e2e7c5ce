"""Playing without a policy: actions drawn uniformly from what is known to be possible."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...common.actions import Box, Discrete, MultiDiscrete

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...common.actions import ActionSpace
    from ..inference.batched_inference import Action

_NONE = np.zeros(0, np.bool_)


def flags(mask: Any) -> NDArray[np.bool_]:  # noqa: ANN401 - whatever the game has
    """A mask as booleans; empty where it is none."""
    try:
        return _NONE if mask is None else np.array(mask, np.bool_).ravel()
    except (TypeError, ValueError):
        return _NONE


def uniform(actions: ActionSpace, allowed: NDArray[np.bool_], rng: np.random.Generator) -> Action:
    """One move, among those allowed where the flags fit the actions."""
    match actions:
        case Discrete(n):
            choices = np.flatnonzero(allowed) if allowed.size == n else ()
            return int(rng.choice(choices)) if len(choices) else int(rng.integers(n))
        case MultiDiscrete(sizes):
            parts = np.split(allowed, np.cumsum(sizes)[:-1]) if allowed.size == sum(sizes) else [_NONE] * len(sizes)
            moves = [uniform(Discrete(size), part, rng) for size, part in zip(sizes, parts, strict=True)]
            return np.array(moves, np.int32)
        case Box(low, high):
            return rng.uniform(low, high)
