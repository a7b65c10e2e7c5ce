"""Percentiles of values that each stand for a number of steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence


def weighted_percentiles(values: Sequence[int], counts: Sequence[int]) -> dict[str, float]:
    """The 50th and 95th percentile and the maximum, as `p50`, `p95` and `max`.

    The q-th percentile is the smallest value that at least q percent of the steps do not exceed (nearest rank).

    Args:
        values: [N], at least one.
        counts: [N], how many steps have each value; at least 1.
    """
    order = np.argsort(values)
    ordered, steps = np.asarray(values)[order], np.cumsum(np.asarray(counts)[order])
    at = np.searchsorted(steps, steps[-1] * np.array([0.50, 0.95]))
    return {"p50": float(ordered[at[0]]), "p95": float(ordered[at[1]]), "max": float(ordered[-1])}
