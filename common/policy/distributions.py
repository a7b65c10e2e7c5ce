"""The policy's distribution over actions, one row a decision."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ..actions import Box, Discrete, MultiDiscrete
from . import categorical

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..actions import ActionSpace
    from ..process.seeding import Source
    from .network import Floats

_LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)
ActionArray = np.ndarray[Any, np.dtype[Any]]


class Distribution(Protocol):
    """N distributions side by side."""

    def sample(self, rng: Source) -> ActionArray:
        """Draw one action a row, [N, *action shape]."""

    def best(self) -> ActionArray:
        """The most probable action of each row."""

    def log_prob(self, actions: ActionArray) -> Floats:
        """Log-probability or log-density [N] of one action a row."""

    def entropy(self) -> Floats:
        """Entropy [N] in nats; of a density, its differential entropy."""


def distribution(
    actions: ActionSpace, outputs: Floats, log_std: Floats | None, masks: NDArray[np.bool_] | None
) -> Distribution:
    """The distribution that a policy's outputs stand for.

    Args:
        actions: what an action is.
        outputs: [N, actions.outputs] of the policy's head.
        log_std: [D] where the actions are numbers, None otherwise.
        masks: [N, sum(actions.sizes)], what is allowed; None where everything is.
    """
    match actions:
        case Discrete():
            return Categorical(outputs, masks)
        case MultiDiscrete(sizes):
            return MultiCategorical(outputs, sizes, masks)
        case Box():
            assert log_std is not None
            return Gaussian(outputs, log_std)


class Categorical:
    """One choice; an action is an int."""

    def __init__(self, logits: Floats, masks: NDArray[np.bool_] | None = None) -> None:
        self.log_probs = categorical.log_softmax(logits, masks)

    def sample(self, rng: Source) -> ActionArray:
        """See Distribution."""
        return categorical.sample(self.log_probs, rng)

    def best(self) -> ActionArray:
        """See Distribution."""
        return self.log_probs.argmax(axis=1).astype(np.int32)

    def log_prob(self, actions: ActionArray) -> Floats:
        """See Distribution."""
        return categorical.take(self.log_probs, actions)

    def entropy(self) -> Floats:
        """See Distribution."""
        return categorical.entropy(self.log_probs)


class MultiCategorical:
    """Several independent choices; an action is [D] ints."""

    def __init__(self, logits: Floats, sizes: tuple[int, ...], masks: NDArray[np.bool_] | None = None) -> None:
        ends = np.cumsum(sizes)
        self.slices = [slice(int(end) - size, int(end)) for end, size in zip(ends, sizes, strict=True)]
        self.parts = [Categorical(logits[:, at], None if masks is None else masks[:, at]) for at in self.slices]

    def sample(self, rng: Source) -> ActionArray:
        """See Distribution."""
        return np.stack([part.sample(rng) for part in self.parts], axis=1)

    def best(self) -> ActionArray:
        """See Distribution."""
        return np.stack([part.best() for part in self.parts], axis=1)

    def log_prob(self, actions: ActionArray) -> Floats:
        """See Distribution."""
        return sum((part.log_prob(actions[:, i]) for i, part in enumerate(self.parts)), start=np.zeros(1, np.float32))

    def entropy(self) -> Floats:
        """See Distribution."""
        return sum((part.entropy() for part in self.parts), start=np.zeros(1, np.float32))


class Gaussian:
    """Independent normal distributions; an action is [D] floats. The deviations are parameters of their own."""

    def __init__(self, means: Floats, log_std: Floats) -> None:
        self.means, self.log_std = means, log_std
        self.std = np.exp(log_std)

    def sample(self, rng: Source) -> ActionArray:
        """See Distribution."""
        return self.at(rng.standard_normal(self.means.shape, dtype=np.float32))

    def at(self, noise: Floats) -> ActionArray:
        """The actions that are `noise` [N, D] deviations from the means."""
        return (self.means + self.std * noise).astype(np.float32, copy=False)

    def best(self) -> ActionArray:
        """See Distribution."""
        return self.means.astype(np.float32, copy=False)

    def standardised(self, actions: ActionArray) -> Floats:
        """(a - mean) / deviation, [N, D]."""
        return (actions - self.means) / self.std

    def log_prob(self, actions: ActionArray) -> Floats:
        """See Distribution."""
        z = self.standardised(actions)
        return -0.5 * (z * z).sum(axis=1) - (self.log_std.sum() + len(self.log_std) * _LOG_SQRT_2PI)

    def entropy(self) -> Floats:
        """See Distribution."""
        one = self.log_std.sum() + len(self.log_std) * (0.5 + _LOG_SQRT_2PI)
        return np.full(len(self.means), one, self.means.dtype)
