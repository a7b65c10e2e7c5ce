"""Proximal policy optimisation with a value network (Schulman et al. 2017, arXiv 1707.06347).

The old policy is the one that played: its log-probabilities come with the trajectories, so the clipping is against
what really produced the data, however many versions ago that was.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..common import categorical
from ..common.network import forward
from .backward import Forward
from .losses import clipped_surrogate, kl_k3, mean_entropy, squared_error, to_logits
from .optimizer import Name as OptimizerName
from .optimizer import clip_by_global_norm
from .returns import generalized_advantages

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..common.network import Floats
    from ..common.spec import NetworkSpec
    from .batch import Batch
    from .figures import Figures
    from .optimizer import Optimizer
    from .parameters import Parameters


@dataclass(frozen=True, slots=True)
class PPOConfig:
    """What PPO can be told."""

    rate: float = 2.5e-3
    optimizer: OptimizerName = "adam"
    gamma: float = 0.99
    lambda_: float = 0.95
    clip: float = 0.2
    epochs: int = 4
    minibatch: int = 256  # steps
    entropy: float = 0.01
    value_weight: float = 0.5
    clip_norm: float = 0.5


@dataclass(frozen=True, slots=True)
class Rows:
    """The valid steps of a batch, laid flat: N rows."""

    observations: Floats  # [N, F]
    actions: NDArray[np.int32]  # [N]
    log_probs: Floats  # [N]
    advantages: Floats  # [N], normalised
    targets: Floats  # [N] for the value function
    masks: NDArray[np.bool_] | None  # [N, A]

    def __getitem__(self, index: NDArray[np.integer] | slice) -> Rows:
        """A selection of rows."""
        masks = None if self.masks is None else self.masks[index]
        return Rows(
            self.observations[index],
            self.actions[index],
            self.log_probs[index],
            self.advantages[index],
            self.targets[index],
            masks,
        )

    def __len__(self) -> int:
        """N."""
        return len(self.actions)


class PPO:
    """Several epochs of minibatches an update; its only state is the optimizer's."""

    def __init__(self, config: PPOConfig, network: NetworkSpec) -> None:
        self._config, self._network = config, network
        self._gradient: Parameters | None = None

    def update(
        self, params: Parameters, optimizer: Optimizer, batch: Batch, rate: float, rng: np.random.Generator
    ) -> Figures:
        """Change `params` by epochs of minibatch steps on a batch; return the figures, averaged over the steps."""
        values = state_values(params, self._network, batch.observations)
        rows, explained = self._rows(batch, values)
        gradient = self._gradient = self._gradient or params.like()
        # Equal parts, the last one no smaller: a minibatch of a handful of rows would be all noise.
        parts = max(1, round(len(rows) / self._config.minibatch))
        figures: list[Figures] = []
        for _ in range(self._config.epochs):
            shuffled = rows[rng.permutation(len(rows))]
            for part in np.array_split(np.arange(len(rows)), parts):
                figures.append(self._gradient_of(params, gradient, shuffled[slice(part[0], part[-1] + 1)]))
                figures[-1]["gradient_norm"] = clip_by_global_norm(gradient.flat, self._config.clip_norm)
                optimizer.step(params.flat, gradient.flat, rate)
        means = {name: float(np.mean([each[name] for each in figures])) for name in figures[0]}
        return {**means, "explained_variance": explained, "effective_rate": rate}

    def _rows(self, batch: Batch, values: Floats) -> tuple[Rows, float]:
        config, valid = self._config, batch.valid
        advantages = generalized_advantages(
            batch.rewards, values, batch.terminated, batch.truncated, valid, config.gamma, config.lambda_
        )[valid]
        targets = advantages + values[:-1][valid]
        spread = float(targets.var())
        explained = 1 - float(advantages.var()) / spread if spread > 0 else 0.0
        advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        rows = Rows(
            observations=batch.observations[:-1][valid],
            actions=batch.actions[valid],
            log_probs=batch.log_probs[valid],
            advantages=advantages,
            targets=targets,
            masks=None if batch.masks is None else batch.masks[valid],
        )
        return rows, explained

    def _gradient_of(self, params: Parameters, gradient: Parameters, rows: Rows) -> Figures:
        """Write the gradient of the loss on `rows` into `gradient`."""
        config = self._config
        network = Forward(params.views, self._network, rows.observations)
        log_probs = categorical.log_softmax(network.logits, rows.masks)
        log_ratios = categorical.take(log_probs, rows.actions) - rows.log_probs
        ratios = np.exp(log_ratios)
        policy_loss, taken_grad = clipped_surrogate(ratios, rows.advantages, config.clip)
        value_loss, values_grad = squared_error(network.values, rows.targets, config.value_weight)
        logits_grad = to_logits(log_probs, rows.actions, taken_grad, config.entropy / len(rows))
        network.backward(gradient.views, logits_grad, values_grad)
        return {
            "policy_loss": policy_loss,
            "value_loss": value_loss,
            "entropy": mean_entropy(log_probs),
            "kl": kl_k3(log_ratios),
            "clip_fraction": float(np.mean(np.abs(ratios - 1) > config.clip)),
        }


def state_values(params: Parameters, network: NetworkSpec, observations: Floats) -> Floats:
    """V(x) [T + 1, B] of observations [T + 1, B, F]."""
    outputs: Floats = observations.reshape(-1, observations.shape[-1])
    if network.shared:
        outputs = forward(params.views, "torso", outputs, network.activation, head=False)[-1]
    return forward(params.views, "value", outputs, network.activation)[-1].reshape(observations.shape[:2])
