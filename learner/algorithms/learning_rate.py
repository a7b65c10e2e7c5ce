"""The learning rate of an update, from what the update is made of. Pure: the trainer keeps the state."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from ...common.errors import ConfigError

Scaling = Literal["none", "linear", "sqrt"]


@dataclass(frozen=True, slots=True)
class LearningRateConfig:
    """How the rate follows the batch, the run's progress, and how far updates move the policy."""

    scaling: Scaling = "none"  # against the reference batch, by the steps that were accepted, not asked for
    reference_steps: int = 2048
    warmup_updates: int = 0  # the rate rises linearly over so many
    anneal_steps: int = 0  # the rate falls linearly to 0 over so many trained steps; 0: it does not
    stale_factor: float = 1.0  # the rate for a batch of stale data only; a mixed batch lies between, by its share
    kl_target: float = 0.0  # 0: the rate does not follow the KL divergence

    def __post_init__(self) -> None:
        """Check ranges once, here."""
        if self.scaling not in get_args(Scaling):
            raise ConfigError(f"rate scaling: {self.scaling!r}, expected one of {', '.join(get_args(Scaling))}")
        if self.reference_steps < 1:
            raise ConfigError(f"reference steps: {self.reference_steps}, expected at least 1")
        for name in ("warmup_updates", "anneal_steps", "kl_target"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"{name}: {getattr(self, name)}, expected at least 0")
        if not 0 < self.stale_factor <= 1:
            raise ConfigError(f"stale factor: {self.stale_factor}, expected more than 0 and at most 1")


def batch_scale(config: LearningRateConfig, steps: int) -> float:
    """The factor for a batch of `steps` accepted steps.

    Linear: Goyal et al. 2017, arXiv 1706.02677, for SGD. Square root: Malladi et al. 2022, arXiv 2205.10287, for Adam
    and RMSProp.
    """
    ratio = steps / config.reference_steps
    return {"none": 1.0, "linear": ratio, "sqrt": math.sqrt(ratio)}[config.scaling]


def stale_scale(config: LearningRateConfig, stale_share: float) -> float:
    """The factor for a batch of which `stale_share`, in [0, 1], was played by an older version."""
    return 1 - stale_share * (1 - config.stale_factor)


def schedule(config: LearningRateConfig, updates: int, trained_steps: int) -> float:
    """The factor for the update after `updates` others and `trained_steps` steps: warm-up, then annealing."""
    warm = min(1.0, (updates + 1) / config.warmup_updates) if config.warmup_updates else 1.0
    left = max(0.0, 1 - trained_steps / config.anneal_steps) if config.anneal_steps else 1.0
    return warm * left


def follow_kl(factor: float, kl: float, target: float) -> float:
    """The next factor after an update that moved the policy by `kl`.

    KL > 2 target: divide by 1.5; KL < target / 2: multiply by 1.5; within [1/64, 64].
    """
    if target <= 0:
        return 1.0
    if kl > 2 * target:
        return max(factor / 1.5, 1 / 64)
    if kl < target / 2:
        return min(factor * 1.5, 64.0)
    return factor
