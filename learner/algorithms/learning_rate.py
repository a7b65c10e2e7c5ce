"""The learning rate of an update: scaling by batch size, warm-up, annealing, KL target; less for old steps. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from ...common.setting import Setting, check_settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Scaling = Literal["none", "linear", "sqrt"]

_FACTOR_LEAST, _FACTOR_MOST = 1 / 64, 4.0  # of the policy's rate, where it follows the KL divergence
_STALE_LEAST = 1 / 16  # half for each version, after the four that are always allowed


@dataclass(frozen=True, slots=True)
class LearningRateConfig:
    """The schedule of the learning rate.

    It depends on the batch, on the progress of the run, and on how far updates change the policy.
    """

    # The batch size is the number of accepted steps in the batch, not the configured one.
    learning_rate_scaling: Annotated[
        Scaling,
        Setting("Multiply the learning rate by the batch size over reference_steps (linear), or by its root (sqrt)."),
    ] = "none"
    reference_steps: Annotated[
        int, Setting("Batch size at which learning_rate_scaling does not change the learning rate.", ge=1, unit="steps")
    ] = 2048
    warmup_updates: Annotated[
        int,
        Setting(
            "Number of updates at the beginning over which the learning rate rises linearly to its full value.", ge=0
        ),
    ] = 0
    # By default, since near its optimum a policy is unlearned by steps of full length (Taxi). Not resolved in the
    # configuration: a run that goes on for longer than it was meant to has its rate back.
    anneal_steps: Annotated[
        int | None,
        Setting(
            "Number of trained steps over which the learning rate falls linearly to 0; 0: it does not fall.",
            ge=0,
            auto="max_steps where it is given, otherwise 0",
        ),
    ] = None
    # 1 by default. PPO's clipping, V-trace and REINFORCE's importance weights take old steps for what they are; a lower
    # weight beside these takes a part of the data away, the more the longer a game is.
    stale_factor: Annotated[
        float,
        Setting(
            "A step's part in the policy's gradient is multiplied by this for each version that it is older than the "
            "latest, down to 1/16. Imported games count as being as old as is allowed.",
            gt=0,
            le=1,
        ),
    ] = 1.0
    kl_target: Annotated[
        float,
        Setting(
            "Adapt the policy's learning rate, from 1/64 to 4 times what it is otherwise, so that an update changes "
            "the policy by this KL divergence; 0: do not adapt it.",
            ge=0,
            unit="nats",
        ),
    ] = 0.0

    def __post_init__(self) -> None:
        """Check ranges once, here."""
        check_settings(self)


def batch_scale(config: LearningRateConfig, steps: int) -> float:
    """The factor for a batch of `steps` accepted steps.

    Linear: Goyal et al. 2017, arXiv 1706.02677, for SGD. Square root: Malladi et al. 2022, arXiv 2205.10287, for Adam
    and RMSProp.
    """
    ratio = steps / config.reference_steps
    return {"none": 1.0, "linear": ratio, "sqrt": math.sqrt(ratio)}[config.learning_rate_scaling]


def stale_weights(config: LearningRateConfig, ages: NDArray[np.integer]) -> NDArray[np.floating]:
    """The weights of steps that were played `ages` versions ago, at least 0; of any shape.

    stale_factor ** age, but not less than 1/16, or than the factor itself where that is less: from a batch of old games
    alone, such as imported ones, something is learnt then.
    """
    weights: NDArray[np.floating] = config.stale_factor**ages
    return weights.clip(min(config.stale_factor, _STALE_LEAST), 1.0)


def schedule(config: LearningRateConfig, updates: int, trained_steps: int) -> float:
    """The factor of warm-up and annealing, after `updates` earlier updates on `trained_steps` steps."""
    warm = min(1.0, (updates + 1) / config.warmup_updates) if config.warmup_updates else 1.0
    left = max(0.0, 1 - trained_steps / config.anneal_steps) if config.anneal_steps else 1.0
    return warm * left


def follow_kl(factor: float, kl: float, target: float) -> float:
    """The next factor of the policy's rate, after an update that changed the policy by a KL divergence of `kl`.

    If kl > 2 target, the factor is divided by 1.5. If kl < target / 2, it is multiplied by 1.5. It stays in [1/64, 4]:
    where there is nothing to learn, no rate brings the divergence to its target. With the V-trace actor-critic's
    defaults it is between 0.05 and 1.5 on CartPole-v1 and on TinyZerg, and a bound of 64 makes no difference there.
    """
    if target <= 0:
        return 1.0
    if kl > 2 * target:
        return max(factor / 1.5, _FACTOR_LEAST)
    if kl < target / 2:
        return min(factor * 1.5, _FACTOR_MOST)
    return factor


def effective_rate(rate: float, norm: float, max_norm: float) -> float:
    """The factor by which plain SGD multiplies a gradient of norm `norm`, which is clipped to `max_norm` before."""
    return rate if norm <= max_norm else rate * max_norm / norm
