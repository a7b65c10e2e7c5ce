"""Exploration noise for continuous actions that is correlated over time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...common.policy.network import Floats
    from ...common.process.seeding import Source
    from ...common.spec import RolloutSpec


class CorrelatedNoise:
    """Standard normal noise [B, D] whose values `k` steps apart have the correlation `correlation ** k`.

    Noise that is independent in each step averages out: the agent hardly moves away from where it is, and does not
    reach distant states (Hollenstein et al. 2024, "Colored noise in PPO", arXiv 2312.11091). Each single value is
    still standard normal, so the log-probability of each action is the policy's.
    """

    def __init__(self, correlation: float) -> None:
        self._kept, self._fresh = np.float32(correlation), np.float32(math.sqrt(1 - correlation * correlation))
        self._noise: Floats | None = None

    def draw(self, shape: tuple[int, ...], rng: Source) -> Floats:
        """The noise [B, D] of the next step. `shape` must be the same in each call."""
        fresh = rng.standard_normal(shape, dtype=np.float32)
        self._noise = fresh if self._noise is None else self._kept * self._noise + self._fresh * fresh
        return self._noise


class PerEpisodeNoise:
    """The noise of several episodes in one batch. Row N belongs to episode N and is drawn with its own generator."""

    def __init__(self, noises: Sequence[CorrelatedNoise], rngs: Sequence[np.random.Generator]) -> None:
        self._pairs = list(zip(noises, rngs, strict=True))

    def draw(self, shape: tuple[int, ...], _rng: Source) -> Floats:
        """The next step's noise of each episode, [N, D]."""
        return np.concatenate([noise.draw((1, *shape[1:]), rng) for noise, rng in self._pairs])


def make_noise(rollout: RolloutSpec) -> CorrelatedNoise | None:
    """The correlated noise of a run's spec; None if its noise is independent in each step."""
    return CorrelatedNoise(rollout.noise_correlation) if rollout.noise_correlation else None
