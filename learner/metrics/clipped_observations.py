"""Warns of observations that are far from all before, names actor and feature; the normaliser clips them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...common.policy.network import NORMALISED_MAX, scaled
from ...common.process.clock import Every
from ...common.process.log import Log

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from ...common.wire.trajectory import Trajectory

_log = Log("learner")

WARN_EVERY_S = 60.0  # a game with rare large numbers has some in every batch
# Deviations from the mean. A policy that learns gets a game to where it never was, by some dozens of them.
WARN_FROM = 100.0


class ClippedObservations:
    """Of each update. For one thread."""

    def __init__(self) -> None:
        self._due = Every(WARN_EVERY_S)

    def look(
        self,
        trained_on: Iterable[tuple[str, Trajectory]],
        clipped_to: tuple[NDArray[np.float64], NDArray[np.float64]] | None,
    ) -> None:
        """Look for the farthest number of an update, and log a warning if it is very far; at most one a minute.

        Args:
            trained_on: actor and trajectory of each entry.
            clipped_to: the range [F] to which the normaliser clipped observations; None if all were in it.
        """
        if clipped_to is None or not self._due.over:
            return
        low, high = clipped_to
        with np.errstate(invalid="ignore"):  # the mean of an infinite range is NaN; no number is outside of it
            mean, deviation = (low + high) / 2, (high - low) / (2 * NORMALISED_MAX)
        farthest, found = 0.0, {}
        for actor, trajectory in trained_on:
            rows = scaled(trajectory.observations[:-1][trajectory.valid]).reshape(-1, len(low))
            if not len(rows):
                continue
            distances = np.nan_to_num(np.abs(rows - mean) / deviation, nan=0.0)
            row, feature = np.unravel_index(int(distances.argmax()), distances.shape)
            if distances[row, feature] > farthest:
                farthest = float(distances[row, feature])
                found = {
                    "actor": actor,
                    "feature": int(feature),
                    "value": f"{rows[row, feature]:g}",
                    "mean": f"{mean[feature]:g}",
                    "deviation": f"{deviation[feature]:g}",
                }
        if farthest > WARN_FROM:
            self._due.due()
            _log.warning("an observation is far from all before, and was clipped: see what the game sends", **found)
