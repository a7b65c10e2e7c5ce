"""The network's predictions for a batch: values, and log-probabilities of the actions taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...common.policy.distributions import distribution
from ...common.policy.network import LOG_STD, policy_outputs, value_outputs

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ...common.policy.distributions import ActionArray
    from ...common.policy.network import Floats, Params
    from ...common.spec import NetworkSpec, RunSpec


def state_values(params: Params, network: NetworkSpec, observations: Floats) -> Floats:
    """The value head's outputs [T + 1, B] for prepared observations [T + 1, B, F]."""
    rows = observations.reshape(-1, observations.shape[-1])
    return value_outputs(params, network, rows).reshape(observations.shape[:2])


def action_log_probs(
    params: Params, spec: RunSpec, observations: Floats, actions: ActionArray, masks: NDArray[np.bool_] | None
) -> Floats:
    """Log-probabilities [N] of actions [N, ...] at prepared observations [N, F], under action masks [N, A] or None."""
    outputs = policy_outputs(params, spec.network, observations)
    return distribution(spec.game.actions, outputs, params.get(LOG_STD), masks).log_prob(actions)


def explained_variance(residuals: Floats, targets: Floats) -> float:
    """1 - Var(targets - V) / Var(targets): 1 for a perfect value function, 0 for one no better than a constant."""
    spread = float(targets.var())
    return 1 - float(residuals.var()) / spread if spread > 0 else 0.0
