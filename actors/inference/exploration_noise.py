"""Exploration noise for continuous actions that is correlated over time, and their log-probabilities given the past."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...common.policy.autoregressive import AutoregressiveGaussian

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ...common.policy.distributions import ActionArray, Gaussian
    from ...common.policy.network import Floats
    from ...common.process.seeding import Source
    from ...common.spec import RolloutSpec


class CorrelatedNoise:
    """The noise of B games side by side, whose values `k` steps apart have the correlation `correlation ** k`.

    Noise that is independent in each step averages out: the agent hardly moves away from where it is, and rarely
    reaches distant states. What lasts of it is how far the last action was from the policy's mean then, so that the
    learner, which has observations and actions, computes the same log-probabilities from them.
    """

    def __init__(self, correlation: float, length: int | None = None) -> None:
        """Begin anew.

        Args:
            correlation: of the noise from one step to the next, at least 0 and less than 1.
            length: after so many steps the noise starts anew. The learner gets fragments of so many steps, and does not
                know what was before them. None: it lasts until `restart`.
        """
        self.correlation = correlation
        self._length, self._steps = length, 0
        self._deviations: Floats | None = None  # [B, D] of the last actions
        self._known: NDArray[np.bool_] | None = None  # [B], whether the game's noise lasts from the step before

    def previous(self, shape: tuple[int, ...]) -> tuple[Floats, NDArray[np.bool_]]:
        """The deviations [B, D] of the last actions from their means, and whether the noise lasts from there, [B]."""
        begins = self._length is not None and self._steps % self._length == 0
        if begins or self._deviations is None or self._known is None:
            return np.zeros(shape, np.float32), np.zeros(shape[0], np.bool_)
        return self._deviations, self._known

    def follow(self, deviations: Floats) -> None:
        """Note the deviations [B, D] of the actions from their means. What is no number is forgotten."""
        self._deviations, self._known = deviations, np.isfinite(deviations.sum(axis=1))
        self._steps += 1

    def restart(self, columns: NDArray[np.bool_]) -> None:
        """Start anew in some columns [B], where the next step is the first one of a game."""
        if self._known is not None:
            self._known = np.where(columns, False, self._known)


class PerEpisodeNoise:
    """The noise of several episodes in one batch. Row N belongs to episode N."""

    def __init__(self, noises: Sequence[CorrelatedNoise]) -> None:
        self.correlation = noises[0].correlation  # one policy plays them all, so they have one run's spec
        self._noises = noises

    def previous(self, shape: tuple[int, ...]) -> tuple[Floats, NDArray[np.bool_]]:
        """See CorrelatedNoise."""
        rows = [noise.previous((1, *shape[1:])) for noise in self._noises]
        return np.concatenate([deviations for deviations, _ in rows]), np.concatenate([known for _, known in rows])

    def follow(self, deviations: Floats) -> None:
        """See CorrelatedNoise."""
        for noise, row in zip(self._noises, deviations, strict=True):
            noise.follow(row[None])


def draw(noise: CorrelatedNoise | PerEpisodeNoise, policy: Gaussian, rng: Source) -> tuple[ActionArray, Floats]:
    """Draw the next actions [N, D], and their log-densities [N] given the steps before. `noise` moves on by a step."""
    choice = AutoregressiveGaussian(policy, *noise.previous(policy.means.shape), noise.correlation)
    actions = choice.sample(rng)
    noise.follow(actions - policy.means)
    return actions, choice.log_prob(actions)


def make_noise(rollout: RolloutSpec) -> CorrelatedNoise | None:
    """The correlated noise of a run's spec; None if its noise is independent in each step."""
    if not rollout.noise_correlation:
        return None
    return CorrelatedNoise(rollout.noise_correlation, rollout.fragment_length if rollout.unroll == "steps" else None)
