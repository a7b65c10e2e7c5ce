"""Running mean and variance of vectors, for the normalisation of observations.

One bad number must not ruin a run: with mean and variance of all rows so far, a few rows of 1e6 made all later
observations of CartPole the same for the network. So rows are clipped before they enter, and old rows are forgotten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...common.policy.network import NORMALISED_MAX
from .outliers import believable_range

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...common.wire.codec import Array

WARM_ROWS = 1000  # then the deviation is known to a few per cent, also where a row is much like the one before
# Rows that count. More than a short run has, so that its moments are those of all its rows; few enough that a run of
# many millions follows its policy to where that plays now.
COUNT_MAX = 1_000_000
# Where a batch is less than a third as wide as the moments say, something bad is in them, or the game has changed: they
# then count for as few rows as five usual batches have, and the deviation is halved every 14,000 rows. A feature that
# is too small by less than that is one from which a network learns.
_TOO_WIDE, _COUNT_TOO_WIDE = 3.0, 10_000
# Where more than half of a batch is at the clip, the game has changed, or half of a batch is bad. The deviation grows
# by a factor of e every 2,000 such rows, and one bad batch makes it less than twice as large.
_AT_CLIP, _COUNT_AT_CLIP = NORMALISED_MAX**2 / 2, 100_000
# Where at most half of a batch is outside of the range, the others know better, and the deviation grows by a factor of
# e every 100,000 rows at most. An entry with bad numbers is up to half of a batch. When it was only clipped, it made
# the deviations of a run of 30,000 rows 1.6 times as large at once, and Pendulum's policy fell from -110 to -1140.
_MINORITY, _COUNT_MINORITY = 0.5, 50_000
_LEAST_DEVIATION = 1e-6
_FORGOTTEN = 1e-100  # rows that the moments stand for when the next batch shall replace them

Range = tuple["NDArray[np.float64]", "NDArray[np.float64]"]


class Moments:
    """Mean and variance of the last rows, by Chan's parallel update (Chan, Golub and LeVeque 1979, eq. 2.1).

    What enters is clipped to mean +- 10 deviations, where the network's inputs are clipped: what the network cannot
    tell apart does not count as different. The moments still follow a feature whose level moves, however far: rows at
    the clip add 100 variances each, so that the deviation grows exponentially. Before there are 1000 rows, each batch
    is clipped by its own median and median absolute deviation.
    """

    def __init__(self, width: int) -> None:
        self._count = np.zeros(1, np.float64)
        self._mean: NDArray[np.float64] = np.zeros(width, np.float64)
        self._m2: NDArray[np.float64] = np.zeros(width, np.float64)  # sum of squared deviations from the mean

    def update(self, rows: NDArray[np.floating]) -> Range | None:
        """Update the moments with rows [N, width].

        Returns:
            The range [width] to which rows were clipped; None if all of them were in it.
        """
        count = len(rows)
        if not count:
            return None
        low, high = self._range if self._is_warm else believable_range(rows, NORMALISED_MAX)
        outside = (rows.min(axis=0) < low) | (rows.max(axis=0) > high)
        if outside.any():
            rows = (
                self._less_of_a_minority(np.clip(rows, low, high), low, high) if self._is_warm else rows.clip(low, high)
            )
        mean = rows.mean(axis=0, dtype=np.float64)
        m2 = np.square(rows - mean).sum(axis=0)
        delta = mean - self._mean
        counted = min(self._count[0], max(COUNT_MAX - count, 0))
        before = self._counted(counted, m2 / count, delta, outside)
        share = count / (before + count)
        variance = (1 - share) * (self._variance + share * delta * delta) + share * m2 / count
        self._mean[...] = (1 - share) * self._mean + share * mean  # exactly the batch's, if nothing else counts
        self._count[0] = counted + count
        self._m2[...] = variance * self._count[0]
        return (low, high) if outside.any() else None

    def forget(self) -> None:
        """Keep mean and deviation for now, and let the next batch replace them."""
        counted = min(self._count[0], _FORGOTTEN)
        self._m2[...] = self._variance * counted
        self._count[0] = counted

    @property
    def mean(self) -> NDArray[np.float64]:
        """The mean [width]; 0 before the first row."""
        return self._mean

    @property
    def deviation(self) -> NDArray[np.float64]:
        """The standard deviation [width]; 1 before there are two rows, and where all values were equal."""
        deviation = np.sqrt(self._variance)
        return np.where(deviation > _LEAST_DEVIATION, deviation, 1.0)

    def state(self) -> dict[str, Array]:
        """Copies of everything that the next update depends on."""
        return {"count": self._count.copy(), "mean": self._mean.copy(), "m2": self._m2.copy()}

    def restore(self, state: dict[str, Array]) -> None:
        """Continue from a result of `state`, bit for bit; also from one whose moments were of all rows."""
        self._count[...], self._mean[...], self._m2[...] = state["count"], state["mean"], state["m2"]

    @property
    def _is_warm(self) -> bool:
        return bool(self._count[0] >= WARM_ROWS)

    @property
    def _variance(self) -> NDArray[np.float64]:
        return self._m2 / self._count[0] if self._count[0] else self._m2

    @property
    def _range(self) -> Range:
        reach = NORMALISED_MAX * self.deviation
        return self._mean - reach, self._mean + reach

    def _less_of_a_minority(
        self, rows: NDArray[np.floating], low: NDArray[np.float64], high: NDArray[np.float64]
    ) -> NDArray[np.floating]:
        """The rows [N, width], clipped to a range [width], with those at its ends moved inwards if they are a minority.

        They are put where they add 1 / 50,000 of the variance for each row of the batch.
        """
        count = len(rows)
        below, above = rows <= low, rows >= high
        share = (below | above).mean(axis=0)  # of the batch
        weight = share * count / (min(self._count[0], COUNT_MAX - count) + count)  # of the moments
        with np.errstate(divide="ignore"):
            reach = np.minimum(np.sqrt(count / _COUNT_MINORITY / weight), NORMALISED_MAX)
        reach[share > _MINORITY] = NORMALISED_MAX
        reach *= self.deviation
        return np.where(below, self._mean - reach, np.where(above, self._mean + reach, rows))

    def _counted(
        self,
        counted: float,
        variance: NDArray[np.float64],
        delta: NDArray[np.float64],
        outside: NDArray[np.bool_],
    ) -> NDArray[np.float64]:
        """For how many rows [width] the moments count beside a batch.

        Args:
            counted: for how many at most.
            variance: of the batch, clipped.
            delta: its mean minus the moments'.
            outside: the features of which some of its rows were clipped.
        """
        before = np.full_like(delta, counted)
        if self._is_warm:
            old, found = self._variance, variance + delta * delta
            # A batch in which a feature is constant says nothing of its width, one with rare events too little.
            tells = (variance > _LEAST_DEVIATION**2) & ~outside
            before[tells & (found < old / _TOO_WIDE**2)] = min(counted, _COUNT_TOO_WIDE)
            before[found > old * _AT_CLIP] = min(counted, _COUNT_AT_CLIP)
        return before
