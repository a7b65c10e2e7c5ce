"""Checks of the numbers in a stored history, which a learner may have written or not."""

from __future__ import annotations

import math
from typing import Any


def finite(value: Any) -> Any:  # noqa: ANN401 - from a decoded list
    """The value, if it is a finite number. Raises TypeError."""
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        raise TypeError(f"{value!r:.40}, expected a finite number")
    return value
