"""The value function over a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..common.network import forward

if TYPE_CHECKING:
    from ..common.network import Floats, Params
    from ..common.spec import NetworkSpec


def state_values(params: Params, network: NetworkSpec, observations: Floats) -> Floats:
    """The value head's outputs [T + 1, B] for prepared observations [T + 1, B, F]."""
    outputs: Floats = observations.reshape(-1, observations.shape[-1])
    if network.shared:
        outputs = forward(params, "torso", outputs, network.activation, head=False)[-1]
    return forward(params, "value", outputs, network.activation)[-1].reshape(observations.shape[:2])


def explained_variance(residuals: Floats, targets: Floats) -> float:
    """1 - Var(targets - V) / Var(targets): 1 is perfect, 0 no better than a constant."""
    spread = float(targets.var())
    return 1 - float(residuals.var()) / spread if spread > 0 else 0.0
