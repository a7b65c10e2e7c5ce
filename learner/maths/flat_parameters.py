"""All parameters of a network in one vector, so that an optimizer step needs only a few array operations."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ...common.policy.network import shapes

if TYPE_CHECKING:
    from ...common.policy.network import Floats, Params
    from ...common.spec import GameSpec, NetworkSpec


class Parameters:
    """The parameters [P] of a network as the vector `flat`, and by name as `views` of it."""

    def __init__(self, network: NetworkSpec, game: GameSpec, dtype: np.dtype | type = np.float32) -> None:
        self._network, self._game = network, game
        self.shapes = shapes(network, game)
        self.flat: Floats = np.zeros(sum(map(math.prod, self.shapes.values())), dtype)
        self.views: Params = {}
        starts: dict[str, int] = {}
        start = 0
        for name, shape in self.shapes.items():
            starts[name] = start
            self.views[name] = self.flat[start : start + math.prod(shape)].reshape(shape)
            start += math.prod(shape)
        # If policy and value function have separate torsos, equal layers are stacked: [2, *shape] views of the vector.
        self.stacked: Params = {}
        for layer in range(0 if network.shared else len(network.hidden)):
            for part in (f"w{layer}", f"b{layer}"):
                shape, start = self.shapes[f"policy/{part}"], starts[f"policy/{part}"]
                self.stacked[part] = self.flat[start : start + 2 * math.prod(shape)].reshape(2, *shape)

    @property
    def apart(self) -> list[list[Floats]]:
        """The parameters of the policy and those of the value function, as views of `flat`; if they share some, all."""
        if self._network.shared:
            return [[self.flat]]
        heads: dict[str, list[Floats]] = {"policy": [], "value": []}
        for name, view in self.views.items():
            heads[name.partition("/")[0]].append(view.reshape(-1))
        return list(heads.values())

    @classmethod
    def of(cls, params: Params, network: NetworkSpec, game: GameSpec) -> Parameters:
        """A copy of `params`, in their dtype."""
        result = cls(network, game, next(iter(params.values())).dtype)
        for name, view in result.views.items():
            view[...] = params[name]
        return result

    def like(self) -> Parameters:
        """Zeros of the same shapes, for example for a gradient."""
        return Parameters(self._network, self._game, self.flat.dtype)

    def copy(self) -> Parameters:
        """A copy with memory of its own."""
        result = self.like()
        result.flat[...] = self.flat
        return result
