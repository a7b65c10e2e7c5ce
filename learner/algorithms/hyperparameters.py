"""Hyperparameters that several algorithms have, each with its range and its help, once; the defaults are theirs."""

from __future__ import annotations

from typing import Annotated

from ...common.setting import Setting

Epochs = Annotated[int, Setting("Number of passes over each batch.", ge=1)]
MinibatchSize = Annotated[int, Setting("Size of a minibatch; one gradient step is made for each.", ge=1, unit="steps")]
EntropyCoef = Annotated[float, Setting("Weight of the entropy bonus in the loss.", ge=0)]
ValueCoef = Annotated[float, Setting("Weight of the value function's loss in the whole loss.", ge=0)]
MaxGradNorm = Annotated[
    float,
    Setting(
        "Maximum norm of the policy's gradient, and of the value function's where they share no layers; "
        "a longer one is scaled down to it.",
        gt=0,
    ),
]
RhoBar = Annotated[
    float, Setting("V-trace: maximum importance weight of a step's own temporal-difference error.", gt=0)
]
CBar = Annotated[
    float, Setting("V-trace: maximum of the importance weights by which an error reaches earlier steps.", gt=0)
]
Popart = Annotated[
    float,
    Setting(
        "Step size of the running mean and deviation of the value targets (PopArt), or of REINFORCE's returns, by "
        "which an update does not depend on the unit of the rewards; 0: they are not normalized.",
        ge=0,
        le=1,
    ),
]
# 0.6 where actions are from -1 to 1: with 1 a third of them are clipped, and HalfCheetah's return after a million steps
# was about half. Andrychowicz et al. 2021, arXiv 2006.05990, advise 0.5.
LOG_STD_INIT = -0.5
LogStdInit = Annotated[
    float,
    Setting(
        "Logarithm of the standard deviation with which each number of an action is drawn at first, where its bounds "
        "are -1 and 1. Only with continuous actions.",
        ge=-20,
        le=2,
    ),
]
