"""One version of the policy, as the actors use it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...common.policy.distributions import Gaussian, distribution
from ...common.policy.network import LOG_STD, policy_outputs, prepare
from .exploration_noise import draw

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ...common.policy.distributions import ActionArray, Distribution
    from ...common.policy.network import Floats, Observations, Params
    from ...common.process.seeding import Source
    from ...common.spec import RunSpec
    from ...common.wire.weights import Pointer
    from .exploration_noise import CorrelatedNoise, PerEpisodeNoise


class Policy:
    """One version of the policy. Immutable."""

    def __init__(self, pointer: Pointer, params: Params, spec: RunSpec) -> None:
        self.pointer = pointer
        self.spec = spec
        self.params = params

    def act(
        self,
        observations: Observations,
        masks: NDArray[np.bool_] | None,
        rng: Source,
        noise: CorrelatedNoise | PerEpisodeNoise | None = None,
    ) -> tuple[ActionArray, Floats]:
        """Sample actions [B, ...] for observations [B, ...].

        Args:
            observations: [B, *observation shape].
            masks: [B, A], the legal actions; None if the game has no action mask.
            rng: the source of random numbers.
            noise: that of continuous actions, if it lasts over steps; must be the same object in every step.

        Returns:
            The actions [B, ...] and their log-probabilities [B]; with `noise` given the steps before.
        """
        policy = self.distribution(observations, masks)
        if noise is not None and isinstance(policy, Gaussian):
            return draw(noise, policy, rng)
        actions = policy.sample(rng)
        return actions, policy.log_prob(actions)

    def act_greedily(self, observations: Observations, masks: NDArray[np.bool_] | None) -> tuple[ActionArray, Floats]:
        """The most probable actions [B, ...], and their log-probabilities [B]."""
        policy = self.distribution(observations, masks)
        actions = policy.best()
        return actions, policy.log_prob(actions)

    def best(self, observations: Observations, masks: NDArray[np.bool_] | None) -> ActionArray:
        """The most probable actions [B, ...]."""
        return self.distribution(observations, masks).best()

    def distribution(self, observations: Observations, masks: NDArray[np.bool_] | None) -> Distribution:
        """The distribution of the actions, for observations [B, ...]."""
        outputs = policy_outputs(self.params, self.spec.network, prepare(self.params, observations))
        return distribution(self.spec.game.actions, outputs, self.params.get(LOG_STD), masks)
