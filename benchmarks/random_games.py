"""Games of random numbers, for benchmarks that only need arrays of the right shapes."""

from __future__ import annotations

import numpy as np

from broodmind.common.process.clock import now_ms
from broodmind.common.wire.entry_header import Episodes
from broodmind.common.wire.trajectory import Trajectory

FEATURES, CHOICES = 15, 5


def random_game(steps: int, seed: int, *, wins: bool) -> Trajectory:
    """One whole game of random numbers, with uniformly random actions. With `wins` it is marked as won."""
    rng = np.random.default_rng(seed)
    terminated = np.zeros((steps, 1), np.bool_)
    terminated[-1] = True
    rewards = rng.standard_normal((steps, 1)).astype(np.float32)
    return Trajectory(
        observations=rng.random((steps + 1, 1, FEATURES), np.float32),
        actions=rng.integers(CHOICES, size=(steps, 1), dtype=np.int32),
        log_probs=np.full((steps, 1), -np.log(CHOICES), np.float32),
        rewards=rewards,
        terminated=terminated,
        truncated=np.zeros_like(terminated),
        valid=np.ones_like(terminated),
        episodes=Episodes((float(rewards.sum()),), (steps,), (now_ms(),), (True,) if wins else None),
    )
