"""Random generators: one for each role and index, all derived from the run's one seed.

Seeds are spawned and never added: with seed + index, actor 1 of run 0 would get the random numbers of actor 0 of run 1.
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
        """Uniform numbers in [0, 1), [N]."""

    def standard_normal(self, size: tuple[int, ...], /, dtype: type[np.float32]) -> NDArray[np.float32]:
        """Standard normal numbers [N, D]."""


class Role(IntEnum):
    """The purpose of a generator. These numbers must not change, because a seed would then give other results."""

    INITIAL_WEIGHTS = 0
    LEARNER = 1
    ACTIONS = 2
    GAME = 3
    EVALUATION = 4


def generator(seed: int, role: Role, *index: int) -> np.random.Generator:
    """The generator for a role. `index`, non-negative integers, distinguishes several generators of the same role."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(role, *index)))


def name_key(name: str) -> int:
    """A number made from a name, for the `index` of a generator."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")


def integer_seed(seed: int, role: Role, *index: int) -> int:
    """A 31-bit seed, for code that accepts only an integer (a game's reset)."""
    return int(generator(seed, role, *index).integers(2**31))
