"""The proximal policy of decoupled PPO: a moving average of the policy's weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ....common.wire.codec import Array
    from ...maths.flat_parameters import Parameters


class ProximalPolicy:
    """An exponential moving average of parameters (Hilton et al. 2021, arXiv 2110.00641), bias-corrected as in Adam."""

    def __init__(self, mass: float) -> None:
        """Args: mass: the centre of mass of the average, in optimizer steps, at least 0."""
        self._step = 1 / (mass + 1)
        self._average: Parameters | None = None  # its bias from the start is not yet corrected
        self._weight = np.zeros(1)  # the weight of observed parameters in the average; rises to 1

    def or_else(self, params: Parameters) -> Parameters:
        """A copy of the average, its bias corrected; `params` itself before the first `follow`."""
        if self._average is None:
            return params
        corrected = self._average.copy()
        corrected.flat /= self._weight[0].astype(corrected.flat.dtype)
        return corrected

    def follow(self, params: Parameters) -> None:
        """Move the average towards `params`, the policy after one more optimizer step."""
        if self._average is None:
            self._average = params.like()
        self._average.flat += np.float32(self._step) * (params.flat - self._average.flat)
        self._weight += self._step * (1 - self._weight)

    def state(self) -> dict[str, Array]:
        """Copies of everything that the next `follow` depends on; `proximal` is empty before the first one."""
        average = np.zeros(0, np.float32) if self._average is None else self._average.flat.copy()
        return {"proximal": average, "proximal_weight": self._weight.copy()}

    def restore(self, state: dict[str, Array], params: Parameters) -> None:
        """Continue from a result of `state`, bit for bit; `params` gives the network's shapes."""
        self._average = None
        if state["proximal"].size:
            self._average = params.like()
            self._average.flat[...] = state["proximal"]
        self._weight[...] = state["proximal_weight"]
