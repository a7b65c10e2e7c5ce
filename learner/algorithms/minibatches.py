"""Minibatches: the valid steps of a batch as flat rows, and epochs of shuffled minibatches over them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ...common.policy.distributions import ActionArray
    from ...common.policy.network import Floats
    from ..metrics.update_metrics import Metrics
    from .batch import Batch
    from .history import History


@dataclass(frozen=True, slots=True)
class Minibatch:
    """The valid steps of a batch: N rows."""

    observations: Floats  # [N, F]
    actions: ActionArray  # [N, *action shape]
    log_probs: Floats  # [N], of the policy in the denominator of the ratios
    advantages: Floats  # [N], importance weights included
    targets: Floats  # [N], for the value function
    masks: NDArray[np.bool_] | None  # [N, A]
    history: History | None = None  # the steps before, where the noise of the actions depended on them

    def __getitem__(self, index: NDArray[np.integer] | slice) -> Minibatch:
        """The selected rows."""
        return Minibatch(
            self.observations[index],
            self.actions[index],
            self.log_probs[index],
            self.advantages[index],
            self.targets[index],
            None if self.masks is None else self.masks[index],
            None if self.history is None else self.history[index],
        )

    def __len__(self) -> int:
        """The number of rows, N."""
        return len(self.actions)


def minibatch_of(batch: Batch, log_probs: Floats, advantages: Floats, targets: Floats) -> Minibatch:
    """The rows of a batch, given log-probabilities [N], advantages [N] and targets [N] of its valid steps.

    The advantages in it include the weights of the batch.
    """
    valid = batch.valid
    if batch.weights is not None:
        advantages = advantages * batch.weights[valid]
    masks = None if batch.masks is None else batch.masks[valid]
    observations, actions = batch.observations[:-1][valid], batch.actions[valid]
    return Minibatch(observations, actions, log_probs, advantages, targets, masks, batch.history(valid))


def run_epochs(
    rows: Minibatch, epochs: int, minibatch: int, rng: np.random.Generator, step: Callable[[Minibatch], Metrics]
) -> Metrics:
    """Call `step` on shuffled minibatches of all rows, in `epochs` passes. Returns the means of the metrics.

    All minibatches have the same size, give or take a row, as near to `minibatch` rows as possible. A small remainder
    as a minibatch of its own would have a noisy gradient.
    """
    bounds = np.linspace(0, len(rows), max(1, round(len(rows) / minibatch)) + 1).astype(int)
    metrics: list[Metrics] = []
    for _ in range(epochs):
        shuffled = rows[rng.permutation(len(rows))]
        metrics += [step(shuffled[start:end]) for start, end in itertools.pairwise(bounds)]
    return {name: float(np.mean([each[name] for each in metrics])) for name in metrics[0]}
