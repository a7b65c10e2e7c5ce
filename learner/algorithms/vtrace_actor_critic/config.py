"""The V-trace actor-critic's hyperparameters."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from ....common.setting import Setting, check_settings
from ...maths.optimizer_name import OptimizerName
from ..learning_rate import LearningRateConfig


@dataclass(frozen=True, slots=True)
class VTraceConfig:
    """The V-trace actor-critic's hyperparameters."""

    WHOLE_EPISODES: ClassVar[bool] = False

    learning_rate: Annotated[float, Setting("Step size of the optimizer.", gt=0)] = 1.5e-3
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
    rho_bar: Annotated[
        float, Setting("V-trace: maximum importance weight of a step's own temporal-difference error.", gt=0)
    ] = 1.0
    c_bar: Annotated[
        float, Setting("V-trace: maximum of the importance weights by which an error reaches earlier steps.", gt=0)
    ] = 1.0
    policy_rho_bar: Annotated[
        float, Setting("V-trace: maximum importance weight of a step in the gradient of the policy.", gt=0)
    ] = 1.0
    n_epochs: Annotated[int, Setting("Number of passes over each batch.", ge=1)] = 1
    minibatch_size: Annotated[
        int, Setting("Size of a minibatch; one gradient step is made for each.", ge=1, unit="steps")
    ] = 256
    entropy_coef: Annotated[float, Setting("Weight of the entropy bonus in the loss.", ge=0)] = 0.01
    value_coef: Annotated[float, Setting("Weight of the value function's loss in the whole loss.", ge=0)] = 0.5
    max_grad_norm: Annotated[
        float, Setting("Maximum norm of a gradient; a longer gradient is scaled down to it.", gt=0)
    ] = 0.5
    popart: Annotated[
        float,
        Setting(
            "Step size of PopArt's mean and variance of the value targets; 0: targets are not normalized.", ge=0, le=1
        ),
    ] = 0.0
    # Nothing clips these updates. When little is left to learn, the normalised advantages are mostly noise, and large
    # updates along them end in a policy that does not explore any more. The target of the KL divergence limits updates.
    schedule: LearningRateConfig = field(default_factory=lambda: LearningRateConfig(kl_target=0.002))

    def __post_init__(self) -> None:
        """Check ranges once, here."""
        check_settings(self)
