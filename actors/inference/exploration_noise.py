"""Noise that lasts: exploration for actions that are numbers."""

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
    """Standard normal noise [B, D] whose values `k` steps apart correlate by `correlation ** k`.

    Noise that is fresh at each step takes the average of itself: a car shaken by it never leaves its valley. What lasts
    gets somewhere (Hollenstein et al. 2024, "Colored noise in PPO", arXiv 2312.11091). Each value alone is still
    standard normal, so the log-probability of each action stays what the policy says.
    """

    def __init__(self, correlation: float) -> None:
        self._kept, self._fresh = np.float32(correlation), np.float32(math.sqrt(1 - correlation * correlation))
        self._noise: Floats | None = None

    def draw(self, shape: tuple[int, ...], rng: Source) -> Floats:
        """The next step's noise; `shape` is the same at each call."""
        fresh = rng.standard_normal(shape, dtype=np.float32)
        self._noise = fresh if self._noise is None else self._kept * self._noise + self._fresh * fresh
        return self._noise


class NoiseRows:
    """The noises of several games side by side; each goes on with its own game, by its own generator."""

    def __init__(self, noises: Sequence[CorrelatedNoise], rngs: Sequence[np.random.Generator]) -> None:
        self._pairs = list(zip(noises, rngs, strict=True))

    def draw(self, shape: tuple[int, ...], _rng: Source) -> Floats:
        """The next step's noise of each game, [N, D]."""
        return np.concatenate([noise.draw((1, *shape[1:]), rng) for noise, rng in self._pairs])


def make_noise(rollout: RolloutSpec) -> CorrelatedNoise | None:
    """The noise that a run's spec asks for; None where each step's is fresh."""
    return CorrelatedNoise(rollout.noise_correlation) if rollout.noise_correlation else None
