"""Running mean and variance of vectors, for the normalisation of observations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...common.wire.codec import Array


class Moments:
    """Mean and variance of all rows so far, by Chan's parallel update (Chan, Golub and LeVeque 1979, eq. 2.1)."""

    def __init__(self, width: int) -> None:
        self._count = np.zeros(1, np.float64)
        self._mean: NDArray[np.float64] = np.zeros(width, np.float64)
        self._m2: NDArray[np.float64] = np.zeros(width, np.float64)  # sum of squared deviations from the mean

    def update(self, rows: NDArray[np.floating]) -> None:
        """Update the moments with rows [N, width]."""
        count = len(rows)
        if not count:
            return
        mean = rows.mean(axis=0, dtype=np.float64)
        m2 = np.square(rows - mean).sum(axis=0)
        delta, total = mean - self._mean, self._count[0] + count
        self._m2 += m2 + delta * delta * (self._count[0] * count / total)
        self._mean += delta * (count / total)
        self._count[0] = total

    @property
    def mean(self) -> NDArray[np.float64]:
        """The mean [width]; 0 before the first row."""
        return self._mean

    @property
    def deviation(self) -> NDArray[np.float64]:
        """The standard deviation [width]; 1 before there are two rows, and where all values were equal."""
        if self._count[0] < 2:
            return np.ones_like(self._mean)
        deviation = np.sqrt(self._m2 / self._count[0])
        return np.where(deviation > 1e-6, deviation, 1.0)

    def state(self) -> dict[str, Array]:
        """Copies of everything that the next update depends on."""
        return {"count": self._count.copy(), "mean": self._mean.copy(), "m2": self._m2.copy()}

    def restore(self, state: dict[str, Array]) -> None:
        """Continue from a result of `state`, bit for bit."""
        self._count[...], self._mean[...], self._m2[...] = state["count"], state["mean"], state["m2"]
