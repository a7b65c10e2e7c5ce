"""The figures of an update: names to numbers, as they appear in `stats` and in the versions stream."""

from __future__ import annotations

import math

from ...common.errors import BroodmindError

Metrics = dict[str, float]


class NonFinite(BroodmindError):
    """A loss or a gradient is infinite or not a number: the update must not be published."""


def check_finite(metrics: Metrics) -> None:
    """Raise NonFinite, naming the first figure that is not finite."""
    for name, value in metrics.items():
        if not math.isfinite(value):
            raise NonFinite(f"{name}: {value}, expected a finite number")
