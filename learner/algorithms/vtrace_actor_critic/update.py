"""The V-trace actor-critic (Espeholt et al. 2018, IMPALA, arXiv 1802.01561): one pass over each batch by default."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ...maths.losses import bounded, effective_sample_size, kl_k3, policy_gradient, squared_error
from ...maths.optimizers import clip_norms_apart
from ...maths.popart import ValueScale
from ...maths.returns import advantage_scale
from ...maths.vtrace import vtrace
from ...metrics.update_metrics import check_finite
from ..batch_predictions import action_log_probs, explained_variance, state_values
from ..learning_rate import effective_rate
from ..minibatches import minibatch_of, run_epochs
from ..policy_pass import PolicyPass

if TYPE_CHECKING:
    from ....common.spec import RunSpec
    from ....common.wire.codec import Array
    from ...maths.flat_parameters import Parameters
    from ...maths.optimizers import Optimizer
    from ...metrics.update_metrics import Metrics
    from ..batch import Batch
    from ..minibatches import Minibatch
    from .config import VTraceConfig


_KL_ROWS = 2048  # rows for the KL divergence of an update; a larger batch is sampled at even intervals


class Impala:
    """Computes targets and advantages once for each batch, then makes minibatch steps."""

    def __init__(self, config: VTraceConfig, spec: RunSpec) -> None:
        self._config, self._spec = config, spec
        self._scale = ValueScale(config.popart)
        self._gradient: Parameters | None = None

    def update(
        self, params: Parameters, optimizer: Optimizer, batch: Batch, rate: float, rng: np.random.Generator
    ) -> Metrics:
        """See `PPO.update`."""
        config, valid = self._config, batch.valid
        gradient = self._gradient = self._gradient or params.like()
        apart = gradient.apart
        values = self._scale.values(state_values(params.views, self._spec.network, batch.observations))
        masks = None if batch.masks is None else batch.masks[valid]
        history = batch.history(valid)
        log_probs = action_log_probs(
            params.views, self._spec, batch.observations[:-1][valid], batch.actions[valid], masks, history
        )
        log_ratios = np.zeros_like(batch.log_probs)
        log_ratios[valid] = bounded(log_probs - batch.log_probs[valid])
        trace = vtrace(
            batch.rewards,
            values,
            log_ratios,
            batch.terminated,
            batch.truncated,
            valid,
            config.gamma,
            config.gae_lambda,
            config.rho_bar,
            config.c_bar,
            config.policy_rho_bar,
        )
        targets, advantages = trace.targets[valid], trace.advantages[valid]
        self._scale.update(targets, params.views)
        # No mean is subtracted: advantages could change their sign.
        scale = advantages.dtype.type(advantage_scale(advantages, targets))
        rows = minibatch_of(batch, log_probs, advantages / scale, self._scale.normalise(targets))

        def step(part: Minibatch) -> Metrics:
            metrics = write_gradient(config, self._spec, params, part, gradient)
            norms = clip_norms_apart(apart, config.max_grad_norm)
            metrics["gradient_norm"] = math.hypot(*norms)
            metrics["effective_rate"] = effective_rate(rate, norms[0], config.max_grad_norm)  # of the policy
            check_finite(metrics)
            optimizer.step(params.flat, gradient.flat, rate)
            return metrics

        means = run_epochs(rows, config.n_epochs, config.minibatch_size, rng, step)
        taken = log_ratios[valid]
        some = rows[:: -(-len(rows) // _KL_ROWS)]
        after = action_log_probs(params.views, self._spec, some.observations, some.actions, some.masks, some.history)
        metrics = {
            **means,
            "kl": kl_k3(bounded(after - some.log_probs)),
            "clip_fraction": float(np.count_nonzero(np.exp(taken) > config.rho_bar)) / len(taken),
            "effective_samples": effective_sample_size(taken),
            "explained_variance": explained_variance(targets - values[:-1][valid], targets),
        }
        check_finite(metrics)
        return metrics

    def forget_moments(self) -> None:
        """See `PPO.forget_moments`."""
        self._scale.forget()

    def state(self) -> dict[str, Array]:
        """See `PPO.state`."""
        return self._scale.state()

    def restore(self, state: dict[str, Array], _params: Parameters) -> None:
        """See `PPO.restore`."""
        self._scale.restore(state)


def write_gradient(
    config: VTraceConfig, spec: RunSpec, params: Parameters, rows: Minibatch, gradient: Parameters
) -> Metrics:
    """Write the gradient of the actor-critic's loss on `rows` into `gradient`, all of which is overwritten.

    The loss is -E[A log pi(a|x)] + value_coef E[(V - target)^2] / 2 - entropy_coef E[entropy]. Returns its metrics.
    """
    network = PolicyPass(params, spec, rows.observations, rows.masks, rows.history)
    choice = network.choice
    weights = (rows.advantages / len(rows)).astype(rows.advantages.dtype)
    policy_loss, taken_grad = policy_gradient(choice.log_prob(rows.actions), weights)
    value_loss, values_grad = squared_error(network.values, rows.targets, config.value_coef)
    network.backward(gradient, rows.actions, taken_grad, config.entropy_coef / len(rows), values_grad)
    return {"policy_loss": policy_loss, "value_loss": value_loss, "entropy": float(choice.entropy().mean())}
