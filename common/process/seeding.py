"""Random generators: one for each role and index, all derived from the run's one seed.

Seeds are spawned and never added: with seed + index, actor 1 of seed 0 would get the numbers of actor 0 of seed 1.
"""

from __future__ import annotations

import hashlib
from enum import IntEnum
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Source(Protocol):
    """A source of random numbers: one generator, or one for each row."""

    def random(self, size: int, /) -> NDArray[np.float64]:
        """Uniform numbers below 1, [N]."""

    def standard_normal(self, size: tuple[int, ...], /, dtype: type[np.float32]) -> NDArray[np.float32]:
        """Standard normal numbers [N, D]."""


class Role(IntEnum):
    """What a generator is for. These numbers must not change: with others, a seed would give other random numbers."""

    INITIAL_WEIGHTS = 0
    LEARNER = 1
    ACTIONS = 2
    GAME = 3
    EVALUATION = 4


def generator(seed: int, role: Role, *index: int) -> np.random.Generator:
    """Make the generator for a role. `index`, non-negative integers, distinguishes several generators of one role."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(role, *index)))


def name_key(name: str) -> int:
    """Derive an index for `generator` from a name."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")


def integer_seed(seed: int, role: Role, *index: int) -> int:
    """Make a 31-bit seed for functions that accept only an integer, such as a game's reset."""
    return int(generator(seed, role, *index).integers(2**31))
