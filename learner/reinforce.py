"""REINFORCE with a baseline over whole games (Williams 1992), in the scaled-rate batch form.

The gradient is summed over the steps of all games and divided by the number of games: ten equal games at once move
the weights as one does. Without the division ten games would take a step ten times as long at the rate of one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from ..common import categorical
from .backward import Forward
from .losses import mean_entropy, policy_gradient, to_logits
from .optimizer import Name as OptimizerName
from .optimizer import clip_by_global_norm
from .returns import discounted_returns

if TYPE_CHECKING:
    from ..common.spec import NetworkSpec
    from .batch import Batch
    from .figures import Figures
    from .optimizer import Optimizer
    from .parameters import Parameters

Baseline = Literal["none", "batch_mean"]


@dataclass(frozen=True, slots=True)
class ReinforceConfig:
    """What REINFORCE can be told."""

    rate: float = 3e-3
    optimizer: OptimizerName = "adam"
    gamma: float = 0.99
    baseline: Baseline = "batch_mean"
    entropy: float = 0.01  # weight of the bonus, in return units per nat and step
    clip_norm: float = 10.0  # of the mean over games


class Reinforce:
    """One step an update; its only state is the optimizer's."""

    def __init__(self, config: ReinforceConfig, network: NetworkSpec) -> None:
        self._config, self._network = config, network

    def update(
        self, params: Parameters, optimizer: Optimizer, batch: Batch, rate: float, _rng: np.random.Generator
    ) -> Figures:
        """Change `params` by one step on a batch of whole games; return the figures of the step."""
        config, valid = self._config, batch.valid
        returns = discounted_returns(batch.rewards, valid, config.gamma)[valid]
        advantages = returns - returns.mean() if config.baseline == "batch_mean" else returns
        games = max(batch.games, 1)

        network = Forward(params.views, self._network, batch.observations[:-1][valid])
        log_probs = categorical.log_softmax(network.logits, None if batch.masks is None else batch.masks[valid])
        actions = batch.actions[valid]
        taken = categorical.take(log_probs, actions)
        loss, taken_grad = policy_gradient(taken, (advantages / games).astype(np.float32))
        logits_grad = to_logits(log_probs, actions, taken_grad, config.entropy / games)

        gradient = params.like()
        network.backward(gradient.views, logits_grad, np.zeros_like(taken))
        norm = clip_by_global_norm(gradient.flat, config.clip_norm)
        optimizer.step(params.flat, gradient.flat, rate)
        return {
            "policy_loss": loss,
            "entropy": mean_entropy(log_probs),
            "gradient_norm": norm,
            "baseline": float(returns.mean()),
            "effective_rate": rate / games,  # on the sum over games
        }
