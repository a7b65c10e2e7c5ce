"""Gaussian actions whose noise lasts over steps: their distribution given the step before."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from .distributions import LOG_SQRT_2PI, Gaussian

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .distributions import ActionArray
    from .network import Floats


class AutoregressiveGaussian(Gaussian):
    """The actions a_t = mu_t + sigma x_t with x_t = rho x_{t-1} + sqrt(1 - rho^2) e_t, for e_t standard normal.

    Each x_t alone is standard normal, but given the past it is not: the observation, which earlier noise has shaped,
    says much of it. The density that holds given the past is (Korenkevych et al. 2019, arXiv 1903.11524, section 4)

        p(a_t | o_t, o_{t-1}, a_{t-1}) = N(mu(o_t) + rho (a_{t-1} - mu(o_{t-1})), (1 - rho^2) sigma^2),

    and N(mu(o_t), sigma^2) at a step without one before it. Both means are those of the policy that is asked, whichever
    one played: it is a policy over the last two observations and the action between them.
    """

    def __init__(self, policy: Gaussian, deviations: Floats, known: NDArray[np.bool_], correlation: float) -> None:
        """Make the N distributions.

        Args:
            policy: those of the same steps without noise that lasts.
            deviations: [N, D], a_{t-1} - mu(o_{t-1}).
            known: [N], whether there is a step before; if not, the row of `deviations` is not used.
            correlation: rho, at least 0 and less than 1.
        """
        super().__init__(policy.means + np.where(known[:, None], correlation * deviations, 0), policy.log_std)
        self._log_shrinks = np.where(known, math.log1p(-(correlation**2)) / 2, 0).astype(policy.means.dtype)  # [N]
        self.std = self.std * np.exp(self._log_shrinks)[:, None]  # [N, D]

    def log_prob(self, actions: ActionArray) -> Floats:
        """See Distribution."""
        z, dimensions = self.standardised(actions), len(self.log_std)  # the innovations e_t
        return -0.5 * (z * z).sum(axis=1) - (self.log_std.sum() + dimensions * (LOG_SQRT_2PI + self._log_shrinks))

    def entropy(self) -> Floats:
        """See Distribution. It is that of the innovations: less than without the correlation, by a constant."""
        dimensions = len(self.log_std)
        return self.log_std.sum() + dimensions * (0.5 + LOG_SQRT_2PI + self._log_shrinks)
