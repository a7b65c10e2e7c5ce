"""The network's predictions for a batch: values, and log-probabilities of the actions taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...common.policy.network import LOG_STD, policy_outputs, value_outputs
from .history import distribution_given, with_history

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ...common.policy.distributions import ActionArray
    from ...common.policy.network import Floats, Params
    from ...common.spec import NetworkSpec, RunSpec
    from .history import History


def state_values(params: Params, network: NetworkSpec, observations: Floats) -> Floats:
    """The value head's outputs [T + 1, B] for prepared observations [T + 1, B, F]."""
    rows = observations.reshape(-1, observations.shape[-1])
    return value_outputs(params, network, rows).reshape(observations.shape[:2])


def action_log_probs(
    params: Params,
    spec: RunSpec,
    observations: Floats,
    actions: ActionArray,
    masks: NDArray[np.bool_] | None,
    history: History | None,
) -> Floats:
    """Log-probabilities [N] of actions [N, ...] at prepared observations [N, F].

    They are under action masks [N, A] or None, and given the steps before, if the actions' noise depended on them.
    """
    outputs = policy_outputs(params, spec.network, with_history(observations, history))
    return distribution_given(spec.game.actions, outputs, params.get(LOG_STD), masks, history).log_prob(actions)


def explained_variance(residuals: Floats, targets: Floats) -> float:
    """1 - Var(targets - V) / Var(targets): 1 for a perfect value function, 0 for one no better than a constant."""
    spread = float(targets.var())
    return 1 - float(residuals.var()) / spread if spread > 0 else 0.0
