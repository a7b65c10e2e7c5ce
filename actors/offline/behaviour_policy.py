"""Behaviour policies of recorded games: the probabilities of the actions, for files that do not have them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...common.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...common.policy.network import Floats
    from ...common.wire.bot_model import BotModel


@dataclass(frozen=True, slots=True)
class BehaviourPolicy:
    """Epsilon-greedy: a uniformly random action with probability `epsilon`, otherwise the model's best action."""

    epsilon: float = 1.0
    model: BotModel | None = None  # required if epsilon is below 1

    def log_probs(self, observations: Floats, actions: NDArray[np.integer], choices: int) -> Floats:
        """Log-probabilities [N] of actions [N] among `choices`, for observations [N, F]."""
        probabilities = np.full(len(actions), self.epsilon / choices)
        if self.model is not None:
            best = self.model.logits(observations).argmax(axis=1)
            probabilities += (1 - self.epsilon) * (actions == best)
        return np.log(probabilities).astype(np.float32)


def parse_behaviour(text: str, model: BotModel | None) -> BehaviourPolicy:
    """The behaviour policy for the text `uniform` or `epsilon:E`.

    Raises:
        ConfigError: if it is neither, or the model is missing or not needed.
    """
    name, _, value = text.partition(":")
    if name == "uniform" and not value:
        if model is not None:
            raise ConfigError("model: given with behaviour uniform, expected it with epsilon:E only")
        return BehaviourPolicy()
    try:
        epsilon = float(value) if name == "epsilon" else 0.0
    except ValueError:
        epsilon = 0.0
    # With 0, all but the best action would have probability 0, and recorded actions must have a positive one.
    if not 0 < epsilon <= 1:
        raise ConfigError(f"behaviour: {text!r}, expected uniform or epsilon:E with E above 0 and at most 1")
    if model is None:
        raise ConfigError(
            f"behaviour: {text!r} without a model, expected --model FILE, the model that chose the other actions"
        )
    return BehaviourPolicy(epsilon, model)
