"""Finds which environment of a SyncVectorEnv returned an observation that is not of its space."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium import spaces

if TYPE_CHECKING:
    from gymnasium.vector import VectorEnv


def misfit(env: VectorEnv[Any, Any, Any]) -> str | None:
    """What is wrong with the latest observations; None where it cannot be found.

    Gymnasium's own error names neither the shape nor the environment.
    """
    found: Any = getattr(env.unwrapped, "_env_obs", None)  # no public name gives the observations before they are one
    if not isinstance(found, list):
        return None
    for index, observation in enumerate(found):
        problem = observation_problem(env.single_observation_space, observation)
        if problem:
            return f"{problem} (copy {index})"
    return None


def observation_problem(space: spaces.Space[Any], observation: Any, place: str = "observation") -> str | None:  # noqa: ANN401
    """What of an observation is not of its space, with its name: keys, shape, dtype or range; None if all fits."""
    if isinstance(space, spaces.Dict):
        if not isinstance(observation, dict) or observation.keys() != space.spaces.keys():
            keys = sorted(map(str, observation)) if isinstance(observation, dict) else type(observation).__name__
            return f"{place}: {keys}, expected a dict of {sorted(map(str, space.spaces))}"
        inner = ((each, observation[key], f"{place}[{key!r}]") for key, each in space.spaces.items())
    elif isinstance(space, spaces.Tuple):
        if not isinstance(observation, tuple | list) or len(observation) != len(space.spaces):
            has = len(observation) if isinstance(observation, tuple | list) else type(observation).__name__
            return f"{place}: {has}, expected a tuple of {len(space.spaces)}"
        inner = ((each, observation[at], f"{place}[{at}]") for at, each in enumerate(space.spaces))
    else:
        return _array_problem(space, observation, place)
    return next(filter(None, (observation_problem(*each) for each in inner)), None)


def _array_problem(space: spaces.Space[Any], observation: Any, place: str) -> str | None:  # noqa: ANN401
    if observation is None:
        return f"{place}: None, expected {space}"
    try:
        array = np.asarray(observation)
    except ValueError:
        return f"{place}: rows of several lengths, expected {space}"
    if array.dtype.kind not in "biuf":
        return f"{place}: {type(observation).__name__} of {array.dtype}, expected {space}"
    if space.shape is not None and array.shape != space.shape:
        return f"{place}: shape {array.shape}, expected {space.shape}"
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return f"{place}: {array[~np.isfinite(array)].flat[0]}, expected finite numbers"
    return None
