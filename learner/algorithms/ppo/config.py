"""PPO's hyperparameters."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from ....common.setting import Setting, check_settings
from ...maths.optimizer_name import OptimizerName
from ..learning_rate import LearningRateConfig


@dataclass(frozen=True, slots=True)
class PPOConfig:
    """PPO's hyperparameters."""

    WHOLE_EPISODES: ClassVar[bool] = False

    learning_rate: Annotated[float, Setting("Step size of the optimizer.", gt=0)] = 2.5e-3
    optimizer: Annotated[OptimizerName, Setting("Optimizer.")] = "adam"
    gamma: Annotated[float, Setting("Discount factor of a step.", ge=0, le=1)] = 0.99
    gae_lambda: Annotated[
        float, Setting("Weight of longer returns in advantages: lambda of GAE, and of V-trace.", ge=0, le=1)
    ] = 0.95
    clip_range: Annotated[float, Setting("How far from 1 the ratio of probabilities is clipped.", gt=0)] = 0.2
    n_epochs: Annotated[int, Setting("Passes over each batch.", ge=1)] = 4
    minibatch_size: Annotated[int, Setting("Steps of one gradient.", ge=1, unit="steps")] = 256
    entropy_coef: Annotated[float, Setting("Weight of the entropy bonus.", ge=0)] = 0.01
    value_coef: Annotated[float, Setting("Weight of the value function's loss.", ge=0)] = 0.5
    max_grad_norm: Annotated[float, Setting("Norm at which a gradient is clipped.", gt=0)] = 0.5
    decoupled: Annotated[
        bool, Setting("Clip against a moving average of the weights instead of the policy that played.")
    ] = False
    proximal_mass: Annotated[float, Setting("Centre of mass of that moving average.", ge=0, unit="optimizer steps")] = (
        16.0
    )
    weight_cap: Annotated[float, Setting("Largest importance weight.", ge=1)] = 5.0  # of pi_prox / mu
    popart: Annotated[
        float,
        Setting("Step size of the value targets' statistics (PopArt); 0: targets are not normalized.", ge=0, le=1),
    ] = 0.0
    schedule: LearningRateConfig = field(default_factory=LearningRateConfig)

    def __post_init__(self) -> None:
        """Check ranges once, here."""
        check_settings(self)
