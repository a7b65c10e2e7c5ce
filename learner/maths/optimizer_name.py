"""The optimizers' names: apart from the optimizers, which need numpy, for the settings that choose among them."""

from __future__ import annotations

from typing import Literal

OptimizerName = Literal["adam", "adamw", "rmsprop", "sgd"]
