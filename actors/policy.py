"""A pulled version of the policy, ready to act."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..common import categorical
from ..common.network import policy_logits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..common.network import Floats, Params
    from ..common.spec import NetworkSpec
    from ..common.weights import Pointer


class Policy:
    """One immutable version."""

    def __init__(self, pointer: Pointer, params: Params, network: NetworkSpec) -> None:
        self.pointer = pointer
        self._params, self._network = params, network

    def act(
        self, observations: Floats, masks: NDArray[np.bool_] | None, rng: np.random.Generator
    ) -> tuple[NDArray[np.int32], Floats]:
        """Draw actions [B] for observations [B, ...], and give their log-probabilities [B]."""
        log_probs = self._log_probs(observations, masks)
        actions = categorical.sample(log_probs, rng)
        return actions, categorical.take(log_probs, actions)

    def best(self, observations: Floats, masks: NDArray[np.bool_] | None) -> NDArray[np.int32]:
        """The most probable actions [B]."""
        return self._log_probs(observations, masks).argmax(axis=1).astype(np.int32)

    def _log_probs(self, observations: Floats, masks: NDArray[np.bool_] | None) -> Floats:
        flat = observations.reshape(len(observations), -1)
        return categorical.log_softmax(policy_logits(self._params, self._network, flat), masks)
