"""Observation spaces of Gymnasium: the parts of an observation, and the array that a game's spec has for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium import spaces

from ....common.errors import ConfigError
from ....common.observation_parts import ObservationPart
from ....common.policy.flat_observations import flatten

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from ....common.observation_parts import Path
    from ....common.spec import ObservationDtype

MASK = "action_mask"  # a key of the infos, as in Gymnasium's Taxi, or of a dict of observations, as in PettingZoo


@dataclass(frozen=True, slots=True)
class ObservationLayout:
    """An observation as the game's spec describes it."""

    shape: tuple[int, ...]
    dtype: ObservationDtype
    parts: tuple[ObservationPart, ...]  # empty: the observation is one array that keeps its shape
    masked: bool  # a dict has the action mask beside the observation

    def array(self, observations: Any, rows: int) -> NDArray[np.float32] | NDArray[np.uint8]:  # noqa: ANN401
        """The batch of observations as one array [N, *shape]. Raises ValueError naming the part that does not fit."""
        if self.parts:
            return flatten(self.parts, observations, rows, self.dtype)
        array: NDArray[Any] = np.asarray(observations, self.dtype)
        return array.reshape(rows, *self.shape)


def observation_layout(name: str, space: spaces.Space[Any]) -> ObservationLayout:
    """The layout of a game's observations. Raises ConfigError if the space, or a part of it, cannot be taken."""
    if isinstance(space, spaces.Box | spaces.MultiBinary):
        dtype: ObservationDtype = "uint8" if _is_image(space) else "float32"
        return ObservationLayout(tuple(space.shape) or (1,), dtype, (), masked=False)
    masked = isinstance(space, spaces.Dict) and MASK in space.spaces
    parts = tuple(part for part in _parts(name, space, ()) if not (masked and part.path == (MASK,)))
    features = sum(part.features for part in parts)
    if not features:
        raise ConfigError(f"observation space of {name}: {space}, expected at least one number")
    return ObservationLayout(
        (features,), "uint8" if all(part.kind == "image" for part in parts) else "float32", parts, masked
    )


def _parts(name: str, space: spaces.Space[Any], path: Path) -> Iterator[ObservationPart]:
    match space:
        case spaces.Dict():
            for key, inner in space.spaces.items():
                yield from _parts(name, inner, (*path, key))
        case spaces.Tuple():
            for index, inner in enumerate(space.spaces):
                yield from _parts(name, inner, (*path, index))
        case spaces.Box() | spaces.MultiBinary():
            yield ObservationPart(path, "image" if _is_image(space) else "numbers", tuple(space.shape))
        case spaces.Discrete():
            yield ObservationPart(path, "one_hot", (), (int(space.n),), (int(space.start),))
        case spaces.MultiDiscrete():
            sizes, start = (tuple(map(int, each.ravel())) for each in (space.nvec, space.start))
            yield ObservationPart(path, "one_hot", tuple(space.shape), sizes, start)
        case _:
            raise ConfigError(_rejection(name, space, path))


def _is_image(space: spaces.Space[Any]) -> bool:
    """Whether the numbers are bytes of 0 to 255. A Box of uint8 with other bounds counts something instead."""
    return isinstance(space, spaces.Box) and space.dtype == np.uint8 and bool((space.high == 255).all())


def _rejection(name: str, space: spaces.Space[Any], path: Path) -> str:
    place = "".join(f"[{key!r}]" for key in path)
    helps = "gymnasium.wrappers.TransformObservation makes a Box of it"
    if path and isinstance(path[0], str):
        helps += ", gymnasium.wrappers.FilterObservation leaves it out"
    return (
        f"observation space{place} of {name}: {space}, expected Box, Discrete, MultiDiscrete, MultiBinary, or a Dict "
        f"or Tuple of these; {helps}"
    )
