"""The policy's distributions over actions, one row for each step."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ..actions import Box, Discrete, MultiDiscrete
from . import categorical

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from ..actions import ActionSpace
    from ..process.seeding import Source
    from .network import Floats

LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)
ActionArray = np.ndarray[Any, np.dtype[Any]]


class Distribution(Protocol):
    """A batch of N distributions."""

    def sample(self, rng: Source) -> ActionArray:
        """Sample one action from each distribution, [N, *action shape]."""

    def best(self) -> ActionArray:
        """The most probable action of each distribution, [N, *action shape]."""

    def log_prob(self, actions: ActionArray) -> Floats:
        """The log-probability or log-density [N] of one action for each distribution, [N, *action shape]."""

    def entropy(self) -> Floats:
        """The entropy [N] in nats; the differential entropy of a density."""


def distribution(
    actions: ActionSpace, outputs: Floats, log_std: Floats | None, masks: NDArray[np.bool_] | None
) -> Distribution:
    """The distributions for the outputs of a policy head.

    Args:
        actions: the action space.
        outputs: [N, actions.outputs], the outputs of the policy head.
        log_std: [D], the log standard deviations for a Box; None for other action spaces.
        masks: [N, sum(actions.sizes)], the legal actions; None if all are legal.
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
    """One discrete choice; an action is an int."""

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
    """Several independent discrete choices; an action is [D] ints."""

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
    """Independent normal distributions; an action is [D] floats. The standard deviations do not depend on the state."""

    def __init__(self, means: Floats, log_std: Floats) -> None:
        self.means, self.log_std = means, log_std
        self.std = np.exp(log_std)

    def sample(self, rng: Source) -> ActionArray:
        """See Distribution."""
        noise = rng.standard_normal(self.means.shape, dtype=np.float32)
        return (self.means + self.std * noise).astype(np.float32, copy=False)

    def best(self) -> ActionArray:
        """See Distribution."""
        return self.means.astype(np.float32, copy=False)

    def standardised(self, actions: ActionArray) -> Floats:
        """(action - mean) / deviation, [N, D]."""
        return (actions - self.means) / self.std

    def log_prob(self, actions: ActionArray) -> Floats:
        """See Distribution."""
        z = self.standardised(actions)
        return -0.5 * (z * z).sum(axis=1) - (self.log_std.sum() + len(self.log_std) * LOG_SQRT_2PI)

    def entropy(self) -> Floats:
        """See Distribution."""
        one = self.log_std.sum() + len(self.log_std) * (0.5 + LOG_SQRT_2PI)
        return np.full(len(self.means), one, self.means.dtype)


def scaled_to_bounds(actions: ActionArray, low: ArrayLike, high: ArrayLike) -> NDArray[np.float64]:
    """The actions [..., D] of a Gaussian policy, clipped to [-1, 1] and scaled to bounds [D].

    No rounding error leaves the bounds. What is no number, as for an observation that is none, becomes the middle.
    """
    low, high = np.asarray(low, np.float64), np.asarray(high, np.float64)
    up = (np.nan_to_num(np.clip(actions, -1, 1)).astype(np.float64) + 1) / 2
    return np.clip(low * (1 - up) + high * up, low, high)
