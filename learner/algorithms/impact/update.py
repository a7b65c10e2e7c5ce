"""IMPACT (Luo et al. 2019, arXiv 1912.00167), known as APPO too: PPO's clipped steps on V-trace's advantages.

IMPACT is decoupled PPO, which accepts data of any policy, with one more correction: V-trace estimates advantages and
value targets of the proximal policy (the paper's target network), and not of the behaviour policy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...maths.losses import bounded
from ...maths.returns import advantage_scale
from ...maths.vtrace import vtrace
from ..batch_predictions import explained_variance
from ..minibatches import Minibatch, minibatch_of
from ..ppo.update import PPO

if TYPE_CHECKING:
    from ....common.policy.network import Floats
    from ....common.spec import RunSpec
    from ...maths.flat_parameters import Parameters
    from ..batch import Batch
    from .config import ImpactConfig


class Impact(PPO):
    """PPO with advantages and value targets from V-trace."""

    def __init__(self, config: ImpactConfig, spec: RunSpec) -> None:
        super().__init__(config, spec)
        self._bars = (config.rho_bar, config.c_bar, config.weight_cap)

    def _rows(self, params: Parameters, batch: Batch, values: Floats) -> tuple[Minibatch, float]:
        config, valid = self._config, batch.valid
        masks = None if batch.masks is None else batch.masks[valid]
        log_probs = self._proximal_log_probs(
            params, batch.observations[:-1][valid], batch.actions[valid], masks, batch.history(valid)
        )
        log_ratios = np.zeros_like(batch.log_probs)
        log_ratios[valid] = bounded(log_probs - batch.log_probs[valid])
        ends = (batch.terminated, batch.truncated, valid)
        trace = vtrace(batch.rewards, values, log_ratios, *ends, config.gamma, config.gae_lambda, *self._bars)
        targets, advantages = trace.targets[valid], trace.advantages[valid]
        self._scale.update(targets, params.views)
        # No mean is subtracted: advantages could change their sign.
        scale = advantages.dtype.type(advantage_scale(advantages, targets))
        rows = minibatch_of(batch, log_probs, advantages / scale, self._scale.normalise(targets))
        return rows, explained_variance(targets - values[:-1][valid], targets)
