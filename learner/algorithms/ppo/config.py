"""PPO's hyperparameters."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from ....common.setting import Setting, check_settings
from ...maths.optimizer_name import OptimizerName
from ..hyperparameters import (
    LOG_STD_INIT,
    EntropyCoef,
    Epochs,
    LogStdInit,
    MaxGradNorm,
    MinibatchSize,
    Popart,
    ValueCoef,
)
from ..learning_rate import LearningRateConfig


@dataclass(frozen=True, slots=True)
class PPOConfig:
    """PPO's hyperparameters."""

    WHOLE_EPISODES: ClassVar[bool] = False

    learning_rate: Annotated[float, Setting("Step size of the optimizer.", gt=0)] = 2.5e-3
    optimizer: Annotated[OptimizerName, Setting("The optimizer.")] = "adam"
    gamma: Annotated[float, Setting("Discount factor of a step.", ge=0, le=1)] = 0.99
    gae_lambda: Annotated[
        float,
        Setting(
            "Lambda of GAE and V-trace, from 0 (advantages from one step) to 1 (advantages from all later steps).",
            ge=0,
            le=1,
        ),
    ] = 0.95
    clip_range: Annotated[
        float,
        Setting("The ratio of probabilities is clipped to the range from 1 - clip_range to 1 + clip_range.", gt=0),
    ] = 0.2
    n_epochs: Epochs = 4
    minibatch_size: MinibatchSize = 256
    entropy_coef: EntropyCoef = 0.01
    value_coef: ValueCoef = 0.5
    max_grad_norm: MaxGradNorm = 0.5
    decoupled: Annotated[
        bool, Setting("Clip the ratio against a moving average of the weights, not against the policy that played.")
    ] = False
    proximal_mass: Annotated[
        float,
        Setting(
            "Centre of mass of the moving average of the weights that `decoupled` uses.", ge=0, unit="optimizer steps"
        ),
    ] = 16.0
    weight_cap: Annotated[float, Setting("Maximum importance weight; larger weights are reduced to it.", ge=1)] = (
        5.0  # of pi_prox / mu
    )
    popart: Popart = 0.03
    log_std_init: LogStdInit = LOG_STD_INIT
    schedule: LearningRateConfig = field(default_factory=LearningRateConfig)

    def __post_init__(self) -> None:
        """Check ranges once, here."""
        check_settings(self)
