"""Generators side by side: one a row, so that each row draws what it would draw alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class GeneratorRows:
    """Takes the place of one generator wherever there is a row a decision."""

    def __init__(self, rngs: Sequence[np.random.Generator]) -> None:
        self._rngs = rngs

    def random(self, rows: int, /) -> NDArray[np.float64]:
        """One uniform number a row, [N]."""
        assert rows == len(self._rngs)
        return np.array([rng.random() for rng in self._rngs])

    def standard_normal(self, shape: tuple[int, ...], /, dtype: type[np.float32]) -> NDArray[np.float32]:
        """Standard normal numbers [N, D]."""
        assert shape[0] == len(self._rngs)
        return np.stack([rng.standard_normal(shape[1:], dtype=dtype) for rng in self._rngs])
