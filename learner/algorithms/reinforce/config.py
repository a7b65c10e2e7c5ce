"""REINFORCE's hyperparameters."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from ....common.setting import Setting, check_settings
from ...maths.optimizer_name import OptimizerName
from ..hyperparameters import LOG_STD_INIT, EntropyCoef, LogStdInit, MaxGradNorm, Popart, ValueCoef
from ..learning_rate import LearningRateConfig

Baseline = Literal["none", "moving_average", "batch_mean", "value"]
Importance = Literal["none", "step", "game"]
MeanOver = Literal["games", "steps"]


@dataclass(frozen=True, slots=True)
class ReinforceConfig:
    """REINFORCE's hyperparameters."""

    WHOLE_EPISODES: ClassVar[bool] = True

    learning_rate: Annotated[float, Setting("Step size of the optimizer.", gt=0)] = 3e-3
    optimizer: Annotated[OptimizerName, Setting("The optimizer.")] = "adam"
    gamma: Annotated[float, Setting("Discount factor of a step.", ge=0, le=1)] = 0.99
    baseline: Annotated[
        Baseline,
        Setting(
            "Subtracted from the returns: nothing, the moving average of the games before, the mean of "
            "the other games in the batch (of one game alone: the moving average), or the value network's."
        ),
    ] = "batch_mean"
    # Games are some versions old when they are trained on, the first steps of a long game many. The weight of a whole
    # game has a larger variance, and most of a long game's weight is at the cap or near 0.
    importance: Annotated[
        Importance, Setting("Importance weights, limited by weight_cap: none, one for each step, or one for each game.")
    ] = "step"
    weight_cap: Annotated[float, Setting("Maximum importance weight; larger weights are reduced to it.", ge=1)] = 2.0
    mean_over: Annotated[
        MeanOver,
        Setting(
            "What the gradient is a mean over: games (the sum over all their steps, divided by their number) or steps."
        ),
    ] = "games"
    entropy_coef: EntropyCoef = 0.01  # in deviations of the returns per nat and step; with popart 0, in their unit
    value_coef: ValueCoef = 0.5  # with baseline="value"
    max_grad_norm: MaxGradNorm = 10.0  # of the mean over games or steps
    popart: Popart = 0.03
    log_std_init: LogStdInit = LOG_STD_INIT
    schedule: LearningRateConfig = field(default_factory=LearningRateConfig)

    def __post_init__(self) -> None:
        """Check ranges once, here."""
        check_settings(self)

    @property
    def n_epochs(self) -> int:
        """The number of passes over each batch: always 1."""
        return 1
