"""PopArt: value targets normalised, outputs preserved (van Hasselt et al. 2016, arXiv 1602.07714, algorithm 1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ...common.policy.network import Floats, Params
    from ...common.wire.codec import Array

_LEAST_DEVIATION = 1e-4


class ValueScale:
    """The mean and deviation of value targets; the network's value head gives V in units of them.

    Moving averages with step size `beta`, its bias from the start corrected as in Adam. With beta 0 it is the identity.
    """

    def __init__(self, beta: float) -> None:
        self._beta = beta
        self._moments = np.array([0.0, 1.0])  # of the targets: mean, mean square
        self._weight = np.zeros(1)  # of what was seen, in the moving averages; rises to 1

    @property
    def mean(self) -> float:
        """Of the targets."""
        return float(self._moments[0])

    @property
    def deviation(self) -> float:
        """Of the targets; 1 before the first."""
        return max(float(np.sqrt(max(self._moments[1] - self._moments[0] ** 2, 0.0))), _LEAST_DEVIATION)

    def values(self, outputs: Floats) -> Floats:
        """V, from the head's outputs."""
        return outputs * np.float32(self.deviation) + np.float32(self.mean)

    def normalise(self, targets: Floats) -> Floats:
        """Targets in the head's units."""
        return (targets - np.float32(self.mean)) / np.float32(self.deviation)

    def update(self, targets: Floats, params: Params) -> None:
        """Move the statistics towards `targets` [N], and the value head so that V stays what it was."""
        if not self._beta:
            return
        mean, deviation = self.mean, self.deviation
        self._weight += self._beta * (1 - self._weight)
        step = self._beta / float(self._weight[0])  # 1 at the first update: nothing is left of the start
        seen = np.array([targets.mean(dtype=np.float64), np.square(targets, dtype=np.float64).mean()])
        self._moments += step * (seen - self._moments)
        head = max(int(name.rpartition("w")[2]) for name in params if name.startswith("value/w"))
        weights, bias = params[f"value/w{head}"], params[f"value/b{head}"]
        weights *= np.float32(deviation / self.deviation)
        bias[...] = (bias * deviation + mean - self.mean) / self.deviation

    def state(self) -> dict[str, Array]:
        """Copies of everything the next update depends on."""
        return {"moments": self._moments.copy(), "weight": self._weight.copy()}

    def restore(self, state: dict[str, Array]) -> None:
        """Go on from what `state` gave, bit for bit."""
        self._moments[...], self._weight[...] = state["moments"], state["weight"]
