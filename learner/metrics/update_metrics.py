"""The metrics of an update: names to numbers, as in the `stats` hash and in the versions stream."""

from __future__ import annotations

import math

from ...common.errors import BroodmindError

Metrics = dict[str, float]


class NonFinite(BroodmindError):
    """A metric of an update (a loss or a norm) is infinite or NaN. The update must not be published."""


def check_finite(metrics: Metrics) -> None:
    """Raise NonFinite, naming the first metric that is not finite."""
    for name, value in metrics.items():
        if not math.isfinite(value):
            raise NonFinite(f"{name}: {value}, expected a finite number")
