"""Returns and advantages over columns of steps, [T, B], time first.

Termination removes the bootstrap value and truncation keeps it; both end the trace. Steps that are not valid get 0 and
do not affect other steps.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...common.policy.network import Floats

# Of an advantage, in units of the targets' precision: a sum over a few dozen steps, each rounded by less than one.
_ROUNDING = 64


def discounted_returns(rewards: Floats, valid: NDArray[np.bool_], gamma: float) -> Floats:
    """Discounted returns of whole games: G_t = r_t + gamma G_{t+1}.

    Computed by doubling: the entry at t is the sum over its next 1, 2, 4, ... steps. T steps take log2 T operations on
    the whole array instead of T operations on single steps.

    Args:
        rewards: [T, B], one whole game a column.
        valid: [T, B].
        gamma: the discount, in [0, 1].

    Returns:
        [T, B], in the rewards' dtype.
    """
    assert rewards.ndim == 2
    assert rewards.shape == valid.shape
    returns = np.where(valid, rewards, 0)
    decay = np.where(valid, returns.dtype.type(gamma), 0)  # the discount from t to the end of the sum at t
    span = 1
    while span < len(returns):
        returns[:-span] += decay[:-span] * returns[span:]
        decay[:-span] *= decay[span:]
        span *= 2
    return returns


def generalized_advantages(
    rewards: Floats,
    values: Floats,
    terminated: NDArray[np.bool_],
    truncated: NDArray[np.bool_],
    valid: NDArray[np.bool_],
    gamma: float,
    lambda_: float,
) -> Floats:
    """GAE (Schulman et al. 2015, arXiv 1506.02438, eq. 11 and 16).

    delta_t = r_t + gamma_t V(x_{t+1}) - V(x_t), with gamma_t = 0 where the game terminated;
    A_t = delta_t + gamma lambda A_{t+1}; the trace ends where a game was terminated or truncated.

    Args:
        rewards: [T, B].
        values: [T + 1, B], V(x_t) of every observation.
        terminated: [T, B].
        truncated: [T, B].
        valid: [T, B].
        gamma: the discount, in [0, 1].
        lambda_: the decay of the trace, in [0, 1].

    Returns:
        The advantages [T, B], in the values' dtype. The targets of the value function are advantages + values[:-1].
    """
    assert values.shape == (len(rewards) + 1, *rewards.shape[1:])
    assert rewards.shape == terminated.shape == truncated.shape == valid.shape
    deltas = (rewards + gamma * ~terminated * values[1:] - values[:-1]) * valid
    decay = (gamma * lambda_ * (valid & ~terminated & ~truncated)).astype(values.dtype)
    advantages = deltas.astype(values.dtype, copy=False)
    for t in reversed(range(len(rewards) - 1)):
        advantages[t] += decay[t] * advantages[t + 1]
    return advantages


def advantage_scale(advantages: Floats, targets: Floats) -> float:
    """What to divide advantages by, so that an update does not depend on the unit of the rewards.

    It is their standard deviation. Where that is no more than rounding, as where all rewards are equal and known, it is
    the size of the targets: the advantages are then nearly 0, whatever the unit, and not noise of size 1.

    Args:
        advantages: [N].
        targets: [N], the returns or value targets whose rounding is in the advantages.
    """
    assert advantages.shape == targets.shape
    size = math.sqrt(float(np.square(targets, dtype=np.float64).mean()))
    return spread_or_size(float(advantages.std(dtype=np.float64)), size, _ROUNDING * float(np.finfo(targets.dtype).eps))


def spread_or_size(spread: float, size: float, least: float) -> float:
    """A spread if it is more than `least` times the size of the numbers; otherwise their size, or 1 if that is 0."""
    return spread if spread > least * size else size or 1.0
