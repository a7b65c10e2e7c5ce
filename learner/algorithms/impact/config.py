"""IMPACT's hyperparameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from ....common.errors import ConfigError
from ....common.setting import Setting, check_settings
from ..hyperparameters import CBar, RhoBar
from ..ppo.config import PPOConfig


@dataclass(frozen=True, slots=True)
class ImpactConfig(PPOConfig):
    """IMPACT's hyperparameters: those of PPO and of V-trace. `weight_cap` caps the weights of the policy's gradient."""

    decoupled: Annotated[
        bool, Setting("Clip the ratio against a moving average of the weights, not against the policy that played.")
    ] = True
    rho_bar: RhoBar = 1.0
    c_bar: CBar = 1.0

    def __post_init__(self) -> None:
        """Check ranges once, here, and that `decoupled` is true."""
        check_settings(self)
        if not self.decoupled:
            raise ConfigError("decoupled: false, expected true: IMPACT's advantages are those of the proximal policy")
