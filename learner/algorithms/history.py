"""The steps before those of a batch, on which noise that lasts depended, and the distributions given them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...common.policy.autoregressive import AutoregressiveGaussian
from ...common.policy.distributions import Gaussian, distribution

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...common.actions import ActionSpace
    from ...common.policy.distributions import ActionArray, Distribution
    from ...common.policy.network import Floats


@dataclass(frozen=True, slots=True)
class History:
    """The step before each of N steps."""

    observations: Floats  # [N, F], prepared
    actions: ActionArray  # [N, D]
    known: NDArray[np.bool_]  # [N], whether there is one; if not, the other arrays have numbers that are not used
    correlation: float  # of the noise, from the step before to this one

    def __getitem__(self, index: NDArray[np.integer] | slice) -> History:
        """The selected rows."""
        return History(self.observations[index], self.actions[index], self.known[index], self.correlation)


def with_history(observations: Floats, history: History | None) -> Floats:
    """The observations [N, F] for whose outputs `distribution_given` asks: [2N, F] with those of the steps before."""
    return observations if history is None else np.concatenate([observations, history.observations])


def distribution_given(
    actions: ActionSpace,
    outputs: Floats,
    log_std: Floats | None,
    masks: NDArray[np.bool_] | None,
    history: History | None,
) -> Distribution:
    """The distributions of N actions given the steps before.

    Args:
        actions: the action space.
        outputs: [N, K] of the policy head, for the result of `with_history`: [2N, K] with a history.
        log_std: see `distribution`.
        masks: see `distribution`.
        history: None where the actions do not depend on the steps before.
    """
    if history is None:
        return distribution(actions, outputs, log_std, masks)
    rows = len(history.known)
    policy = distribution(actions, outputs[:rows], log_std, masks)
    assert isinstance(policy, Gaussian)
    return AutoregressiveGaussian(policy, history.actions - outputs[rows:], history.known, history.correlation)


def through_history(means_grad: Floats, history: History | None) -> Floats:
    """The gradient with respect to the outputs in `distribution_given`, from that to the distributions' means [N, D].

    The mean is mu(o_t) + rho (a_{t-1} - mu(o_{t-1})), so the step before has the same gradient times -rho.
    """
    if history is None:
        return means_grad
    return np.concatenate([means_grad, means_grad * np.where(history.known, -history.correlation, 0)[:, None]]).astype(
        means_grad.dtype, copy=False
    )
