"""PopArt: normalises value targets and preserves outputs (van Hasselt et al. 2016, arXiv 1602.07714, algorithm 1).

One bad reward must not flatten the value function: after a reward of 1e9, the deviation of Pendulum's targets was 1e7
for hundreds of updates, and the policy unlearned what it knew. So targets are clipped before they enter the moments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .outliers import believable_range

if TYPE_CHECKING:
    from ...common.policy.network import Floats, Params
    from ...common.wire.codec import Array

_LEAST_DEVIATION = 1e-4
# Where targets are clipped, in deviations. A share p of the targets can raise the deviation as far as theirs is only if
# p is more than 1 / 30^2, two targets of a batch of 2048. In games with rare rewards a few dozen are of the only one,
# and they are what is to be learnt; with 10 deviations one in a hundred would not count. A bad reward, which with GAE
# is in some dozens of targets, makes the deviation about a third larger, and that for 1 / beta updates.
_CLIP = 30.0
_WARM = 0.05  # the weight of what was seen, from which on the moments are believed: two updates with a beta of 0.03


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
        """Targets in the units of the value head, clipped to +-30 of them; the same shape. With beta 0 none is clipped.

        Unclipped, one bad target turns every gradient of its batch, which is scaled down to its greatest norm, into its
        own direction: the value function is then off by several deviations, and so are the targets made from it.
        """
        normalised = (targets - np.float32(self.mean)) / np.float32(self.deviation)
        return np.clip(normalised, -_CLIP, _CLIP) if self._beta else normalised

    def update(self, targets: Floats, params: Params) -> None:
        """Update the statistics with `targets` [N], and the value head in `params` so that V does not change."""
        if not self._beta:
            return
        mean, deviation = self.mean, self.deviation
        targets = self._clipped(targets)
        self._weight += self._beta * (1 - self._weight)
        step = self._beta / float(self._weight[0])  # 1 at the first update, which replaces the initial values
        seen = np.array([targets.mean(dtype=np.float64), np.square(targets, dtype=np.float64).mean()])
        self._moments[...] = (1 - step) * self._moments + step * seen
        head = max(int(name.rpartition("w")[2]) for name in params if name.startswith("value/w"))
        weights, bias = params[f"value/w{head}"], params[f"value/b{head}"]
        weights *= np.float32(deviation / self.deviation)
        bias[...] = (bias * deviation + mean - self.mean) / self.deviation

    def forget(self) -> None:
        """Keep mean and deviation for now; the next targets replace them."""
        self._weight[...] = 0

    def state(self) -> dict[str, Array]:
        """Copies of everything that the next update depends on."""
        return {"moments": self._moments.copy(), "weight": self._weight.copy()}

    def restore(self, state: dict[str, Array]) -> None:
        """Continue from a result of `state`, bit for bit."""
        self._moments[...], self._weight[...] = state["moments"], state["weight"]

    def _clipped(self, targets: Floats) -> Floats:
        """The targets [N], clipped to what is believed: by the moments, or by the targets themselves at the start."""
        if self._weight[0] < _WARM:
            low, high = believable_range(targets[:, None], _CLIP)
            return np.clip(targets, low, high)
        return np.clip(targets, self.mean - _CLIP * self.deviation, self.mean + _CLIP * self.deviation)
