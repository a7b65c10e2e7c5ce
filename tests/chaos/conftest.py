"""How much chaos, and which: CHAOS_SCALE is the part of the whole suite's figures, CHAOS_SEED repeats a run."""

from __future__ import annotations

import math
import os
import random

import pytest

SCALE = float(os.environ.get("CHAOS_SCALE", "0.1"))


@pytest.fixture
def times():
    """What is left at this scale of a figure that stands for the whole suite; at least 1."""
    return lambda whole: max(1, math.ceil(whole * SCALE))


@pytest.fixture
def chaos() -> random.Random:
    """Where a test's accidents come from. Its seed is printed, and so shown by pytest when the test fails."""
    seed = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(2**32))
    print(f"CHAOS_SEED={seed} CHAOS_SCALE={SCALE}")
    return random.Random(seed)
