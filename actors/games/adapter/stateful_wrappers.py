"""Finds wrappers that learn while they play: what they have learnt is in one process only, and in no checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gymnasium
from gymnasium.vector import SyncVectorEnv, VectorEnv, VectorWrapper

if TYPE_CHECKING:
    from collections.abc import Iterator

_INSTEAD = {
    "NormalizeObservation": "--normalize-observations, whose moments are of all actors and are kept with the weights",
    "NormalizeReward": "rewards as they are, whose scale the learner measures itself (--popart)",
}


def stateful_wrappers(env: VectorEnv[Any, Any, Any]) -> list[str]:
    """A warning for each kind of such a wrapper around a vector environment, or around its environments."""
    found = dict.fromkeys(type(each).__name__ for each in _layers(env))
    return [
        f"wrapper {name}: each process normalizes by statistics of its own, which no checkpoint has; use {instead}"
        for name, instead in _INSTEAD.items()
        if name in found
    ]


def _layers(env: Any) -> Iterator[Any]:  # noqa: ANN401 - an environment or a vector environment
    """The environment, what is inside of it, and so on; of several copies the first one."""
    while True:
        yield env
        if isinstance(env, SyncVectorEnv):
            env = env.envs[0]
        elif isinstance(env, gymnasium.Wrapper | VectorWrapper):
            env = env.env
        else:
            return
