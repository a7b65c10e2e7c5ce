"""The names of the optimizers, for settings: in a module that does not import numpy."""

from __future__ import annotations

from typing import Literal

OptimizerName = Literal["adam", "adamw", "rmsprop", "sgd"]
