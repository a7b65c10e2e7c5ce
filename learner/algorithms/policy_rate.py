"""The learning rate that follows the KL divergence is the policy's: the value function's steps keep the rate as it is.

One rate for both would be decided by the policy alone. Where it moves too far, the value function would learn more
slowly as well; and where nothing moves it, as in a game that pays the same for every action, the rate would rise to its
bound, and a value function would not survive that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ...common.policy.network import Floats
    from ...common.wire.codec import Array
    from ..maths.flat_parameters import Parameters
    from ..maths.optimizers import Optimizer


class PolicyRate:
    """An optimizer, with the rate of all parameters but the value function's own multiplied by a factor.

    A shared torso is the policy's too: its steps change the policy as much as those of the policy's head do.
    """

    def __init__(self, optimizer: Optimizer, params: Parameters, factor: float) -> None:
        """Args: params: any of the network; only their names count."""
        self._optimizer = optimizer
        factors = params.like()
        for name, view in factors.views.items():
            view[...] = 1.0 if name.startswith("value/") else factor
        self._factors = factors.flat

    def step(self, params: Floats, gradient: Floats, rate: float | Floats) -> None:
        """See `Optimizer`."""
        self._optimizer.step(params, gradient, np.multiply(rate, self._factors, dtype=params.dtype))

    def state(self) -> dict[str, Array]:
        """See `Optimizer`."""
        return self._optimizer.state()

    def restore(self, state: dict[str, Array]) -> None:
        """See `Optimizer`."""
        self._optimizer.restore(state)
