"""How much each actor may have unconsumed: shares what the learner wants in advance among those who contribute."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

BATCHES_AHEAD = 2  # unconsumed in all: the batch that is being trained on, and a full one that is on its way
_MARGIN = 1.5  # over what a slow actor usually has unconsumed, as its rate is not the same in every batch


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one actor contributes, in steps or in games."""

    unconsumed: float  # as far as the learner knows: read, and not yet in a commit
    push: float  # what it added last at once; 0 before the first time
    per_batch: float | None  # the mean of the last batches; None before the first one

    def limited_by(self, level: float) -> bool:
        """See `is_limited`."""
        return is_limited(self.unconsumed, self.push, level)

    def need(self, level: float) -> float:
        """How much it would have unconsumed if there were no level; infinite where it is limited by it."""
        if self.per_batch is None or self.limited_by(level):
            return math.inf
        return _MARGIN * BATCHES_AHEAD * self.per_batch


def is_limited(unconsumed: float, push: float, level: float) -> bool:
    """Whether an actor waits, or is about to, because it may not have more than `level` unconsumed."""
    return unconsumed + push > level


def water_level(needs: Sequence[float], total: float) -> float:
    """The level at which `total` is shared max-min fairly: the sum of min(need, level) is `total`.

    Nobody's share can be raised then without lowering that of somebody who has no more. Where all needs together are
    less than `total`, the level is the largest need, or an equal share if that is more.

    Args:
        needs: one for each actor, at least one.
        total: to be shared.
    """
    left, count = total, len(needs)
    for need in sorted(needs):
        if need >= left / count:
            return left / count
        left, count = left - need, count - 1
    return max(*needs, total / len(needs))


def next_level(actors: Sequence[Contribution], total: float, level: float) -> float:
    """The level that follows from what actors did at the present one.

    Args:
        actors: those who contribute; with none, each may have all.
        total: what all of them may have unconsumed together.
        level: the present one.
    """
    return water_level([actor.need(level) for actor in actors], total) if actors else total
