"""Losses and their gradients with respect to the network's outputs: logits [N, A] and values [N].

A loss is a mean over the N rows, except where its docstring says that it is a weighted sum.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...common.policy.categorical import finite
from ...common.policy.distributions import Categorical, Gaussian, MultiCategorical

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...common.policy.distributions import ActionArray, Distribution
    from ...common.policy.network import Floats


_LOG_RATIO_MAX = 60.0


def bounded(log_ratios: Floats) -> Floats:
    """Clip log-ratios [N] to [-60, 60], so that exp does not overflow in single precision."""
    return np.minimum(np.maximum(log_ratios, -_LOG_RATIO_MAX), _LOG_RATIO_MAX)  # takes a third of np.clip's time


def clipped_surrogate(ratios: Floats, advantages: Floats, clip: float) -> tuple[float, Floats]:
    """PPO's objective, negated (Schulman et al. 2017, arXiv 1707.06347, eq. 7).

    L = -mean(min(r A, clip(r, 1 - eps, 1 + eps) A)).

    Args:
        ratios: [N], pi(a|x) / pi_old(a|x), positive.
        advantages: [N].
        clip: eps, positive.

    Returns:
        The loss, and its gradient [N] with respect to log pi(a|x).
    """
    assert ratios.shape == advantages.shape
    plain = ratios * advantages
    clipped = np.minimum(np.maximum(ratios, 1 - clip), 1 + clip) * advantages
    # Where the clipped term is the smaller one, it does not depend on pi: the gradient is 0.
    gradient = np.where(plain <= clipped, plain, 0) / -len(ratios)
    return float(-np.minimum(plain, clipped).sum()) / len(ratios), gradient.astype(ratios.dtype, copy=False)


def policy_gradient(log_probs: Floats, weights: Floats) -> tuple[float, Floats]:
    """The score-function loss: L = -sum_n w_n log pi(a_n|x_n).

    Args:
        log_probs: [N] of the actions taken.
        weights: [N], advantages times the factor of the average (1 / N or 1 / games). Not differentiated.

    Returns:
        The loss, and its gradient [N] with respect to log pi(a|x).
    """
    assert log_probs.shape == weights.shape
    return float(-(weights * log_probs).sum()), -weights


def squared_error(values: Floats, targets: Floats, coefficient: float) -> tuple[float, Floats]:
    """L = coefficient x mean((V - target)^2) / 2, and its gradient [N] with respect to V."""
    assert values.shape == targets.shape
    errors = values - targets
    return coefficient * 0.5 / len(values) * float(np.vdot(errors, errors)), (coefficient / len(values)) * errors


def to_logits(
    log_probs: Floats, actions: NDArray[np.integer], taken_grad: Floats, entropy_weights: Floats | float
) -> Floats:
    """The gradient with respect to the logits, from that with respect to log pi(a|x), with an entropy bonus.

    d log pi(a) / d logits = onehot(a) - pi;  d H / d logits = -pi (log pi + H).

    Args:
        log_probs: [N, A] of all actions; -inf where the action mask forbids one.
        actions: [N], the actions taken.
        taken_grad: [N], the gradient with respect to log pi(a|x).
        entropy_weights: [N] or a number: the loss contains -weight x H for each row.

    Returns:
        [N, A]; 0 where an action is forbidden.
    """
    probs, surprise = np.exp(log_probs), -finite(log_probs)
    gradient = -taken_grad[:, None] * probs
    gradient[np.arange(len(actions)), actions] += taken_grad
    entropies = (probs * surprise).sum(axis=1, keepdims=True)
    weights = np.reshape(np.asarray(entropy_weights, log_probs.dtype), (-1, 1))
    gradient += weights * probs * (entropies - surprise)
    return gradient


def to_outputs(
    choice: Distribution, actions: ActionArray, taken_grad: Floats, entropy_weights: Floats | float
) -> tuple[Floats, Floats | None]:
    """The gradient with respect to the policy's outputs, from that to log pi(a|x), with an entropy bonus.

    Args:
        choice: the N distributions.
        actions: [N, *action shape], the actions taken.
        taken_grad: [N], the gradient with respect to log pi(a|x).
        entropy_weights: [N] or a number: the loss contains -weight x H for each row.

    Returns:
        The gradients with respect to the outputs, [N, K], which are the means of a Gaussian policy, and to its log
        standard deviations, [D]; None for other policies.
    """
    match choice:
        case Categorical():
            return to_logits(choice.log_probs, actions, taken_grad, entropy_weights), None
        case MultiCategorical():
            parts = [
                to_logits(part.log_probs, actions[:, i], taken_grad, entropy_weights)
                for i, part in enumerate(choice.parts)
            ]
            return np.concatenate(parts, axis=1), None
        case Gaussian():  # those with noise that lasts too
            z = choice.standardised(actions)
            means_grad = taken_grad[:, None] * z / choice.std
            # d log pi / d log_std = z^2 - 1;  d H / d log_std = 1 for each row
            total_weight = float(np.broadcast_to(entropy_weights, taken_grad.shape).sum())
            log_std_grad = (taken_grad[:, None] * (z * z - 1)).sum(axis=0) - total_weight
            return means_grad, log_std_grad
    raise TypeError(f"no gradient for {type(choice).__name__}")


def effective_sample_size(log_ratios: Floats) -> float:
    """The effective sample size over N: (sum w)^2 / (N sum w^2), w = exp(log_ratios) [N] unclipped. In (0, 1]."""
    scaled = np.exp(log_ratios - log_ratios.max())
    return float(scaled.sum() ** 2 / (len(scaled) * np.vdot(scaled, scaled)))


def kl_k3(log_ratios: Floats) -> float:
    """KL(old || new) estimated from samples of the old policy: mean(rho - 1 - log rho), log rho = log_ratios [N].

    The estimate is never negative and has a low variance (J. Schulman, "Approximating KL divergence", k3).
    """
    return float((np.expm1(log_ratios) - log_ratios).sum()) / len(log_ratios)
