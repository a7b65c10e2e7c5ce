"""Proximal policy optimisation with a value network (Schulman et al. 2017, arXiv 1707.06347), plain and decoupled.

Plain PPO clips the ratio of the policy to the behaviour policy, whose log-probabilities are in the trajectories, even
if the behaviour policy is several versions old. Decoupled PPO (Hilton et al. 2021, arXiv 2110.00641) clips the ratio to
the proximal policy, a moving average of the weights, and multiplies each advantage by an importance weight, the ratio
of the proximal policy to the behaviour policy.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ...maths.losses import bounded, clipped_surrogate, effective_sample_size, kl_k3, squared_error
from ...maths.optimizers import clip_norms_apart
from ...maths.popart import ValueScale
from ...maths.returns import advantage_scale, generalized_advantages
from ...metrics.update_metrics import check_finite
from ..batch_predictions import action_log_probs, explained_variance, state_values
from ..learning_rate import effective_rate
from ..minibatches import minibatch_of, run_epochs
from ..policy_pass import PolicyPass
from .proximal_policy import ProximalPolicy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ....common.policy.distributions import ActionArray
    from ....common.policy.network import Floats
    from ....common.spec import RunSpec
    from ....common.wire.codec import Array
    from ...maths.flat_parameters import Parameters
    from ...maths.optimizers import Optimizer
    from ...metrics.update_metrics import Metrics
    from ..batch import Batch
    from ..history import History
    from ..minibatches import Minibatch
    from .config import PPOConfig


class PPO:
    """PPO: each update is several epochs of minibatch steps."""

    def __init__(self, config: PPOConfig, spec: RunSpec) -> None:
        self._config, self._spec = config, spec
        self._scale = ValueScale(config.popart)
        self._gradient: Parameters | None = None
        self._proximal = ProximalPolicy(config.proximal_mass)

    def update(
        self, params: Parameters, optimizer: Optimizer, batch: Batch, rate: float, rng: np.random.Generator
    ) -> Metrics:
        """Update `params` in place by epochs of minibatch steps. Returns the metrics, averaged over the steps.

        Raises:
            NonFinite: if a loss or gradient is not finite; `params` and `optimizer` may have changed by then.
        """
        config = self._config
        gradient = self._gradient = self._gradient or params.like()
        apart = gradient.apart
        values = self._scale.values(state_values(params.views, self._spec.network, batch.observations))
        rows, explained = self._rows(params, batch, values)
        first: Metrics = {"explained_variance": explained}

        def step(part: Minibatch) -> Metrics:
            metrics, log_ratios = write_gradient(config, self._spec, params, part, gradient)
            if "effective_samples" not in first:  # how far the data is from the policy, before the first step
                first["effective_samples"] = effective_sample_size(log_ratios)
            norms = clip_norms_apart(apart, config.max_grad_norm)
            metrics["gradient_norm"] = math.hypot(*norms)
            metrics["effective_rate"] = effective_rate(rate, norms[0], config.max_grad_norm)  # of the policy
            check_finite(metrics)
            optimizer.step(params.flat, gradient.flat, rate)
            if config.decoupled:
                self._proximal.follow(params)
            return metrics

        means = run_epochs(rows, config.n_epochs, config.minibatch_size, rng, step)
        return {**means, **first}

    def forget_moments(self) -> None:
        """Let the next batch replace the moments of the value targets. Values do not change."""
        self._scale.forget()

    def state(self) -> dict[str, Array]:
        """Everything that the next update depends on, besides parameters and optimizer."""
        return {**self._scale.state(), **self._proximal.state()}

    def restore(self, state: dict[str, Array], params: Parameters) -> None:
        """Restore a result of `state`; the next update is then the same, bit for bit."""
        self._scale.restore(state)
        self._proximal.restore(state, params)

    def _rows(self, params: Parameters, batch: Batch, values: Floats) -> tuple[Minibatch, float]:
        """What to sweep over, and how much of the targets the values [T + 1, B] explain. Moves the values' scale."""
        config, valid = self._config, batch.valid
        advantages = generalized_advantages(
            batch.rewards, values, batch.terminated, batch.truncated, valid, config.gamma, config.gae_lambda
        )[valid]
        targets = advantages + values[:-1][valid]
        self._scale.update(targets, params.views)
        normalised = (advantages - advantages.mean()) / advantages.dtype.type(advantage_scale(advantages, targets))
        rows = minibatch_of(batch, batch.log_probs[valid], normalised, self._scale.normalise(targets))
        if config.decoupled:
            log_probs = self._proximal_log_probs(params, rows.observations, rows.actions, rows.masks, rows.history)
            rows = decoupled(rows, log_probs, config.weight_cap)
        return rows, explained_variance(advantages, targets)

    def _proximal_log_probs(
        self,
        params: Parameters,
        observations: Floats,
        actions: ActionArray,
        masks: NDArray[np.bool_] | None,
        history: History | None,
    ) -> Floats:
        """Of actions [N, ...], by the proximal policy; by the policy itself before there is one."""
        proximal = self._proximal.or_else(params).views
        return action_log_probs(proximal, self._spec, observations, actions, masks, history)


def write_gradient(
    config: PPOConfig, spec: RunSpec, params: Parameters, rows: Minibatch, gradient: Parameters
) -> tuple[Metrics, Floats]:
    """Write the gradient of PPO's loss on `rows` into `gradient`, all of which is overwritten.

    The loss is -E[min(r A, clip(r) A)] + value_coef E[(V - target)^2] / 2 - entropy_coef E[entropy], where r is the
    ratio of the policy's probability of an action to the one in `rows`.

    Returns:
        The metrics of the loss, and log r [N].
    """
    network = PolicyPass(params, spec, rows.observations, rows.masks, rows.history)
    choice = network.choice
    log_ratios = bounded(choice.log_prob(rows.actions) - rows.log_probs)
    ratios = np.exp(log_ratios)
    policy_loss, taken_grad = clipped_surrogate(ratios, rows.advantages, config.clip_range)
    value_loss, values_grad = squared_error(network.values, rows.targets, config.value_coef)
    network.backward(gradient, rows.actions, taken_grad, config.entropy_coef / len(rows), values_grad)
    metrics = {
        "policy_loss": policy_loss,
        "value_loss": value_loss,
        "entropy": float(choice.entropy().mean()),
        "kl": kl_k3(log_ratios),
        "clip_fraction": float(np.count_nonzero(np.abs(ratios - 1) > config.clip_range)) / len(rows),
    }
    return metrics, log_ratios


def decoupled(rows: Minibatch, proximal_log_probs: Floats, weight_cap: float) -> Minibatch:
    """The same rows for decoupled PPO: ratios are against the proximal policy, advantages have an importance weight.

    Args:
        rows: with the log-probabilities of the policy mu that played.
        proximal_log_probs: [N], log pi_prox(a|x) of the rows' actions.
        weight_cap: the largest weight pi_prox / mu, at least 1.
    """
    weights = np.exp(np.minimum(proximal_log_probs - rows.log_probs, math.log(weight_cap)))
    return replace(rows, log_probs=proximal_log_probs, advantages=rows.advantages * weights)
