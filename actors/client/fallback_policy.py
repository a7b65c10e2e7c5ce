"""The fallback policy, for playing without one from the run: uniform over the actions known to be allowed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...common.actions import Box, Discrete, MultiDiscrete

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...common.actions import ActionSpace
    from ..inference.batched_inference import Action

_NONE = np.zeros(0, np.bool_)


def as_flags(mask: Any) -> NDArray[np.bool_]:  # noqa: ANN401 - whatever the game has
    """A mask as flat booleans; empty if `mask` is None or not a mask."""
    try:
        return _NONE if mask is None else np.array(mask, np.bool_).ravel()
    except (TypeError, ValueError):
        return _NONE


def uniform(actions: ActionSpace, mask: NDArray[np.bool_], rng: np.random.Generator) -> Action:
    """Draw one action, among the allowed ones if there are as many flags as actions."""
    match actions:
        case Discrete(n):
            choices = np.flatnonzero(mask) if mask.size == n else ()
            return int(rng.choice(choices)) if len(choices) else int(rng.integers(n))
        case MultiDiscrete(sizes):
            parts = np.split(mask, np.cumsum(sizes)[:-1]) if mask.size == sum(sizes) else [_NONE] * len(sizes)
            drawn = [uniform(Discrete(size), part, rng) for size, part in zip(sizes, parts, strict=True)]
            return np.array(drawn, np.int32)
        case Box(low, high):
            return rng.uniform(low, high)
