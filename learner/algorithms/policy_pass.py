"""A forward and a backward pass over steps: values, and the distributions of the actions given the steps before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...common.policy.network import LOG_STD
from ..maths.losses import to_outputs
from ..maths.mlp_backprop import Forward
from .history import distribution_given, through_history, with_history

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...common.policy.distributions import ActionArray
    from ...common.policy.network import Floats
    from ...common.spec import RunSpec
    from ..maths.flat_parameters import Parameters
    from .history import History


class PolicyPass:
    """A forward pass over N steps: `choice` are their distributions, `values` [N]. `backward` may be called once."""

    def __init__(
        self,
        params: Parameters,
        spec: RunSpec,
        observations: Floats,
        masks: NDArray[np.bool_] | None,
        history: History | None,
        *,
        with_values: bool = True,
    ) -> None:
        """Run the forward pass.

        Args:
            params: the network's parameters.
            spec: the run's spec.
            observations: [N, F], prepared.
            masks: [N, A], the legal actions; None if all are legal.
            history: the steps before, on which the actions' noise depended; None if it did not.
            with_values: False runs the policy only, see `Forward`.
        """
        self._history = history
        self._network = Forward(params, spec.network, with_history(observations, history), with_values=with_values)
        self.values = self._network.values[: len(observations)]
        outputs, log_std = self._network.outputs, params.views.get(LOG_STD)
        self.choice = distribution_given(spec.game.actions, outputs, log_std, masks, history)

    def backward(
        self,
        gradient: Parameters,
        actions: ActionArray,
        taken_grad: Floats,
        entropy_weight: float,
        values_grad: Floats | None,
    ) -> None:
        """Write the gradient of a loss into `gradient`.

        Args:
            gradient: all of it is overwritten, but for the value function's in a pass without values.
            actions: [N, *action shape], the actions taken.
            taken_grad: [N], the loss's gradient with respect to the log-probabilities of the actions.
            entropy_weight: the loss contains -entropy_weight x the sum of the entropies.
            values_grad: [N], with respect to the values; None for a pass without them.
        """
        to_choice, log_std_grad = to_outputs(self.choice, actions, taken_grad, entropy_weight)
        if self._history is not None and values_grad is not None:  # the values of the steps before are not in the loss
            values_grad = np.concatenate([values_grad, np.zeros_like(values_grad)])
        self._network.backward(gradient, through_history(to_choice, self._history), values_grad, log_std_grad)
