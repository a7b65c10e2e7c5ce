"""PopArt: normalises value targets and preserves outputs (van Hasselt et al. 2016, arXiv 1602.07714, algorithm 1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ...common.policy.network import Floats, Params
    from ...common.wire.codec import Array

_LEAST_DEVIATION = 1e-4


class ValueScale:
    """The running mean and standard deviation of value targets. The value head's output is V in these units.

    They are moving averages with step size `beta`, with bias correction as in Adam. With beta 0, nothing is scaled.
    """

    def __init__(self, beta: float) -> None:
        self._beta = beta
        self._moments = np.array([0.0, 1.0])  # of the targets: mean, mean square
        self._weight = np.zeros(1)  # the weight of observed targets in the moving averages; rises to 1

    @property
    def mean(self) -> float:
        """The mean of the targets; 0 before the first."""
        return float(self._moments[0])

    @property
    def deviation(self) -> float:
        """The standard deviation of the targets; 1 before the first."""
        return max(float(np.sqrt(max(self._moments[1] - self._moments[0] ** 2, 0.0))), _LEAST_DEVIATION)

    def values(self, outputs: Floats) -> Floats:
        """V, from the outputs of the value head; the same shape."""
        return outputs * np.float32(self.deviation) + np.float32(self.mean)

    def normalise(self, targets: Floats) -> Floats:
        """Targets in the units of the value head; the same shape."""
        return (targets - np.float32(self.mean)) / np.float32(self.deviation)

    def update(self, targets: Floats, params: Params) -> None:
        """Update the statistics with `targets` [N], and the value head in `params` so that V does not change."""
        if not self._beta:
            return
        mean, deviation = self.mean, self.deviation
        self._weight += self._beta * (1 - self._weight)
        step = self._beta / float(self._weight[0])  # 1 at the first update, which replaces the initial values
        seen = np.array([targets.mean(dtype=np.float64), np.square(targets, dtype=np.float64).mean()])
        self._moments += step * (seen - self._moments)
        head = max(int(name.rpartition("w")[2]) for name in params if name.startswith("value/w"))
        weights, bias = params[f"value/w{head}"], params[f"value/b{head}"]
        weights *= np.float32(deviation / self.deviation)
        bias[...] = (bias * deviation + mean - self.mean) / self.deviation

    def state(self) -> dict[str, Array]:
        """Copies of everything that the next update depends on."""
        return {"moments": self._moments.copy(), "weight": self._weight.copy()}

    def restore(self, state: dict[str, Array]) -> None:
        """Continue from a result of `state`, bit for bit."""
        self._moments[...], self._weight[...] = state["moments"], state["weight"]
