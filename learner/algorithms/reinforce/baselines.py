"""Baselines of whole games that do not depend on the game's own result: a moving average, or the other games' mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ....common.policy.network import Floats
    from ....common.wire.codec import Array

_STEP = 0.05  # the original bot's online rule: b <- 0.95 b + 0.05 mean(G)


class MovingAverage:
    """A moving average over games, with the bias from the start corrected as in Adam: after one game it is that game's.

    It is folded game by game, in the order of the batch's columns (by actor, and then as the actor sent them). So ten
    games make the same averages one at a time and in one batch.
    """

    def __init__(self) -> None:
        self._average = np.zeros(1)
        self._weight = np.zeros(1)  # the weight of the games in it; rises to 1

    def fold(self, items: NDArray[np.float64]) -> NDArray[np.float64]:
        """Take one item of each game [B] into the average. Returns the average before and after each, [B + 1]."""
        averages = np.empty(len(items) + 1)
        averages[0] = self._average[0]
        for i, item in enumerate(items.tolist()):
            self._weight += _STEP * (1 - self._weight)
            averages[i + 1] = averages[i] + _STEP / self._weight[0] * (item - averages[i])
        self._average[0] = averages[-1]
        return averages

    def forget(self) -> None:
        """Keep the average for now; the next game replaces it."""
        self._weight[...] = 0

    def state(self) -> dict[str, Array]:
        """Copies of everything that the next `fold` depends on."""
        return {"average": self._average.copy(), "average_weight": self._weight.copy()}

    def restore(self, state: dict[str, Array]) -> None:
        """Continue from a result of `state`, bit for bit."""
        self._average[...], self._weight[...] = state["average"], state["average_weight"]


def means_of_games(values: Floats, trained: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The mean of each column [B] over its trained steps.

    Args:
        values: [T, B], one game a column.
        trained: [T, B], at least one step in each column.
    """
    totals: NDArray[np.float64] = np.where(trained, values, 0).sum(axis=0, dtype=np.float64)
    return totals / np.count_nonzero(trained, axis=0)


def means_of_others(values: Floats, trained: NDArray[np.bool_]) -> NDArray[np.float64]:
    """For each column [B], the mean over the trained steps of all other columns (Kool et al. 2019, leave-one-out).

    With a column's own steps in it, part of the game's result would vanish, and of a batch of one game all of it.

    Args:
        values: [T, B], one game a column, at least two.
        trained: [T, B], at least one step in each column.
    """
    totals: NDArray[np.float64] = np.where(trained, values, 0).sum(axis=0, dtype=np.float64)
    counts = np.count_nonzero(trained, axis=0)
    return (totals.sum() - totals) / (counts.sum() - counts)
