"""The V-trace actor-critic's hyperparameters."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from ....common.setting import Setting, check_settings
from ...maths.optimizer_name import OptimizerName
from ..hyperparameters import (
    LOG_STD_INIT,
    CBar,
    EntropyCoef,
    Epochs,
    LogStdInit,
    MaxGradNorm,
    MinibatchSize,
    Popart,
    RhoBar,
    ValueCoef,
)
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
    rho_bar: RhoBar = 1.0
    c_bar: CBar = 1.0
    policy_rho_bar: Annotated[
        float, Setting("V-trace: maximum importance weight of a step in the gradient of the policy.", gt=0)
    ] = 1.0
    n_epochs: Epochs = 1
    minibatch_size: MinibatchSize = 256
    entropy_coef: EntropyCoef = 0.01
    value_coef: ValueCoef = 0.5
    max_grad_norm: MaxGradNorm = 0.5
    popart: Popart = 0.03
    log_std_init: LogStdInit = LOG_STD_INIT
    # Nothing clips these updates. When little is left to learn, the normalised advantages are mostly noise, and large
    # updates along them end in a policy that does not explore any more. The target of the KL divergence limits updates.
    schedule: LearningRateConfig = field(default_factory=lambda: LearningRateConfig(kl_target=0.002))

    def __post_init__(self) -> None:
        """Check ranges once, here."""
        check_settings(self)
