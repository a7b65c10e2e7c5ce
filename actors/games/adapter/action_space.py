"""Action spaces of Gymnasium: what the policy chooses, and the environment's actions for its choices."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from gymnasium import spaces

from ....common.actions import Box, Discrete, MultiDiscrete
from ....common.errors import ConfigError
from ....common.policy.distributions import scaled_to_bounds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from ....common.actions import ActionSpace
    from ....common.policy.distributions import ActionArray

Leaf: TypeAlias = "spaces.Box | spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary"
_TRANSFORM = "gymnasium.wrappers.TransformAction makes other actions of it"


class ActionAdapter:
    """The actions of an environment.

    `actions` is the policy's action space. Several choices in a tuple or a dict are one MultiDiscrete, several bounded
    boxes one Box, in the order of the space.
    """

    def __init__(self, name: str, space: spaces.Space[Any]) -> None:
        """Raises ConfigError, naming the space and a wrapper that helps, if the space cannot be taken."""
        self._space = space
        leaves = list(_leaves(name, space, ""))
        boxes = [each for each in leaves if isinstance(each, spaces.Box)]
        if boxes and len(boxes) < len(leaves):
            raise ConfigError(
                f"action space of {name}: {space}, expected choices only or bounded boxes only; {_TRANSFORM}, "
                "gymnasium.wrappers.DiscretizeAction makes choices of a Box"
            )
        self.actions: ActionSpace
        if boxes:
            self._low = np.concatenate([each.low.ravel() for each in boxes]).astype(np.float64)
            self._high = np.concatenate([each.high.ravel() for each in boxes]).astype(np.float64)
            self.actions = Box(tuple(self._low.tolist()), tuple(self._high.tolist()))
        elif isinstance(space, spaces.Discrete):
            self.actions = Discrete(int(space.n))
        else:
            self.actions = MultiDiscrete(tuple(size for each in leaves for size in _sizes(each)))

    def to_env(self, actions: ActionArray) -> Any:  # noqa: ANN401 - as the space has it
        """The batch of the environment's actions for the policy's actions [N, ...]: each of them is in the space.

        Numbers are scaled from [-1, 1] to the bounds; those that are none become the middle. Choices are counted from
        the space's `start`.
        """
        if isinstance(self.actions, Box):
            values = scaled_to_bounds(actions, self._low, self._high)
        elif isinstance(self._space, spaces.Discrete):  # as below, in a tenth of the time
            return actions.astype(self._space.dtype) + self._space.start
        else:
            values = actions.reshape(len(actions), -1)
        return _rebuilt(self._space, values, 0)[0]


def first_of(space: spaces.Space[Any], batch: Any) -> Any:  # noqa: ANN401 - as the space has it
    """The first action of a batch of a space's actions, as of `ActionAdapter.to_env`."""
    if isinstance(space, spaces.Dict):
        return {key: first_of(inner, batch[key]) for key, inner in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(first_of(inner, part) for inner, part in zip(space.spaces, batch, strict=True))
    return batch[0]


def _leaves(name: str, space: spaces.Space[Any], place: str) -> Iterator[Leaf]:
    match space:
        case spaces.Dict():
            for key, inner in space.spaces.items():
                yield from _leaves(name, inner, f"{place}[{key!r}]")
        case spaces.Tuple():
            for index, inner in enumerate(space.spaces):
                yield from _leaves(name, inner, f"{place}[{index}]")
        case spaces.Discrete() | spaces.MultiDiscrete() | spaces.MultiBinary():
            yield space
        case spaces.Box() if space.is_bounded():
            yield space
        case spaces.Box():
            raise ConfigError(
                f"action space{place} of {name}: {space}, expected finite bounds; gymnasium.wrappers.TransformAction "
                "with a bounded Box as its action_space gives it some"
            )
        case _:
            raise ConfigError(
                f"action space{place} of {name}: {space}, expected Discrete, MultiDiscrete, MultiBinary, a bounded "
                f"Box, or a Tuple or Dict of these; {_TRANSFORM}"
            )


def _sizes(leaf: Leaf) -> tuple[int, ...]:
    """The number of options of each choice of a leaf."""
    match leaf:
        case spaces.Discrete():
            return (int(leaf.n),)
        case spaces.MultiDiscrete():
            return tuple(map(int, leaf.nvec.ravel()))
    return (2,) * math.prod(leaf.shape)


def _rebuilt(space: spaces.Space[Any], values: NDArray[Any], at: int) -> tuple[Any, int]:
    """The batch of a space's actions from the columns of `values` from `at` on, and the column after them."""
    if isinstance(space, spaces.Dict):
        batch: dict[str, Any] = {}
        for key, inner in space.spaces.items():
            batch[key], at = _rebuilt(inner, values, at)
        return batch, at
    if isinstance(space, spaces.Tuple):
        parts = []
        for inner in space.spaces:
            part, at = _rebuilt(inner, values, at)
            parts.append(part)
        return tuple(parts), at
    shape: tuple[int, ...] = space.shape or ()
    end = at + math.prod(shape)
    own = values[:, at:end].reshape(len(values), *shape)
    if isinstance(space, spaces.Box):
        own = np.rint(own) if np.issubdtype(space.dtype, np.integer) else own
    converted = own.astype(space.dtype)
    start = getattr(space, "start", None)  # of Discrete and MultiDiscrete
    return converted if start is None else converted + start, end
