"""Outliers: the range in which numbers are believed while nothing is known of them but the numbers themselves."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ROWS_LEAST = 32  # of fewer, the median of the distances may be small by chance
_TO_DEVIATION = 1.4826  # of a normal distribution: its standard deviation over its median absolute deviation


def believable_range(rows: NDArray[np.floating], deviations: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The median of each column plus and minus so many deviations, estimated from the median absolute deviation.

    The estimate is that of Hampel 1974 (The influence curve and its role in robust estimation): it holds as long as
    fewer than half of a column's numbers are wrong, however wrong they are. Where more than half of them are equal it
    says nothing, as with fewer than 32 rows: the range is then infinite.

    Args:
        rows: [N, width].
        deviations: half of the range's width.

    Returns:
        The lower and the upper end, [width].
    """
    width = rows.shape[1]
    if len(rows) < _ROWS_LEAST:
        return np.full(width, -math.inf), np.full(width, math.inf)
    wide = rows.astype(np.float64)
    centre = np.median(wide, axis=0)
    spread = _TO_DEVIATION * np.median(np.abs(wide - centre), axis=0)
    reach = np.where(spread > 0, deviations * spread, math.inf)
    return centre - reach, centre + reach
