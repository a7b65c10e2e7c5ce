"""Random generators: one for each role and index, all derived from the run's one seed.

Seeds are spawned, never added: seed + index would give actor 1 of run 0 the numbers of actor 0 of run 1.
"""

from __future__ import annotations

import hashlib
from enum import IntEnum
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Source(Protocol):
    """Where random numbers come from: one generator, or one for each row."""

    def random(self, size: int, /) -> NDArray[np.float64]:
        """Uniform numbers below 1, [N]."""

    def standard_normal(self, size: tuple[int, ...], /, dtype: type[np.float32]) -> NDArray[np.float32]:
        """Standard normal numbers [N, D]."""


class Role(IntEnum):
    """Who draws; the numbers are part of what a seed means and must not change."""

    INITIAL_WEIGHTS = 0
    LEARNER = 1
    ACTIONS = 2
    GAME = 3
    EVALUATION = 4


def generator(seed: int, role: Role, *index: int) -> np.random.Generator:
    """The generator of one holder of a role; `index` tells it from the others, in non-negative integers."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(role, *index)))


def name_key(name: str) -> int:
    """A name as an index."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")


def integer_seed(seed: int, role: Role, *index: int) -> int:
    """A 31-bit seed, for whatever takes an integer only (a game's reset)."""
    return int(generator(seed, role, *index).integers(2**31))
