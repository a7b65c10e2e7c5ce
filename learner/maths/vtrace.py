"""V-trace targets and advantages (Espeholt et al. 2018, IMPALA, arXiv 1802.01561)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...common.policy.network import Floats


@dataclass(frozen=True, slots=True)
class VTrace:
    """The result of V-trace."""

    targets: Floats  # [T, B], v_t for the value function; V(x_t) where the step is not valid
    advantages: Floats  # [T, B] for the policy gradient, including the importance weight; 0 where not valid


def vtrace(
    rewards: Floats,
    values: Floats,
    log_ratios: Floats,
    terminated: NDArray[np.bool_],
    truncated: NDArray[np.bool_],
    valid: NDArray[np.bool_],
    gamma: float,
    lambda_: float = 1.0,
    rho_bar: float = 1.0,
    c_bar: float = 1.0,
    policy_rho_bar: float = 1.0,
) -> VTrace:
    """Equation 1 of the paper in its recursive form (remark 1), with lambda as in remark 2.

    rho_t = min(rho_bar, pi/mu), c_t = lambda min(c_bar, pi/mu);
    delta_t = rho_t (r_t + gamma_t V(x_{t+1}) - V(x_t));
    v_t = V(x_t) + delta_t + gamma_t c_t (v_{t+1} - V(x_{t+1})), backwards from v_T = V(x_T);
    advantage_t = min(policy_rho_bar, pi/mu) (r_t + gamma_t v_{t+1} - V(x_t)).

    gamma_t is 0 where the game terminated. Truncation keeps the bootstrap value; both end the trace.

    Args:
        rewards: [T, B].
        values: [T + 1, B], V(x_t) of every observation.
        log_ratios: [T, B], log pi(a_t|x_t) - log mu(a_t|x_t).
        terminated: [T, B].
        truncated: [T, B].
        valid: [T, B].
        gamma: the discount, in [0, 1].
        lambda_: the decay of the trace, in [0, 1].
        rho_bar: the truncation of the weights of the deltas, positive. Determines which policy's values are learnt.
        c_bar: the truncation of the weights of the trace, positive. Affects the speed of convergence, not the result.
        policy_rho_bar: the truncation of the weights of the policy gradient, positive.
    """
    assert values.shape == (len(rewards) + 1, *rewards.shape[1:])
    assert rewards.shape == log_ratios.shape == terminated.shape == truncated.shape == valid.shape
    largest = max(rho_bar, c_bar, policy_rho_bar)  # larger ratios are truncated anyway; exp of them could overflow
    ratios = np.exp(np.minimum(log_ratios, math.log(largest)))
    discounts = gamma * ~terminated
    deltas = np.minimum(rho_bar, ratios) * (rewards + discounts * values[1:] - values[:-1]) * valid
    trace = lambda_ * np.minimum(c_bar, ratios) * discounts * (valid & ~terminated & ~truncated)
    excess = np.zeros_like(values)  # v_t - V(x_t)
    for t in reversed(range(len(rewards))):
        excess[t] = deltas[t] + trace[t] * excess[t + 1]
    # The step after the end of a game is not valid or does not exist. Its excess is 0, so nothing leaks back.
    following = values[1:] + np.where(truncated, 0, excess[1:])
    advantages = np.minimum(policy_rho_bar, ratios) * (rewards + discounts * following - values[:-1]) * valid
    dtype = values.dtype
    return VTrace((values[:-1] + excess[:-1]).astype(dtype, copy=False), advantages.astype(dtype, copy=False))
