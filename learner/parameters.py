"""All parameters of a network in one vector, so that an optimizer step is a handful of array operations."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..common.network import Floats, Params


class Parameters:
    """A vector and, by name, the views of it that the network computes with."""

    def __init__(self, shapes: Mapping[str, tuple[int, ...]], dtype: np.dtype | type = np.float32) -> None:
        self.shapes = dict(shapes)
        self.flat: Floats = np.zeros(sum(map(math.prod, self.shapes.values())), dtype)
        self.views: Params = {}
        start = 0
        for name, shape in self.shapes.items():
            end = start + math.prod(shape)
            self.views[name] = self.flat[start:end].reshape(shape)
            start = end

    @classmethod
    def of(cls, params: Params) -> Parameters:
        """A copy of `params`, in their dtype."""
        dtype = next(iter(params.values())).dtype
        result = cls({name: value.shape for name, value in params.items()}, dtype)
        for name, value in params.items():
            result.views[name][...] = value
        return result

    def like(self) -> Parameters:
        """Zeros of the same shapes: the place for a gradient."""
        return Parameters(self.shapes, self.flat.dtype)

    def copy(self) -> Parameters:
        """The same values in memory of their own."""
        result = self.like()
        result.flat[...] = self.flat
        return result
