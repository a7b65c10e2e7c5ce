"""A pulled version of the policy, ready to act."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...common.policy.distributions import Gaussian, distribution
from ...common.policy.network import LOG_STD, policy_outputs, prepare

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ...common.policy.distributions import ActionArray, Distribution
    from ...common.policy.network import Floats, Params
    from ...common.process.seeding import Source
    from ...common.spec import RunSpec
    from ...common.wire.weights import Pointer
    from .exploration_noise import CorrelatedNoise, NoiseRows


class Policy:
    """One immutable version."""

    def __init__(self, pointer: Pointer, params: Params, spec: RunSpec) -> None:
        self.pointer = pointer
        self.spec = spec
        self._params = params

    def act(
        self,
        observations: Floats,
        masks: NDArray[np.bool_] | None,
        rng: Source,
        noise: CorrelatedNoise | NoiseRows | None = None,
    ) -> tuple[ActionArray, Floats]:
        """Draw actions [B, ...] for observations [B, ...], and give their log-probabilities [B].

        With `noise`, actions that are numbers are drawn by it; it must be the same object from step to step.
        """
        choice = self._distribution(observations, masks)
        if noise is not None and isinstance(choice, Gaussian):
            actions = choice.at(noise.draw(choice.means.shape, rng))
        else:
            actions = choice.sample(rng)
        return actions, choice.log_prob(actions)

    def best(self, observations: Floats, masks: NDArray[np.bool_] | None) -> ActionArray:
        """The most probable actions [B, ...]."""
        return self._distribution(observations, masks).best()

    def _distribution(self, observations: Floats, masks: NDArray[np.bool_] | None) -> Distribution:
        outputs = policy_outputs(self._params, self.spec.network, prepare(self._params, observations))
        return distribution(self.spec.game.actions, outputs, self._params.get(LOG_STD), masks)
