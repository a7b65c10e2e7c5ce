"""The categorical distribution over discrete actions, with an optional action mask."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..process.seeding import Source
    from .network import Floats


def log_softmax(logits: Floats, masks: NDArray[np.bool_] | None = None) -> Floats:
    """Log-probabilities [N, A] of logits [N, A]; -inf where `masks` [N, A] forbids the action.

    Every row of `masks` must allow at least one action.
    """
    if masks is not None:
        logits = np.where(masks, logits, -np.inf)
    shifted = logits - logits.max(axis=-1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return shifted


def sample(log_probs: Floats, rng: Source) -> NDArray[np.int32]:
    """Sample one action for each row of `log_probs` [N, A], [N]. Draws one uniform number for each row.

    The action is found by inverting the cumulative distribution function.
    """
    if len(log_probs) == 1:  # a game that is played alone; the same number in half the time
        sums = np.exp(log_probs[0]).cumsum()
        drawn_action = sums.searchsorted(rng.random(1)[0] * sums[-1], side="right")
        return np.array([min(drawn_action, len(sums) - 1)], np.int32)  # beyond it where the sums are not numbers
    cumulative = np.exp(log_probs).cumsum(axis=-1)
    # A float64 number below 1 times the last sum stays below that sum, so rounding cannot draw a forbidden last action.
    drawn = rng.random(len(log_probs))[:, None] * cumulative[:, -1:]
    return (cumulative <= drawn).sum(axis=-1, dtype=np.int32)


def take(log_probs: Floats, actions: NDArray[np.integer]) -> Floats:
    """The log-probabilities [N] of the actions [N], from those of all actions [N, A]."""
    if len(actions) == 1:
        return log_probs[0, actions]
    return log_probs[np.arange(len(actions)), actions]


def entropy(log_probs: Floats) -> Floats:
    """Entropy [N] in nats of `log_probs` [N, A]; forbidden actions contribute 0."""
    return -(np.exp(log_probs) * finite(log_probs)).sum(axis=-1)


def finite(log_probs: Floats) -> Floats:
    """Replace -inf by the lowest finite number, so that its product with a probability of 0 is 0 and not NaN."""
    return np.maximum(log_probs, np.finfo(log_probs.dtype).min)
