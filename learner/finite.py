"""The guard against updates that would ruin the weights."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ..common.errors import BroodmindError

if TYPE_CHECKING:
    from .figures import Figures


class NonFinite(BroodmindError):
    """A loss or a gradient is infinite or not a number: the update must not be published."""


def check_finite(figures: Figures) -> None:
    """Raise NonFinite, naming the first figure that is not finite."""
    for name, value in figures.items():
        if not math.isfinite(value):
            raise NonFinite(f"{name}: {value}, expected a finite number")
