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

from ...maths.losses import bounded, clipped_surrogate, effective_sample_size, kl_k3, squared_error, to_outputs
from ...maths.mlp_backprop import Forward
from ...maths.optimizers import clip_by_global_norm
from ...maths.popart import ValueScale
from ...maths.returns import generalized_advantages
from ...metrics.update_metrics import check_finite
from ..batch_predictions import action_log_probs, explained_variance, state_values
from ..minibatches import minibatch_of, run_epochs

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
    from ..minibatches import Minibatch
    from .config import PPOConfig


class PPO:
    """PPO: each update is several epochs of minibatch steps."""

    def __init__(self, config: PPOConfig, spec: RunSpec) -> None:
        self._config, self._spec = config, spec
        self._scale = ValueScale(config.popart)
        self._gradient: Parameters | None = None
        self._proximal: Parameters | None = None  # the moving average, without bias correction
        self._proximal_weight = np.zeros(1)

    def update(
        self, params: Parameters, optimizer: Optimizer, batch: Batch, rate: float, rng: np.random.Generator
    ) -> Metrics:
        """Update `params` in place by epochs of minibatch steps. Returns the metrics, averaged over the steps.

        Raises:
            NonFinite: if a loss or gradient is not finite; `params` and `optimizer` may have changed by then.
        """
        config = self._config
        gradient = self._gradient = self._gradient or params.like()
        values = self._scale.values(state_values(params.views, self._spec.network, batch.observations))
        rows, explained = self._rows(params, batch, values)
        first: Metrics = {"explained_variance": explained, "effective_rate": rate}

        def step(part: Minibatch) -> Metrics:
            metrics = self._gradient_of(params, gradient, part, first)
            metrics["gradient_norm"] = clip_by_global_norm(gradient.flat, config.max_grad_norm)
            check_finite(metrics)
            optimizer.step(params.flat, gradient.flat, rate)
            self._follow(params)
            return metrics

        means = run_epochs(rows, config.n_epochs, config.minibatch_size, rng, step)
        return {**means, **first}

    def state(self) -> dict[str, Array]:
        """Everything that the next update depends on, besides parameters and optimizer."""
        proximal = np.zeros(0, np.float32) if self._proximal is None else self._proximal.flat.copy()
        return {**self._scale.state(), "proximal": proximal, "proximal_weight": self._proximal_weight.copy()}

    def restore(self, state: dict[str, Array], params: Parameters) -> None:
        """Restore a result of `state`; the next update is then the same, bit for bit."""
        self._scale.restore(state)
        self._proximal = None
        if state["proximal"].size:
            self._proximal = params.like()
            self._proximal.flat[...] = state["proximal"]
        self._proximal_weight[...] = state["proximal_weight"]

    def _rows(self, params: Parameters, batch: Batch, values: Floats) -> tuple[Minibatch, float]:
        """The rows to train on, and the variance of the targets that the values [T + 1, B] explain.

        This also updates the scale of the value targets.
        """
        config, valid = self._config, batch.valid
        advantages = generalized_advantages(
            batch.rewards, values, batch.terminated, batch.truncated, valid, config.gamma, config.gae_lambda
        )[valid]
        targets = advantages + values[:-1][valid]
        self._scale.update(targets, params.views)
        normalised = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        rows = minibatch_of(batch, batch.log_probs[valid], normalised, self._scale.normalise(targets))
        if config.decoupled:
            rows = self._against_the_proximal(params, rows)
        return rows, explained_variance(advantages, targets)

    def _gradient_of(self, params: Parameters, gradient: Parameters, rows: Minibatch, first: Metrics) -> Metrics:
        """Write the gradient of the loss on `rows` into `gradient`."""
        config = self._config
        network = Forward(params, self._spec.network, rows.observations)
        choice = network.choice(self._spec.game.actions, rows.masks)
        log_ratios = bounded(choice.log_prob(rows.actions) - rows.log_probs)
        ratios = np.exp(log_ratios)
        policy_loss, taken_grad = clipped_surrogate(ratios, rows.advantages, config.clip_range)
        value_loss, values_grad = squared_error(network.values, rows.targets, config.value_coef)
        outputs_grad, log_std_grad = to_outputs(choice, rows.actions, taken_grad, config.entropy_coef / len(rows))
        network.backward(gradient, outputs_grad, values_grad, log_std_grad)
        if "effective_samples" not in first:  # before the first step: it compares the data with the current policy
            first["effective_samples"] = effective_sample_size(log_ratios)
        return {
            "policy_loss": policy_loss,
            "value_loss": value_loss,
            "entropy": float(choice.entropy().mean()),
            "kl": kl_k3(log_ratios),
            "clip_fraction": float(np.count_nonzero(np.abs(ratios - 1) > config.clip_range)) / len(rows),
        }

    def _against_the_proximal(self, params: Parameters, rows: Minibatch) -> Minibatch:
        """The same rows, with the proximal policy's log-probabilities, and advantages weighted by pi_prox / mu."""
        log_probs = self._proximal_log_probs(params, rows.observations, rows.actions, rows.masks)
        weights = np.exp(np.minimum(log_probs - rows.log_probs, math.log(self._config.weight_cap)))
        return replace(rows, log_probs=log_probs, advantages=rows.advantages * weights)

    def _proximal_log_probs(
        self, params: Parameters, observations: Floats, actions: ActionArray, masks: NDArray[np.bool_] | None
    ) -> Floats:
        """Log-probabilities of actions [N, ...] under the proximal policy; before its first step, under the policy."""
        proximal = params if self._proximal is None else self._corrected(self._proximal)
        return action_log_probs(proximal.views, self._spec, observations, actions, masks)

    def _corrected(self, average: Parameters) -> Parameters:
        corrected = average.copy()
        corrected.flat /= self._proximal_weight[0].astype(corrected.flat.dtype)
        return corrected

    def _follow(self, params: Parameters) -> None:
        """Move the proximal policy towards the policy."""
        if not self._config.decoupled:
            return
        if self._proximal is None:
            self._proximal = params.like()
        step = 1 / (self._config.proximal_mass + 1)
        self._proximal.flat += np.float32(step) * (params.flat - self._proximal.flat)
        self._proximal_weight += step * (1 - self._proximal_weight)
