"""PopArt: normalises value targets and preserves outputs (van Hasselt et al. 2016, arXiv 1602.07714, algorithm 1).

One bad reward must not flatten the value function: after a reward of 1e9, the deviation of Pendulum's targets was 1e7
for hundreds of updates, and the policy unlearned what it knew. So targets are clipped before they enter the moments.

Nothing here knows a unit: with all rewards a hundred times larger, mean and deviation are so too, and the value head's
outputs and their targets are the same. Even the least deviation is relative.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from .outliers import believable_range
from .returns import spread_or_size

if TYPE_CHECKING:
    from ...common.policy.network import Floats, Params
    from ...common.wire.codec import Array

_LEAST_SPREAD = 1e-5  # deviation over size, of targets that differ: by a hundred times their rounding in float32
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
        """The standard deviation of the targets; their size where all are equal; 1 before any, or if all are 0."""
        return spread_or_size(math.sqrt(max(self._moments[1] - self._moments[0] ** 2, 0.0)), self._size, _LEAST_SPREAD)

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

    def follow(self, targets: Floats) -> None:
        """Update the statistics with `targets` [N], where no value head is in their units."""
        if not self._beta:
            return
        targets = self._clipped(targets)
        self._weight += self._beta * (1 - self._weight)
        step = self._beta / float(self._weight[0])  # 1 at the first update, which replaces the initial values
        seen = np.array([targets.mean(dtype=np.float64), np.square(targets, dtype=np.float64).mean()])
        self._moments[...] = (1 - step) * self._moments + step * seen

    def update(self, targets: Floats, params: Params) -> None:
        """Update the statistics with `targets` [N], and the value head in `params` so that V does not change.

        A head of zeros, as a run begins with, stays so: V is then the mean of the targets. Else it would have to be
        learnt first how far 0 is from the mean, which may be a hundred deviations.
        """
        if not self._beta:
            return
        mean, deviation = self.mean, self.deviation
        self.follow(targets)
        head = max(int(name.rpartition("w")[2]) for name in params if name.startswith("value/w"))
        weights, bias = params[f"value/w{head}"], params[f"value/b{head}"]
        if not weights.any() and not bias.any():
            return
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

    @property
    def _size(self) -> float:
        return math.sqrt(self._moments[1])

    def _clipped(self, targets: Floats) -> Floats:
        """The targets [N], clipped to what is believed: by the moments, or by the targets themselves at the start.

        The start lasts as long as all targets were 0: moments of these tell nothing of the unit of the first other one.
        """
        if self._weight[0] < _WARM or not self._size:
            low, high = believable_range(targets[:, None], _CLIP)
            return np.clip(targets, low, high)
        return np.clip(targets, self.mean - _CLIP * self.deviation, self.mean + _CLIP * self.deviation)
